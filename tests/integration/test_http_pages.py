"""Everything else over HTTP: other sites, headers, roles, errors, the API, forward-auth, health."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from authsvc.forward import field, from_field
from authsvc.pages import compile_pages
from authsvc.sessions import require_role
from dirclient.errors import Unavailable
from kerauno import clients, users
from kerauno.registration import Registration
from kerauno.tables import Department, Membership
from tests.integration.site import LOCAL_PASSWORD, PASSWORD, Site, logged, make_site
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
    monkeypatch.setattr("kerauno.db.LOCK_SECONDS", 0.05)
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


# -- the API


def test_the_api_tells_a_session_who_it_is(site: Site) -> None:
    site.linked(extension="1001")
    browser, _ = site.sign_in()
    told = browser.get("/api/v1/me").get_json()
    assert told["session"].keys() == {"id", "method"}
    del told["session"], told["id"]
    assert told == {
        "username": "john.doe",
        "email": "john.doe@company.com",
        "first_name": "John",
        "last_name": "Doe",
        "role": "user",
        "extension": "1001",
        "departments": [],
    }


@pytest.fixture
def client(site: Site) -> tuple[str, str]:
    """Credentials of a trusted component."""
    with site.services.database.write() as s:
        row, secret = clients.create(
            s,
            Registration(name="Door", redirect_uris=("https://door.company.com/cb",)),
            site.at,
        )
    assert secret is not None
    return row.id, secret


def test_a_trusted_component_checks_a_password(site: Site, client: tuple[str, str]) -> None:
    site.linked(extension="1001")
    body = {"username": "john.doe", "password": PASSWORD}
    response = site.browser().post("/api/v1/authenticate", json=body, auth=client)
    assert response.status_code == 200
    assert (response.get_json()["username"], response.get_json()["extension"]) == (
        "john.doe",
        "1001",
    )
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("given", [None, ("nobody", "x"), ("", ""), ("ok", "wrong")])
def test_without_client_credentials_nothing_is_checked(
    site: Site, client: tuple[str, str], given: tuple[str, str] | None
) -> None:
    site.linked()
    if given and given[0] == "ok":
        given = (client[0], "wrong")
    body = {"username": "john.doe", "password": PASSWORD}
    response = site.browser().post("/api/v1/authenticate", json=body, auth=given)
    assert (response.status_code, response.mimetype) == (401, "application/problem+json")
    assert response.headers["WWW-Authenticate"].startswith("Basic ")
    assert site.directory.operations == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"nonsense", 400),
        (b"[]", 400),
        (b'{"username": "a"}', 400),
        (b'{"username": 1, "password": "x"}', 400),
        (b'{"username": "john.doe", "password": "nope"}', 401),
        (b'{"username": "nobody", "password": "nope"}', 401),
        (b'{"username": "' + b"x" * 20_000 + b'", "password": "nope"}', 413),
    ],
)
def test_what_the_api_cannot_take_is_a_problem(
    site: Site, client: tuple[str, str], body: bytes, status: int
) -> None:
    site.linked()
    response = site.browser().post(
        "/api/v1/authenticate", data=body, content_type="application/json", auth=client
    )
    assert (response.status_code, response.mimetype) == (status, "application/problem+json")


# -- forward-auth


def test_forward_auth_names_the_person(site: Site) -> None:
    user_id = site.user("zoe@company.com", first="Zoë", last="Müller, PhD")
    site.link(user_id, site.person("zoe"))
    with site.services.database.write() as s:
        for name in ("Süd", "Research, Development", "100%"):
            department = Department(name=name, imported_at=site.at)
            s.add(department)
            s.flush()
            s.add(Membership(department_id=department.id, user_id=user_id))
    browser, _ = site.sign_in("zoe@company.com")
    response = browser.get("/auth/verify")
    headers = response.headers
    assert (response.status_code, headers["Remote-User"]) == (200, "zoe")
    assert headers["Remote-Email"] == "zoe@company.com"
    assert headers["Remote-Name"].encode("latin-1").decode() == "Zoë Müller, PhD"
    groups = [from_field(group) for group in headers["Remote-Groups"].split(",")]
    assert groups == ["100%", "Research, Development", "Süd"]


def test_forward_auth_believes_no_header_of_the_browser(site: Site) -> None:
    response = site.browser().get("/auth/verify", headers={"Remote-User": "admin"})
    assert response.status_code == 401
    assert "Remote-User" not in response.headers


@pytest.mark.parametrize("cookie", ["", "x", "kerauno", "é" * 50, "a" * 5000, "\ud83d"])
def test_forward_auth_takes_no_nonsense(site: Site, cookie: str) -> None:
    value = cookie.encode("utf-8", "surrogatepass").decode("latin-1")
    response = site.browser().get("/auth/verify", headers={"Cookie": f"kerauno={value}"})
    assert response.status_code == 401


def test_no_name_can_end_a_header() -> None:
    assert field("a\r\nRemote-User: admin") == "a  Remote-User: admin"
    assert field("ä\r\n\0\x85\u2028b").encode("latin-1").decode() == "ä     b"


@pytest.mark.parametrize(
    "name",
    ["علی‌رضا", "क्‍ष", "ශ්‍රී", "👩‍💻️ Ada"],
    ids=["Persian", "Hindi", "Sinhala", "emoji"],
)
def test_a_name_keeps_the_joiners_that_it_is_written_with(name: str) -> None:
    assert field(name).encode("latin-1").decode() == name


@pytest.mark.parametrize("sign", [*"‪‫‬‭‮⁦⁧⁨⁩‎‏؜​﻿"])
def test_nothing_unseen_reorders_or_hides_text_in_a_header(sign: str) -> None:
    assert field(f"Zoë{sign}nimda").encode("latin-1").decode() == "Zoë nimda"


# -- health


def test_health(site: Site) -> None:
    assert site.browser().get("/healthz").text == "ok\n"
    ready = site.browser().get("/readyz")
    assert (ready.status_code, ready.get_json()["directory"]) == (200, "ok")


def test_only_what_asks_nobody_is_answered_in_the_loop(site: Site) -> None:
    """A directory or a database that is slow must hold up neither the form nor the health."""
    site.browser().get("/login")
    at_once: Callable[[dict[str, str]], bool] = site.app.answers_at_once  # type: ignore[attr-defined]
    asked = ("/healthz", "/login", "/auth/verify", "/readyz", "/")
    found = [at_once({"PATH_INFO": path, "REQUEST_METHOD": "GET"}) for path in asked]
    assert found == [True, True, False, False, False]
    assert not at_once({"PATH_INFO": "/login", "REQUEST_METHOD": "POST"})


def test_the_form_does_not_wait_for_a_look_at_the_settings(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One request a second looks, in a thread; the loop answers the others, and asks nobody."""
    clock = [100.0]
    looks: list[float] = []
    known = site.services.directories
    monkeypatch.setattr(known, "_clock", lambda: clock[0])
    monkeypatch.setattr(known, "current", lambda: looks.append(clock[0]))
    at_once: Callable[[dict[str, str]], bool] = site.app.answers_at_once  # type: ignore[attr-defined]
    at_hand = {"kerauno.at_hand": "yes"}

    def in_the_loop() -> bool:
        return at_once({"PATH_INFO": "/login", "REQUEST_METHOD": "GET"})

    site.browser().get("/login")
    assert (in_the_loop(), looks) == (True, [100.0])
    clock[0] = 101.0
    assert [in_the_loop(), in_the_loop(), in_the_loop()] == [False, True, True]
    assert site.browser().get("/login", environ_overrides=at_hand).status_code == 200
    assert looks == [100.0]
    site.browser().get("/login")
    assert looks == [100.0, 101.0]


