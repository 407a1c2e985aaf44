"""A company's everyday use at a moderate rate, each kind in threads of its own."""

from __future__ import annotations

import base64
import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from urllib.parse import parse_qs, urlencode, urlsplit

from demo import company
from tests.chaos.world import World
from tests.faults.traffic import sign_in
from tests.servers.sso import CHALLENGE, REDIRECT, VERIFIER
from tests.servers.web import Installation

PAGES = (
    *("", "/servers", "/users", "/audit", "/runs", "/clients", "/directory/credentials"),
    *("/directory/users", "/directory/departments"),
)


class Usage:
    """Runs from `start` to `stop`. `done` and `failed` count by kind."""

    def __init__(self, world: World) -> None:
        self.done: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.said: list[str] = []
        self._world = world
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._staff = world.staff()
        self._emails = [world.dc.raw(dn, "mail")[0].decode() for dn in self._staff]
        self._edits = 0

    def start(self) -> None:
        """Begin everything."""
        kerauno = self._world.kerauno
        for email in self._emails[:4]:
            self._every(1.0, "sign-in", lambda email=email: self._sign_in(email))  # type: ignore[misc]
        for email in self._emails[4:6]:
            browser = Browser(kerauno, email)
            self._every(0.2, "forward-auth", browser.verify)
        app = App(kerauno)
        for email in self._emails[6:8]:
            tokens = app.tokens(Browser(kerauno, email))
            self._every(1.0, "refresh", lambda tokens=tokens: app.refresh(tokens))  # type: ignore[misc]
        self._every(2.0, "console page", self._look)
        self._every(3.0, "edit in AD", self._edit)

    def stop(self) -> None:
        """End everything."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _every(self, seconds: float, kind: str, work: Callable[[], None]) -> None:
        def run() -> None:
            while not self._stop.wait(seconds):
                try:
                    work()
                    self.done[kind] += 1
                except Exception as error:
                    self.failed[kind] += 1
                    self.said.append(f"{kind}: {type(error).__name__}: {error}")

        thread = threading.Thread(target=run, name=kind)
        self._threads.append(thread)
        thread.start()

    def _sign_in(self, email: str) -> None:
        answer = sign_in(self._world.kerauno, email)
        assert answer.status == 303, answer

    def _look(self) -> None:
        page = PAGES[self.done["console page"] % len(PAGES)]
        self._world.console.get(f"/console{page}")

    def _edit(self) -> None:
        """Another name for one of the last; every tenth time one is disabled, and enabled again."""
        self._edits += 1
        edited = self._staff[8:]
        person = edited[self._edits % len(edited)]
        self._world.dc.modify(person, sn=f"Edited {self._edits}")
        if self._edits % 10 == 0:
            self._world.dc.disable(edited[0])
        elif self._edits % 10 == 5:
            self._world.dc.enable(edited[0])


class Browser:
    """A browser in which somebody is signed in."""

    def __init__(self, kerauno: Installation, email: str) -> None:
        self._kerauno = kerauno
        form = {"username": email, "password": company.PASSWORD}
        status, answer, _ = ask(kerauno, "POST", "/login", form)
        assert status == 303, status
        cookies = answer.headers.get_all("Set-Cookie") or []
        self.cookie = "; ".join(cookie.split(";")[0] for cookie in cookies)

    def verify(self) -> None:
        """Ask what a reverse proxy asks for each request."""
        status, _, _ = ask(self._kerauno, "GET", "/auth/verify", Cookie=self.cookie)
        assert status == 200, status


class App:
    """An app that trusts Kerauno's sign-in."""

    def __init__(self, kerauno: Installation) -> None:
        self._kerauno = kerauno
        made = kerauno.json("authsvc", "client", "add", "Soak", "--redirect-uri", REDIRECT)
        self._id = made["client_id"]
        pair = f"{self._id}:{made['client_secret']}".encode()
        self._basic = f"Basic {base64.b64encode(pair).decode()}"

    def tokens(self, browser: Browser) -> dict[str, str]:
        """Have somebody sign in to the app."""
        query = {
            "response_type": "code",
            "client_id": self._id,
            "redirect_uri": REDIRECT,
            "scope": "openid profile offline_access",
            "state": "s",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        path = f"/oauth/authorize?{urlencode(query)}"
        status, answer, _ = ask(self._kerauno, "GET", path, Cookie=browser.cookie)
        code = parse_qs(urlsplit(answer.headers.get("Location", "")).query).get("code")
        assert code, (status, answer.headers.get("Location"))
        form = {"code": code[0], "redirect_uri": REDIRECT, "code_verifier": VERIFIER}
        return self._token(form | {"grant_type": "authorization_code"})

    def refresh(self, tokens: dict[str, str]) -> None:
        """Trade the refresh token for the next; the access token has to be good."""
        form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        tokens.update(self._token(form))
        bearer = f"Bearer {tokens['access_token']}"
        status, _, _ = ask(self._kerauno, "GET", "/oauth/userinfo", Authorization=bearer)
        assert status == 200, status

    def _token(self, form: dict[str, str]) -> dict[str, str]:
        status, _, body = ask(
            self._kerauno, "POST", "/oauth/token", form, Authorization=self._basic
        )
        assert status == 200, (status, body)
        given: dict[str, str] = json.loads(body)
        return given


def ask(
    kerauno: Installation,
    method: str,
    path: str,
    form: dict[str, str] | None = None,
    **headers: str,
) -> tuple[int, http.client.HTTPResponse, str]:
    """Status, answer and body."""
    connection = http.client.HTTPConnection(kerauno.host, kerauno.port, timeout=30)
    body = urlencode(form) if form else None
    if form:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    try:
        connection.request(method, path, body, {"Accept": "text/html"} | headers)
        answer = connection.getresponse()
        return answer.status, answer, answer.read().decode()
    finally:
        connection.close()


def wait(seconds: float) -> None:
    """Let time pass: here it is what is tested."""
    time.sleep(seconds)
