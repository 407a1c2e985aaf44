"""The console over HTTP, as a browser without scripts uses it."""

from __future__ import annotations

import http.client
import re
import secrets
from html.parser import HTMLParser
from urllib.parse import urlencode

from tests.servers.process import wait_until
from tests.servers.web import Installation

ADMIN, PASSWORD = "chaos.admin@company.com", "Kerauno!Local-1"
CREDENTIALS = "/console/directory/credentials"
_WORKING = 'hx-trigger="every 1s"'


class _Form(HTMLParser):
    """The fields of the form that posts to one address, as a browser would send them."""

    def __init__(self, action: str) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self._action = action
        self._inside = False
        self._id = ""  # what stands elsewhere on the page may belong to the form by its id
        self._select = self._area = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take up a field."""
        values = {name: value or "" for name, value in attrs}
        name = values.get("name", "")
        if tag == "form":
            self._inside = values.get("action") == self._action
            self._id = values.get("id", "") if self._inside else self._id
        if not self._inside and (not self._id or values.get("form") != self._id):
            return
        if tag == "input" and name and values.get("type") != "file":
            if values.get("type") not in ("checkbox", "radio") or "checked" in values:
                self.fields[name] = values.get("value", "")
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select:
            if "selected" in values or self._select not in self.fields:
                self.fields[self._select] = values.get("value", "")
        elif tag == "textarea":
            self._area = name
            self.fields[name] = ""

    def handle_data(self, data: str) -> None:
        """Take up a text area's text."""
        if self._area:
            self.fields[self._area] += data

    def handle_endtag(self, tag: str) -> None:
        """Leave a field, or the form."""
        if tag == "form":
            self._inside = False
        elif tag == "select":
            self._select = ""
        elif tag == "textarea":
            self._area = ""


class Console:
    """An administrator who has signed in."""

    def __init__(self, kerauno: Installation) -> None:
        self._kerauno = kerauno
        self._cookie = ""

    def sign_in(self) -> None:
        """Sign in; the session outlives the web service."""
        form = {"username": ADMIN, "password": PASSWORD}
        status, _, _ = self.send("POST", "/login", form)
        assert status in (302, 303), f"the administrator could not sign in: {status}"

    def send(
        self, method: str, path: str, form: dict[str, str] | None = None, ca_file: str = ""
    ) -> tuple[int, str, str]:
        """Status, Location and body of the answer; a `ca_file` is uploaded with the form."""
        headers = {"Accept": "text/html", "Cookie": self._cookie}
        body = b""
        if ca_file:
            headers["Content-Type"], body = _multipart(form or {}, ca_file)
        elif form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            body = urlencode(form).encode()
        connection = http.client.HTTPConnection(self._kerauno.host, self._kerauno.port, timeout=60)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        for cookie in answer.headers.get_all("Set-Cookie") or ():
            if cookie.startswith("kerauno="):
                self._cookie = cookie.split(";")[0]
        return answer.status, answer.headers.get("Location", ""), text

    def get(self, path: str) -> str:
        """A page that has to be there."""
        status, _, text = self.send("GET", path)
        assert status == 200, f"GET {path}: {status}"
        return text

    def post(self, path: str, form: dict[str, str] | None = None, ca_file: str = "") -> str:
        """Send a form that has to be taken; gives where it leads."""
        status, location, text = self.send("POST", path, form or {}, ca_file)
        assert status == 303, f"POST {path}: {status}\n{_alerts(text)}"
        return location

    def form(self, page: str, action: str) -> dict[str, str]:
        """The fields of a page's form."""
        parser = _Form(action)
        parser.feed(self.get(page))
        assert parser.fields, f"{page} has no form for {action}"
        return parser.fields

    def follow(self, location: str, seconds: float = 30.0) -> str:
        """Wait for a request's end; gives its last page."""
        pages: list[str] = []

        def finished() -> bool:
            pages.append(self.get(location))
            return _WORKING not in pages[-1]

        wait_until(finished, location, seconds)
        return pages[-1]

    def do(self, path: str, form: dict[str, str] | None = None) -> str:
        """Ask for work that has to be done; gives the last page."""
        page = self.follow(self.post(path, form))
        assert "This could not be done" not in page, f"{path}: {_alerts(page)}"
        return page

    def save(self, ca_file: str = "", **changes: str) -> None:
        """Save AD Credentials; where a page with the effect comes between, save there."""
        form = self.form(CREDENTIALS, CREDENTIALS) | changes
        location = self.post(CREDENTIALS, form, ca_file)
        if "/review/" in location:
            self.follow(location)
            location = self.post(location)
        assert "saved=1" in location, location

    def test(self, **changes: str) -> bool:
        """Test AD Credentials with what is in the form; whether every step passed."""
        form = self.form(CREDENTIALS, CREDENTIALS) | changes
        status, _, text = self.send("POST", f"{CREDENTIALS}/test", form)
        assert status == 200, f"the test: {status}"
        return "alert--danger" not in text and ("alert--ok" in text or "alert--warn" in text)


def _multipart(form: dict[str, str], ca_file: str) -> tuple[str, bytes]:
    mark = secrets.token_hex(16)
    parts = [
        f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in form.items()
    ]
    parts.append(
        f'--{mark}\r\nContent-Disposition: form-data; name="ca_file"; filename="ca.pem"\r\n'
        f"Content-Type: application/x-pem-file\r\n\r\n{ca_file}\r\n--{mark}--\r\n"
    )
    return f"multipart/form-data; boundary={mark}", "".join(parts).encode()


def _alerts(page: str) -> str:
    found = re.findall(r'<div class="alert.*?</div>', page, re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", " ".join(found)).split())
