"""Every page at every width, with any font and at any text size: nothing scrolls sideways, nothing
is cut, and no sticky bar hides the keyboard's focus."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, template_rendered
from jinja2 import Template
from playwright.sync_api import Browser
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from kerauno.oauth import clients, devices
from kerauno.oauth.registration import Registration
from kerauno.sync import runs
from tests.browser.test_console_pages import LONG, PAGES, fill
from tests.console.helpers import CREDENTIALS, form, stored
from tests.servers import layout
from tests.servers.console import NOW, ConsoleSite, guid
from tests.servers.sso import CHALLENGE, REDIRECT

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]

ARGUMENTS = {
    "user_id": "user",
    "run_id": "run",
    "request_id": "request_failed",
    "department_id": "department_id",
    "client_id": "client",
    "token": "token",
    "filename": "filename",
}
"""For the argument of a route, the key in `Site.records` of something that exists."""


class Site:
    """A console site with one of everything, and each page that it answered with."""

    def __init__(self, console: ConsoleSite) -> None:
        self.console = console
        self.pages: dict[str, str] = {}
        self.administrator, self.stranger = console.client(), console.anonymous()
        self.get("/console/directory/users")  # while no directory is connected
        self.pages = {f"{path} unset": page for path, page in self.pages.items()}
        self.records = fill(console) | {
            "department_id": 1, "token": "none", "filename": "kerauno.css",
        }  # fmt: skip
        with console.database.write() as s:
            registration = replace(
                Registration(name="Travel & Expenses", redirect_uris=(REDIRECT,)),
                first_party=False,
            )
            row, _ = clients.create(s, registration, NOW)
            self.records["client"] = row.id

    def get(self, path: str) -> None:
        """Get a page as an administrator."""
        self._keep(path, self.administrator.get(path))

    def post(self, path: str, **fields: str) -> TestResponse:
        """Send a form as an administrator."""
        answer = self.administrator.post(path, data=fields)
        self._keep(f"POST {path}", answer)
        return answer

    def get_rule(self, rule: Rule) -> None:
        """Get the page of a route, as a stranger and as an administrator."""
        path = re.sub(r"<(?:\w+:)?(\w+)>", lambda match: self._argument(rule, match[1]), rule.rule)
        self._keep(f"{path} stranger", self.stranger.get(path))
        self.get(path)

    def _argument(self, rule: Rule, name: str) -> str:
        """Return a value for a route's argument; KeyError for a new kind of argument."""
        if name != "guid":
            return str(self.records[ARGUMENTS[name]])
        if "/departments/" not in rule.rule:
            return str(self.records["person"])
        return str(self.records["sales" if rule.rule.endswith("unimport") else "department"])

    def _keep(self, name: str, answer: TestResponse) -> None:
        if answer.location is None and "<!doctype html>" in answer.text[:200]:
            self.pages[name] = answer.text

    def authorize(self) -> None:
        """Get the page on which a person consents."""
        query = (
            f"response_type=code&client_id={self.records['client']}&redirect_uri={REDIRECT}"
            f"&scope=openid+profile+phone&code_challenge={CHALLENGE}&code_challenge_method=S256"
        )
        self.get(f"/oauth/authorize?{query}")
        self.get(f"/oauth/authorize?{query}&prompt=none&response_mode=form_post")

    def connect_device(self) -> None:
        """Go through the pages on which a person connects a device."""
        with self.console.database.fast_write() as h:
            started = devices.start(
                h, NOW, client_id=self.records["client"], scope="openid phone", address="192.0.2.7"
            )
        self.get(f"/device?user_code={started.user_code}")
        self.post("/device", user_code="nonsense")
        self.post("/device/confirm", user_code=started.user_code, decision="connect")

    def review_settings(self) -> None:
        """Get the page with the effect of changed settings, before and after it is known."""
        version = str(stored(self.console).version)
        path = self.post(CREDENTIALS, **form(version=version, user_search_dn="OU=X,DC=x")).location
        self.get(path)
        action = {
            "action": "deactivate", "guid": guid(1), "username": "anna", "email": LONG,
            "extension": "2001", "changes": {"active": {"before": True, "after": False}},
        }  # fmt: skip
        plan = {
            "actions": [action], "departments": [], "conflicts": [], "emptied": [LONG],
            "digest": "d",
        }  # fmt: skip
        with self.console.database.write() as s:
            runs.finish_request(s, int(path.rsplit("/", 1)[1]), NOW, result={"plan": plan})
        self.pages[f"{path} unfinished"] = self.pages.pop(path)
        self.get(path)


