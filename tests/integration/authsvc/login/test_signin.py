"""The sign-in form over HTTP: what people get, what is written, what it costs."""

from __future__ import annotations

from pathlib import Path

import pytest

from dirclient.model import errors
from kerauno.accounts import access_revocation, users
from kerauno.tables.core import Link, LinkProposal, WebSession
from tests import said
from tests.integration.site import (
    LOCAL_PASSWORD,
    PASSWORD,
    Site,
    make_site,
    notice,
)

# Every page of these tests is looked at for texts that could not be translated.
pytestmark = pytest.mark.usefixtures("reading")

REFUSED = f"{said.REFUSED_TITLE} {said.REFUSED} {said.REFERENCE}"


def test_a_right_password_opens_a_session(any_site: Site) -> None:
    any_site.linked()
    browser, response = any_site.sign_in()
    assert (response.status_code, response.location) == (303, "/")
    assert browser.get("/").status_code == 200
    assert [(e.event, e.outcome) for e in any_site.audited()] == [("sign-in", "ok")]


def test_the_cookie_cannot_be_read_by_scripts_and_stays_on_this_site(site: Site) -> None:
    site.linked()
    _, response = site.sign_in()
    name, _, attributes = response.headers["Set-Cookie"].partition("=")
    assert name == "kerauno"
    assert attributes.split("; ")[1:] == ["HttpOnly", "Path=/", "SameSite=Lax"]


def test_over_https_the_cookie_is_bound_to_this_host(sqlite_url: str, tmp_path: Path) -> None:
    site = make_site(sqlite_url, tmp_path, public_url="https://phone.company.com")
    site.linked()
    _, response = site.sign_in()
    cookie = response.headers["Set-Cookie"]
    assert cookie.startswith("__Host-kerauno=")
    assert cookie.endswith("; HttpOnly; Path=/; SameSite=Lax; Secure")
    assert response.headers["Strict-Transport-Security"].startswith("max-age=")


def test_the_database_holds_no_cookie(site: Site) -> None:
    site.linked()
    _, response = site.sign_in()
    token = response.headers["Set-Cookie"].partition("=")[2].partition(";")[0]
    with site.services.database.read() as s:
        (row,) = s.query(WebSession)
    assert token not in repr(vars(row))


# -- equal words


def test_unknown_wrong_and_no_access_read_alike(site: Site) -> None:
    site.linked()
    site.link(site.user("gone@company.com"), site.person("gone"))
    site.user("unlinked@company.com")
    site.admin()
    with site.services.database.write() as s:
        gone = users.by_email(s, "gone@company.com")
        users.deactivate(s, [gone.id], site.at, reserve_until=site.at)
    tries = {
        "wrong": ("john.doe@company.com", "nope"),
        "unknown": ("nobody@company.com", "nope"),
        "no access": ("gone@company.com", PASSWORD),
        "not linked": ("unlinked@company.com", PASSWORD),
        "local": ("ada@company.com", "nope"),
        "no name": ("a@b@c", "nope"),
        "empty password": ("john.doe@company.com", ""),
    }
    said = {}
    for kind, (name, password) in tries.items():
        _, response = site.sign_in(name, password)
        page = response.text.replace(name, "NAME")
        code = site.audited()[-1].code
        assert code in page
        said[kind] = (response.status_code, notice(response), len(page))
    assert set(said.values()) == {(401, REFUSED, said["wrong"][2])}


@pytest.mark.parametrize("blank", ["", "  ", "\0", "x" * 5000])
def test_a_password_that_is_none_costs_nobody_a_try(any_site: Site, blank: str) -> None:
    """The directory is not asked, so it counts nothing: Enter pressed too soon locks nobody out."""
    any_site.linked()
    statuses = [any_site.sign_in(password=blank)[1].status_code for _ in range(12)]
    assert statuses[0] == 401
    assert statuses[-1] == 429  # but not for ever, either
    assert any_site.directory.binds == 0
    assert any_site.sign_in()[1].status_code == 303


def test_a_refusal_names_a_code_that_leads_to_its_reason(any_site: Site) -> None:
    any_site.linked()
    _, response = any_site.sign_in(password="nope")
    (event,) = any_site.audited()
    assert event.code in response.text
    assert (event.outcome, event.actor) == ("wrong_password", "john.doe@company.com")


def test_the_audit_keeps_no_name_that_could_be_a_password(site: Site) -> None:
    site.sign_in("correct horse battery", "nope")
    site.sign_in("somebody@company.com", "nope")
    site.sign_in("P@ssw0rd", "nope")
    site.sign_in("Pass\\w0rd", "nope")
    actors = [event.actor for event in site.audited()]
    assert actors == ["co…", "so…@company.com", "P…", "w0…"]


# -- names


