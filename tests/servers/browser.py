"""A browser of the standard library: cookies for each host, redirects when asked."""

from __future__ import annotations

import html
import http.client
import json
import re
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit


@dataclass
class Answer:
    """A response."""

    status: int
    headers: dict[str, str]
    body: str

    @property
    def seen(self) -> dict[str, Any]:
        """Return what reached the app."""
        read: dict[str, Any] = json.loads(self.body)
        return read

    def sent(self, name: str) -> list[str]:
        """The values of a header as the app saw it."""
        return [value for key, value in self.seen["headers"] if key.lower() == name.lower()]


@dataclass
class Browser:
    """Cookies for each host, and redirects when asked."""

    cookies: dict[str, dict[str, str]] = field(default_factory=dict)

    def send(self, method: str, url: str, body: str = "", **headers: str) -> Answer:
        """One request."""
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=20)
        kept = self.cookies.setdefault(parts.netloc, {})
        sent = {"Accept": "text/html"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        if kept:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in kept.items())
        if body:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        target = url.partition("#")[0].partition(parts.netloc)[2] or "/"  # an empty query stays
        connection.request(method, target, body, sent)
        response = connection.getresponse()
        for value in response.headers.get_all("Set-Cookie") or []:
            for name, morsel in SimpleCookie(value).items():
                kept[name] = morsel.value
                if morsel["max-age"] == "0":
                    del kept[name]
        answer = Answer(response.status, dict(response.headers), response.read().decode())
        connection.close()
        return answer

    def get(self, url: str, **headers: str) -> Answer:
        """GET, without following."""
        return self.send("GET", url, **headers)

    def follow(self, url: str) -> tuple[str, Answer]:
        """GET, and every redirect; the address where it ended."""
        for _ in range(10):
            answer = self.get(url)
            if answer.status not in (301, 302, 303, 307):
                return url, answer
            url = joined(url, answer.headers["Location"])
        raise AssertionError("too many redirects")

    def sign_in(self, url: str, name: str, password: str) -> Answer:
        """Follow to the sign-in form, fill it in, and follow on."""
        where, page = self.follow(url)
        found = re.search(r'name="next" value="([^"]*)"', page.body)
        assert found, (where, page.status, page.body[:2000])
        form = {"username": name, "password": password, "next": html.unescape(found[1])}
        action = urljoin(where, "/login")
        answer = self.send("POST", action, urlencode(form))
        assert answer.status == 303, (answer.status, answer.body[:2000])
        _, landed = self.follow(joined(action, answer.headers["Location"]))
        return landed


def joined(base: str, location: str) -> str:
    """Return where a redirect leads, to the byte: `urljoin` drops an empty query."""
    parts = urlsplit(base)
    rooted = location.startswith("/") and not location.startswith("//")
    return f"{parts.scheme}://{parts.netloc}{location}" if rooted else urljoin(base, location)