def test_readiness_tells_of_a_directory_that_is_away(site: Site) -> None:
    site.directory.down = True
    ready = site.browser().get("/readyz")
    assert (ready.status_code, ready.get_json()) == (
        200,
        {"status": "degraded", "database": "ok", "directory": "unreachable"},
    )


def test_metrics_count_sign_ins(site: Site) -> None:
    site.linked()
    site.sign_in()
    assert 'kerauno_signins_total{outcome="Right"}' in site.browser().get("/metrics").text


def test_metrics_ask_for_a_token_where_one_is_set(sqlite_url: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret-of-the-monitoring\n")
    site = make_site(sqlite_url, tmp_path, metrics_token_file=str(tmp_path / "token"))
    for wrong in ({}, {"Authorization": "Bearer s3cret"}, {"Authorization": "Basic czNjcmV0Ong="}):
        refused = site.browser().get("/metrics", headers=wrong)
        assert (refused.status_code, refused.mimetype) == (401, "application/problem+json")
        assert refused.headers["WWW-Authenticate"] == 'Bearer realm="metrics"'
    right = {"Authorization": "Bearer s3cret-of-the-monitoring"}
    answer = site.browser().get("/metrics", headers=right)
    assert (answer.status_code, answer.mimetype) == (200, "text/plain")
    assert site.browser().get("/readyz").status_code == 200
    site.services.close()


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