def test_a_bare_name_is_told_to_be_completed(site: Site) -> None:
    site.configure(login_without_domain=False)
    site.linked()
    _, response = site.sign_in("john.doe")
    assert response.status_code == 401
    assert notice(response) == f"{said.DOMAIN_NEEDED_TITLE} {said.DOMAIN_NEEDED}"
    assert site.directory.operations == 0


@pytest.mark.parametrize("name", ["john.doe", "JOHN.DOE", "COMPANY\\john.doe", " john.doe "])
def test_every_allowed_form_of_the_name(site: Site, name: str) -> None:
    site.linked()
    assert site.sign_in(name)[1].status_code == 303


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "x" * 10_000,
        "*",
        "a*",
        ")(uid=*",
        "john.doe\0",
        "\u202ejohn.doe",
        "john.doe@other.example",
        "OTHER\\john.doe",
        "john doe",
        "<script>alert(1)</script>",
        "cafe\u0301",
        "'; DROP TABLE user; --",
        "😀",
    ],
)
def test_odd_names_are_refused_alike_and_never_shown_as_markup(any_site: Site, name: str) -> None:
    any_site.linked()
    _, response = any_site.sign_in(name, "nope")
    assert response.status_code == 401
    assert notice(response) == REFUSED
    assert "<script>alert" not in response.text


def test_an_unnormalised_name_is_the_same_name(site: Site) -> None:
    site.linked("zoë")
    assert site.sign_in("zoe\u0308@company.com")[1].status_code == 303


def test_a_huge_form_is_too_large(site: Site) -> None:
    _, response = site.sign_in("john.doe", "x" * 3_000_000)
    assert response.status_code == 413


# -- where it leads


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/phonebook?q=a&page=2", "/phonebook?q=a&page=2"),
        ("/console/users/7", "/console/users/7"),
        ("", "/"),
        ("https://evil.example/", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("\\\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("/\n/evil.example", "/"),
        (" //evil.example", "/"),
        ("///evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("evil.example", "/"),
        ("/ok\r\nSet-Cookie: a=b", "/"),
        ("/%0d%0aSet-Cookie:a=b", "/%0d%0aSet-Cookie:a=b"),
        ("/a\\b", "/"),
        ("/" + "a" * 5000, "/"),
    ],
)
def test_next_leads_nowhere_but_here(site: Site, target: str, location: str) -> None:
    site.linked()
    _, response = site.sign_in(next=target)
    assert (response.status_code, response.location) == (303, location)


def test_next_survives_a_wrong_password(site: Site) -> None:
    site.linked()
    page = site.sign_in(password="nope", next="/phonebook")[1].text
    assert '<input type="hidden" name="next" value="/phonebook">' in page


def test_a_page_that_needs_a_session_leads_to_the_form_and_back(site: Site) -> None:
    browser = site.browser()
    response = browser.get("/phonebook?q=doe")
    assert response.location == "/login?next=/phonebook%3Fq%3Ddoe"
    assert 'value="/phonebook?q=doe"' in browser.get(response.location).text


# -- the first sign-in


def test_the_first_sign_in_links_the_user(any_site: Site) -> None:
    user_id = any_site.user()
    person = any_site.person()
    assert any_site.sign_in()[1].status_code == 303
    with any_site.services.database.read() as s:
        link = s.get(Link, user_id)
        assert link is not None
        assert (link.guid, link.scope, link.origin) == (person.guid, "login", "sign-in")
    assert [(e.event, e.outcome) for e in any_site.audited()] == [
        ("link", "first-sign-in"),
        ("sign-in", "ok"),
    ]


def test_after_the_first_sign_in_one_bind_is_enough(site: Site) -> None:
    site.user()
    site.person()
    site.sign_in()
    before = site.directory.operations
    site.sign_in()
    assert site.directory.operations == before + 1


def test_an_administrators_claim_waits_for_an_administrator(any_site: Site) -> None:
    user_id = any_site.user(role="admin")
    person = any_site.person()
    assert any_site.sign_in()[1].status_code == 401
    with any_site.services.database.read() as s:
        (proposal,) = s.query(LinkProposal)
        assert (proposal.user_id, proposal.guid) == (user_id, person.guid)
        assert s.get(Link, user_id) is None
    assert [(e.event, e.outcome) for e in any_site.audited()] == [
        ("link-proposed", "waiting"),
        ("sign-in", "administrator_not_linked"),
    ]


# -- the directory's bad days


def test_an_outage_is_nobodys_fault(any_site: Site) -> None:
    any_site.linked()
    any_site.directory.down = True
    for name in ("john.doe@company.com", "nobody@company.com"):
        _, response = any_site.sign_in(name)
        assert (response.status_code, response.headers["Retry-After"]) == (503, "10")
        assert notice(response).startswith(f"{said.UNAVAILABLE_TITLE} {said.UNAVAILABLE}")


def test_local_users_sign_in_during_an_outage(site: Site) -> None:
    site.admin()
    site.directory.down = True
    assert site.sign_in("ada@company.com", LOCAL_PASSWORD)[1].status_code == 303


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (errors.PasswordExpired, said.CHANGE_EXPIRED),
        (errors.MustChangePassword, said.CHANGE_REQUIRED),
    ],
)
def test_an_expired_password_is_changed_here(
    any_site: Site, refusal: type[errors.Refused], words: tuple[str, str]
) -> None:
    any_site.linked()
    (person,) = [a.person for a in any_site.directory._accounts.values()]
    any_site.directory.refuse(person.guid, refusal)
    _, response = any_site.sign_in(next="/phonebook")
    assert response.status_code == 401
    assert notice(response) == " ".join(words)
    form = {"username": "john.doe@company.com", "password": PASSWORD, "next": "/phonebook"}
    new = {"new_password": "Another!2027", "new_password_again": "Another!2027"}
    browser = any_site.browser()
    changed = browser.post("/password", data=form | new)
    assert (changed.status_code, changed.location) == (303, "/phonebook")
    assert browser.get("/phonebook").status_code == 200


