"""Pages over HTTP: other sites, headers, roles, errors, one's own pages, and no password in any."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from flask import Flask

from authsvc.web.layout import compile_pages
from authsvc.web.session import require_role
from dirclient.model.errors import Unavailable
from kerauno.accounts import users
from kerauno.tables.core import Department, Membership
from tests.integration.site import LOCAL_PASSWORD, PASSWORD, Site, logged
from tests.texts.pseudo import Reading

# Every page of these tests is looked at for texts that could not be translated.
pytestmark = pytest.mark.usefixtures("reading")

FORM = {"username": "john.doe@company.com", "password": PASSWORD}
PAGE = {"Accept": "text/html"}

# -- requests of other sites


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Sec-Fetch-Site": "none"}, 303),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://phone.company.com"}, 303),
        ({"Origin": "http://localhost"}, 303),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://phone.company.com.evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://phone.company.com"}, 403),
    ],
)
def test_only_this_site_may_send_the_form(site: Site, headers: dict[str, str], status: int) -> None:
    site.linked()
    assert site.browser().post("/login", data=FORM, headers=headers).status_code == status


@pytest.mark.parametrize("path", ["/logout", "/password", "/sessions/end-others", "/nowhere"])
def test_no_other_site_may_change_anything(site: Site, path: str) -> None:
    site.linked()
    browser, _ = site.sign_in()
    response = browser.post(path, headers={"Sec-Fetch-Site": "cross-site"})
    assert response.status_code in (403, 404)
    assert browser.get("/auth/verify").status_code == 200


# -- headers


@pytest.mark.parametrize(
    "path", ["/login", "/login?x=1", "/", "/nowhere", "/api/v1/me", "/metrics"]
)
def test_every_answer_carries_the_security_headers(site: Site, path: str) -> None:
    headers = site.browser().get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


def test_no_page_has_inline_scripts_or_styles(site: Site) -> None:
    site.linked(extension="1001")
    browser, _ = site.sign_in()
    for path in ("/", "/phonebook", "/nowhere", "/password"):
        page = browser.get(path, headers=PAGE).text
        assert " style=" not in page
        assert "<style" not in page
        assert "<script>" not in page
        assert " onclick" not in page


def test_static_files_may_be_kept(site: Site) -> None:
    response = site.browser().get("/static/kerauno.css?v=abc")
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"


# -- roles


@pytest.fixture
def guarded(site: Site) -> Site:
    """A site with a page for administrators."""
    add_admin_page(site.app)
    return site


def add_admin_page(app: Flask) -> None:
    @app.get("/only-admins")
    @require_role("admin")
    def only_admins() -> str:
        return "yes"


def test_a_role_counts_from_the_next_request(guarded: Site, reading: Reading) -> None:
    reading.allow("yes")  # all that this test's own page says
    user_id = guarded.linked()
    browser, _ = guarded.sign_in()
    assert browser.get("/only-admins").status_code == 403
    with guarded.services.database.write() as s:
        users.set_role(s, user_id, "admin", guarded.at)
    assert browser.get("/only-admins").text == "yes"


def test_who_is_not_signed_in_is_led_to_the_form(guarded: Site) -> None:
    assert guarded.browser().get("/only-admins").location == "/login?next=/only-admins"


def test_a_blocked_user_is_out_at_the_next_request(site: Site) -> None:
    user_id = site.linked()
    browser, _ = site.sign_in()
    with site.services.database.write() as s:
        users.block(s, user_id, site.at)
    assert browser.get("/api/v1/me").status_code == 401


# -- errors


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [("/nowhere", "GET", 404), ("/logout", "GET", 405), ("/sessions/x/end", "POST", 401)],
)
def test_an_error_is_a_page_for_people(site: Site, path: str, method: str, status: int) -> None:
    response = site.browser().open(path, method=method, headers=PAGE)
    assert (response.status_code, response.mimetype) == (status, "text/html")
    assert f">{status}<" in response.text


def test_an_error_is_a_problem_for_programs(site: Site) -> None:
    response = site.browser().get("/api/v1/me")
    assert (response.status_code, response.mimetype) == (401, "application/problem+json")
    assert json.loads(response.text)["status"] == 401
    assert site.browser().get("/api/v1/nowhere").mimetype == "application/problem+json"


def test_a_fault_of_ours_is_logged_and_tells_nothing(site: Site) -> None:
    def broken() -> str:
        raise RuntimeError("secret detail")

    site.app.add_url_rule("/broken", "broken", broken)
    with logged() as log:
        response = site.browser().get("/broken", headers=PAGE)
    assert response.status_code == 500
    assert "secret detail" not in response.text
    assert "secret detail" in log()


def test_a_locked_database_is_a_503(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kerauno.database.engine.LOCK_SECONDS", 0.05)
    site.linked()
    browser, _ = site.sign_in()
    release = threading.Event()
    held = threading.Event()

    def hold() -> None:
        with site.services.database.engine.connect() as connection:
            connection.exec_driver_sql("ROLLBACK")
            connection.exec_driver_sql("BEGIN EXCLUSIVE")
            held.set()
            release.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    try:
        assert browser.get("/auth/verify").status_code == 200  # readers go on
        _, response = site.sign_in()
        assert (response.status_code, response.headers["Retry-After"]) == (503, "10")
    finally:
        release.set()
        holder.join()
    assert site.sign_in()[1].status_code == 303


# -- one's own pages


def test_home_shows_what_is_the_persons_own(site: Site) -> None:
    user_id = site.linked(extension="1001")
    with site.services.database.write() as s:
        department = Department(name="Sales & <b>Co</b>", imported_at=site.at)
        s.add(department)
        s.flush()
        s.add(Membership(department_id=department.id, user_id=user_id))
    browser, _ = site.sign_in()
    page = browser.get("/").text
    assert "1001" in page
    assert "Sales &amp; &lt;b&gt;Co&lt;/b&gt;" in page


def test_own_sessions_are_listed_and_ended(site: Site) -> None:
    site.linked()
    here, _ = site.sign_in()
    there, _ = site.sign_in()
    handle = there.get("/api/v1/me").get_json()["session"]["id"]
    assert f"/sessions/{handle}/end" in here.get("/").text
    assert here.post(f"/sessions/{handle}/end").location == "/?done=session"
    assert there.get("/auth/verify").status_code == 401
    assert here.get("/auth/verify").status_code == 200


def test_all_other_sessions_end_at_once(site: Site) -> None:
    site.linked()
    here, _ = site.sign_in()
    others = [site.sign_in()[0] for _ in range(3)]
    here.post("/sessions/end-others")
    assert [one.get("/auth/verify").status_code for one in (here, *others)] == [200, 401, 401, 401]


def test_nobody_ends_a_session_of_somebody_else(site: Site) -> None:
    site.linked()
    site.linked("jane.roe")
    john, _ = site.sign_in()
    jane, _ = site.sign_in("jane.roe@company.com")
    handle = john.get("/api/v1/me").get_json()["session"]["id"]
    assert jane.post(f"/sessions/{handle}/end", headers=PAGE).status_code == 404
    assert john.get("/auth/verify").status_code == 200


def test_the_phone_book_finds_people_and_shows_markup_as_text(site: Site) -> None:
    site.linked(extension="1001")
    site.user("x@company.com", first="<script>alert(1)</script>", last="X", extension="1002")
    browser, _ = site.sign_in()
    everyone = browser.get("/phonebook").text
    assert "1001" in everyone
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in everyone
    found = browser.get("/phonebook?q=john").text
    assert ("1001" in found, "1002" in found) == (True, False)


# -- no password anywhere


def test_a_password_is_nowhere(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    canary = "C4nary!Passwörd-77"
    user_id = site.linked()
    site.admin()
    outputs: list[str] = []

    def broken(operation: str) -> None:
        raise Unavailable("a driver's own trace")

    with logged() as log:
        for name in ("john.doe@company.com", "nobody", "ada@company.com", "\\", ""):
            outputs.append(site.sign_in(name, canary)[1].text)
        site.directory.on_operation = broken
        outputs.append(site.sign_in(password=canary)[1].text)
        site.directory.on_operation = None
        form = {"username": "john.doe", "password": PASSWORD, "new_password": canary}
        outputs.append(site.browser().post("/password", data=form).text)
        site.directory.set_password(next(iter(site.directory._accounts)), canary)
        outputs.append(site.sign_in(password=canary)[1].text)
        outputs.append(log())
    with site.services.database.engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        outputs.append("\n".join(driver.iterdump()))
    outputs.append(site.browser().get("/metrics").text)
    outputs.extend(capfd.readouterr())
    assert user_id
    assert [canary in text or canary.encode().hex() in text for text in outputs] == [False] * len(
        outputs
    )


def test_local_passwords_are_hashed(site: Site) -> None:
    stored = site.stored(site.admin())
    assert stored.password_hash is not None
    assert stored.password_hash.startswith("$argon2id$")
    assert LOCAL_PASSWORD not in stored.password_hash


def test_who_comes_first_does_not_wait_for_pages_to_be_compiled(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.linked()
    compile_pages(site.app)

    def late(*_args: object, **_options: object) -> None:
        raise AssertionError("compiled for a visitor")

    monkeypatch.setattr(site.app.jinja_env, "compile", late)
    browser, _ = site.sign_in()
    assert browser.get("/").status_code == 200
    assert site.browser().get("/login").status_code == 200
    assert site.browser().get("/nowhere", headers=PAGE).status_code == 404
