"""No page shows a name with a sign that nobody sees, or that turns the rest of its line around."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import text

from authsvc.i18n import translate
from authsvc.web import layout
from kerauno.base.visible_text import visible, visible_lines
from tests.browser.test_console_pages import PAGES, fill
from tests.servers.console import ConsoleSite
from tests.servers.sso import CHALLENGE
from tests.texts.catalogue import ROOT
from tests.texts.signs import SIGNS, leaks
from tests.texts.test_pages import APP, REDIRECT

TEMPLATES = ROOT / "authsvc" / "templates"
_FIELD = re.compile(r'<(?:input|option|button)\b[^>]*?\bvalue="(\{\{[^"]*?\}\})"', re.DOTALL)
_BOX = re.compile(r"<textarea\b.*?>(\{\{[^<]*\}\})</textarea>", re.DOTALL)

NAMES = {
    "user": ("first_name", "last_name"),
    "department": ("name", "dn"),
    "ring_group": ("name",),
    "seen_department": ("name", "dn"),
    "seen_person": ("first_name", "last_name", "dn", "extension"),
    "directory": ("name",),
    "run": ("error",),
    "run_change": ("name",),
    "run_request": ("requested_by", "error"),
    "audit": ("actor",),
    "throttle": ("label",),
    "client": ("name",),
    "phone_access": ("name",),
    "session": ("user_agent",),
    "held_out": ("held_by",),
    "link": ("dn",),
}
IN_DOCUMENTS = {"audit": "detail", "run": "plan", "run_change": "before"}


@pytest.fixture
def site(tmp_path: Path, sqlite_url: str) -> Iterator[ConsoleSite]:
    made = ConsoleSite(tmp_path, sqlite_url)
    yield made
    made.close()


def test_no_page_leaks_a_sign(site: ConsoleSite) -> None:
    client = site.client()
    found = fill(site)
    client.post("/console/clients/new", data=APP)
    client.post("/console/phones", data={"name": "London", "kind": "yealink"})
    client.post("/console/hosts", data={"host": "wiki.goodcompany.local", "departments": ["1"]})
    with site.database.read() as s:
        app_id = s.scalar(text("SELECT id FROM client"))
    _spoil(site)
    asked = {"response_type": "code", "client_id": app_id, "redirect_uri": REDIRECT,
             "scope": APP["scopes"], "state": "s", "code_challenge": CHALLENGE,
             "code_challenge_method": "S256"}  # fmt: skip
    device = {"client_id": app_id, "scope": "openid"}
    code = site.anonymous().post("/oauth/device", data=device).get_json()["user_code"]
    paths = [path.format(**found) for path in PAGES.values()]
    paths += ["/", "/apps", "/console/clients", f"/console/clients/{app_id}", "/console/hosts",
              f"/console/clients/{app_id}/edit", f"/device?user_code={code}",
              f"/console/users?q=%E2%80%AE{SIGNS}", f"/console/audit?q={SIGNS}",
              f"/{SIGNS}", f"/oauth/authorize?client_id={SIGNS}"]  # fmt: skip
    answers = [client.get(path) for path in paths]
    answers += [client.get(path, headers={"HX-Request": "true"}) for path in paths]
    answers.append(client.get("/oauth/authorize", query_string=asked))
    answers.append(client.post("/console/hosts", data={"host": f"x{SIGNS}"}))
    answers.append(client.post("/login", data={"username": f"x{SIGNS}", "password": "wrong"}))
    left = {answer.request.path: leaks(answer.text) for answer in answers if leaks(answer.text)}
    assert left == {}
    marked = [answer.request.path for answer in answers if visible(SIGNS) in answer.text]
    assert len(marked) > len(PAGES) * 3 // 2, "the names are shown"


@pytest.mark.parametrize(
    "path",
    ["/phonebook.csv", "/phonebook.vcf", "/console/audit.csv", "/api/v1/me", "/auth/verify"],
)
def test_no_file_document_or_header_leaks_a_sign(site: ConsoleSite, path: str) -> None:
    found = fill(site)
    _spoil(site)
    answer = site.client(found["user"]).get(path)
    if answer.status_code == 403:
        answer = site.client().get(path)
    assert answer.status_code == 200
    body = answer.text.removeprefix("\ufeff").replace("\r\n ", "")
    said = body + "".join(value.encode("latin-1").decode() for _, value in answer.headers)
    assert visible_lines(said) == said
    shown = json.dumps(SIGNS)[1:-1] if answer.is_json else visible(SIGNS)
    assert shown in said


def _spoil(site: ConsoleSite) -> None:
    """Put signs into every name of the records."""
    with site.database.write() as s:
        for table, columns in NAMES.items():
            for column in columns:
                s.execute(text(f'UPDATE "{table}" SET "{column}" = "{column}" || :signs'),
                          {"signs": SIGNS})  # fmt: skip
        for table, column in IN_DOCUMENTS.items():
            for word in ("Wolfe", "Sales", "onerror"):
                values = {"word": word, "spoilt": f"{word}\u202e\u200b\u2066"}
                s.execute(
                    text(f'UPDATE "{table}" SET "{column}" = replace("{column}", :word, :spoilt)'),
                    values,
                )


@pytest.mark.parametrize(
    "template",
    [
        "<p>{{ name | safe }}</p>",
        '<p title="{{ name | e }}"></p>',
        "<p>{{ ('<b>' | safe) ~ name }}</p>",
        "<p>{{ name | exact }}</p>",
    ],
)
def test_a_planted_leak_is_found(template: str) -> None:
    assert leaks(_rendered(template))


@pytest.mark.parametrize(
    "template",
    [
        "<p>{{ name }}</p>",
        '<p title="{{ name }}"></p>',
        "<p>{{ _('Run %(run)s is held', run=name) }}</p>",
        "<p>{% trans who=name %}<b>{{ who }}</b> is here{% endtrans %}</p>",
        "{% macro m(x) %}<b>{{ x }}</b>{% endmacro %}<p>{{ m(name) }}{{ [name] | join(', ') }}</p>",
        '<input value="{{ name | exact }}">',
    ],
)
def test_what_a_template_writes_is_marked(template: str) -> None:
    page = _rendered(template)
    assert leaks(page) == []
    assert (visible(SIGNS) in page) != ("exact" in template)


def test_a_name_from_right_to_left_stays_and_is_isolated_in_a_sentence() -> None:
    page = "<p>{{ name }}</p><p>{{ _('Run %(run)s is held', run=name) }}</p>"
    assert _rendered(page, "שרה") == "<p>שרה</p><p>Run \u2068שרה\u2069 is held</p>"
    assert leaks("<p>\u2068x\u2069</p>") == []
    assert leaks("<p>\u2068x</p>")
    assert leaks("<p>x\u2069y\u2068</p>")


def test_every_field_sends_back_what_it_was_given() -> None:
    left = [
        f"{path.relative_to(ROOT)}: {value}"
        for path in sorted(TEMPLATES.rglob("*.html"))
        for pattern in (_FIELD, _BOX)
        for value in pattern.findall(path.read_text())
        if "exact" not in value
    ]
    assert left == []


def _rendered(template: str, name: str = f"x{SIGNS}") -> str:
    app = Flask("authsvc")
    translate.setup_texts(app)
    layout.setup_pages(app)
    return app.jinja_env.from_string(template).render(name=name)