@pytest.mark.parametrize(
    ("new", "again", "words"),
    [
        ("", "", said.NEW_PASSWORD_MISSING),
        ("Another!2027", "Different!1", said.PASSWORDS_DIFFER),
        (PASSWORD, PASSWORD, said.NEW_PASSWORD_SAME),
        ("short", "short", said.POLICY_REFUSED),
    ],
)
def test_a_new_password_that_cannot_be_taken(site: Site, new: str, again: str, words: str) -> None:
    site.linked()
    form = {"username": "john.doe", "password": PASSWORD}
    response = site.browser().post(
        "/password", data=form | {"new_password": new, "new_password_again": again}
    )
    assert response.status_code == 400
    assert words.replace("'", "&#39;") in response.text


def test_a_kerauno_password_is_changed_here_too(site: Site) -> None:
    site.admin()
    old, _ = site.sign_in("ada@company.com", LOCAL_PASSWORD)
    form = {"username": "ada@company.com", "password": LOCAL_PASSWORD}
    short = {"new_password": "short", "new_password_again": "short"}
    assert site.browser().post("/password", data=form | short).status_code == 400
    new = {"new_password": "Another!Local-2", "new_password_again": "Another!Local-2"}
    assert site.browser().post("/password", data=form | new).status_code == 303
    assert old.get("/auth/verify").status_code == 401
    assert site.sign_in("ada@company.com", LOCAL_PASSWORD)[1].status_code == 401
    assert site.sign_in("ada@company.com", "Another!Local-2")[1].status_code == 303


# -- what it costs


def test_a_sign_in_costs_one_read_and_two_short_transactions(any_site: Site) -> None:
    any_site.linked()
    any_site.sign_in()
    with any_site.services.database.counting() as counts:
        before = any_site.directory.operations
        assert any_site.sign_in()[1].status_code == 303
    in_one = any_site.services.database.sqlite  # settling its three counts is one statement
    assert (counts.statements, counts.writes) == ((5, 4) if in_one else (7, 6))
    assert any_site.directory.operations - before == 1


def test_the_form_costs_no_statement(site: Site) -> None:
    site.browser().get("/login")
    with site.services.database.counting() as counts:
        assert site.browser().get("/login").status_code == 200
    assert counts.statements <= 1


def test_a_session_check_costs_one_statement_and_no_write(any_site: Site) -> None:
    any_site.linked()
    browser, _ = any_site.sign_in()
    with any_site.services.database.counting() as counts:
        assert browser.get("/auth/verify").status_code == 200
    assert (counts.statements, counts.writes) == (1, 0)


# -- leaving


def test_signing_out_ends_the_session(site: Site) -> None:
    site.linked()
    browser, _ = site.sign_in()
    token = browser.get_cookie("kerauno", domain="localhost")
    assert token is not None
    assert browser.post("/logout").location == "/login?signed-out"
    browser.set_cookie("kerauno", token.value)
    assert browser.get("/auth/verify").status_code == 401


def test_an_ended_session_ends_at_the_next_request(site: Site) -> None:
    user_id = site.linked()
    browser, _ = site.sign_in()
    assert browser.get("/api/v1/me").status_code == 200
    with site.services.database.write() as s:
        access_revocation.end_access(s, [user_id])
    assert browser.get("/api/v1/me").status_code == 401
    assert browser.get("/auth/verify").status_code == 401


def test_a_session_ends_by_itself(site: Site) -> None:
    site.linked()
    browser, _ = site.sign_in()
    site.pass_time(minutes=119)
    assert browser.get("/auth/verify").status_code == 200
    site.pass_time(minutes=121)
    assert browser.get("/auth/verify").status_code == 401