def collect(console: ConsoleSite) -> Site:
    """Get every page: of each route, in each state, and the answers to forms."""
    site = Site(console)
    for rule in console.app.url_map.iter_rules():
        if "GET" in (rule.methods or ()):
            site.get_rule(rule)
    for path in PAGES.values():
        site.get(path.format(**site.records))
    site.review_settings()
    site.authorize()
    site.connect_device()
    for action in ("test", "advanced", "find?field=user_search_dn"):
        site.post(f"{CREDENTIALS}/{action}", **form())
    site.post(CREDENTIALS, **form(version=str(stored(console).version), servers=LONG))
    site.post("/oauth/logout/confirm")  # the last: it ends the administrator's session
    return site


def page_templates(app: Flask) -> set[str]:
    """Return the templates that are whole pages: they extend another, and none extends them."""
    extended: dict[str, str] = {}
    assert app.jinja_env.loader is not None
    for name in app.jinja_env.list_templates():
        source = app.jinja_env.loader.get_source(app.jinja_env, name)[0]
        if match := re.search(r'{%-? extends "([^"]+)"', source):
            extended[name] = match[1]
    return extended.keys() - set(extended.values())


@pytest.fixture
def console(tmp_path: Path, sqlite_url: str) -> Iterator[ConsoleSite]:
    """An installation without a directory."""
    made = ConsoleSite(tmp_path, sqlite_url)
    with made.serving():
        yield made
    made.close()


def test_every_page_fits_its_window(console: ConsoleSite, browser: Browser) -> None:
    rendered: set[str | None] = set()

    def note(_: Flask, template: Template, **__: Any) -> None:
        rendered.add(template.name)

    with template_rendered.connected_to(note, console.app):
        site = collect(console)
    rendered.add("login.html")  # its views render it without Flask's signal
    assert "/login stranger" in site.pages
    assert page_templates(console.app) - rendered == set()  # else add a visit to `collect`
    wrong = []
    with console.opened(browser) as page:
        bench = layout.Bench(page)
        for name, html in site.pages.items():
            bench.load(html)
            wrong += [f"{name} at {line}" for line in bench.faults()]
    assert wrong == []


PLANTED = {
    "scrolls sideways": '<p style="width: 110vw">wide</p>',
    "text outside the window": '<p style="position: relative; left: -4rem">left</p>',
    "text spills": '<p style="width: 1rem; white-space: nowrap">two words</p>',
    "text spills by": '<ul class="tabs"><li style="width: 1rem"><a class="tabs__tab">tab</a></ul>',
    "text cut sideways": '<p style="width: 1rem; white-space: nowrap; overflow: hidden">words</p>',
    "text cut in height": '<p style="height: 1rem; overflow: hidden">two<br>lines</p>',
    "focus behind": "<style>html { scroll-padding: 0 !important }</style>",
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_caught(console: ConsoleSite, browser: Browser, fault: str) -> None:
    html = console.client().get("/console/users/new").text
    planted = html.replace('tabindex="-1">', f'tabindex="-1">{PLANTED[fault]}', 1)
    with console.opened(browser) as page:
        bench = layout.Bench(page)
        bench.load(html)
        assert bench.faults() == []
        bench.load(planted)
        assert any(f": {fault}" in line for line in bench.faults())
