"""Questions of programs over HTTP: the API, forward-auth, health and metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote

import pytest

from authsvc.forward_auth.verify import field
from dirclient.model.directory_objects import ServerState
from kerauno.oauth import clients
from kerauno.oauth.registration import Registration
from kerauno.sync import directory_settings
from kerauno.tables.core import Department, Membership
from tests.integration.site import PASSWORD, Site, make_site

# Every page of these tests is looked at for texts that could not be translated.
pytestmark = pytest.mark.usefixtures("reading")

FORM = {"username": "john.doe@company.com", "password": PASSWORD}

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
    groups = [
        unquote(group.encode("latin-1").decode()) for group in headers["Remote-Groups"].split(",")
    ]
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
    said = {
        "a\r\nRemote-User: admin": "a␍␊Remote-User: admin",
        "ä\0\x85\u2028b": "ä␀[U+0085][U+2028]b",
        "\u202enimda": "[U+202E]nimda",
    }
    for name, value in said.items():
        assert field(name).encode("latin-1").decode() == value


@pytest.mark.parametrize(
    "name",
    ["علی‌رضا", "क्‍ष", "ශ්‍රී", "👩‍💻️ Ada"],
    ids=["Persian", "Hindi", "Sinhala", "emoji"],
)
def test_a_name_keeps_the_joiners_that_it_is_written_with(name: str) -> None:
    assert field(name).encode("latin-1").decode() == name


@pytest.mark.parametrize("sign", [*"‪‫‬‭‮⁦⁧⁨⁩‎‏؜​﻿"])
def test_nothing_unseen_reorders_or_hides_text_in_a_header(sign: str) -> None:
    shown = field(f"Zoë{sign}nimda").encode("latin-1").decode()
    assert shown == f"Zoë[U+{ord(sign):04X}]nimda"


# -- health


def test_health(site: Site) -> None:
    assert site.browser().get("/healthz").text == "ok\n"
    ready = site.browser().get("/readyz")
    assert (ready.status_code, ready.get_json()) == (200, {"status": "ready"})


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


TOKEN = "0123456789abcdefXYZ"
WATCHER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def watched(sqlite_url: str, tmp_path: Path) -> Iterator[Site]:
    """A site with a token for whoever watches it."""
    (tmp_path / "token").write_text(TOKEN)
    site = make_site(sqlite_url, tmp_path, metrics_token_file=str(tmp_path / "token"))
    site.configure()
    yield site
    site.services.close()


def why(site: Site) -> dict[str, str]:
    """Return what the watcher is told, without what is told of each directory."""
    ready = site.browser().get("/readyz", headers=WATCHER)
    assert ready.status_code == 200
    return {name: value for name, value in ready.get_json().items() if name != "directories"}


def test_readiness_tells_of_a_directory_that_is_away(watched: Site) -> None:
    watched.directory.down = True
    assert why(watched) == {"status": "degraded", "database": "ok", "directory": "unreachable"}
    assert watched.browser().get("/readyz").get_json() == {"status": "degraded"}


@pytest.mark.parametrize("header", ["", "Bearer ", "Bearer x", f"Basic {TOKEN}", f"bearer{TOKEN}"])
def test_readiness_tells_everyone_else_the_status_alone(watched: Site, header: str) -> None:
    headers = {"Authorization": header} if header else {}
    assert watched.browser().get("/readyz", headers=headers).get_json() == {"status": "ready"}


def test_readiness_tells_the_status_alone_where_no_token_is_set(site: Site) -> None:
    for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer"}):
        assert site.browser().get("/readyz", headers=headers).get_json() == {"status": "ready"}


def test_readiness_tells_of_departments_that_are_not_read(watched: Site) -> None:
    site = watched
    with site.services.database.write() as s:
        directory = directory_settings.load(s)
        assert directory is not None
        directory_settings.set_state(s, directory.id, unread="OU=Groups does not exist.")
    told = {"status": "degraded", "database": "ok", "directory": "departments-unread"}
    assert why(site) == told


def test_following_is_told_to_whoever_has_the_token(watched: Site) -> None:
    site, headers = watched, WATCHER
    server = {"server": "dc.goodcompany.local", "up": True}
    server |= dict.fromkeys(("operation", "reason", "since", "until"))
    told = {"name": "default", "reachable": True, "following": False, "last_look_seconds": None}
    told |= {"servers": [server]}
    for age, expected in ((None, told), (7, told | {"following": True, "last_look_seconds": 7.0}),
                          (75, told | {"last_look_seconds": 75.0})):  # fmt: skip
        with site.services.database.fast_write() as hot:
            looked = None if age is None else site.at - timedelta(seconds=age)
            directory_settings.heartbeat(hot, 1, site.at, looked)
        answer = site.browser().get("/readyz", headers=headers).get_json()
        assert answer["directories"] == [expected]
        figures = site.browser().get("/metrics", headers=headers).text
        value = "+Inf" if age is None else f"{age}.0"
        assert f"kerauno_directory_last_look_seconds {value}\n" in figures
    assert "directories" not in site.browser().get("/readyz").get_json()


def test_a_server_set_aside_is_told_to_whoever_has_the_token(watched: Site) -> None:
    site, headers = watched, WATCHER
    figure = 'kerauno_directory_server_up{server="dc.goodcompany.local"}'
    site.browser().get("/readyz")
    assert f"{figure} 1.0\n" in site.browser().get("/metrics", headers=headers).text
    aside = ServerState(
        "dc.goodcompany.local", False, "bind", "result code 51", site.at, site.at + timedelta(0, 8)
    )
    site.directory.tell_of_server(aside)
    ready = site.browser().get("/readyz", headers=headers).get_json()
    assert ready["status"] == "ready"  # another one serves
    assert ready["directories"][0]["servers"] == [
        {
            "server": "dc.goodcompany.local",
            "up": False,
            "operation": "bind",
            "reason": "result code 51",
            "since": site.at.isoformat(),
            "until": (site.at + timedelta(0, 8)).isoformat(),
        }
    ]
    assert f"{figure} 0.0\n" in site.browser().get("/metrics", headers=headers).text
    assert "51" not in site.browser().get("/readyz").text


def test_a_server_that_was_replaced_is_reported_no_more(site: Site) -> None:
    figure = 'kerauno_directory_server_up{server="192.0.2.1"}'
    site.configure(profile=dict(site.profile) | {"servers": ["192.0.2.1"]})
    site.browser().get("/readyz")
    site.services.directories.current()
    site.configure(profile=dict(site.profile) | {"servers": ["192.0.2.2"]})
    site.services.directories.current()
    assert f"{figure} NaN\n" in site.browser().get("/metrics").text


def test_metrics_count_sign_ins(site: Site) -> None:
    site.linked()
    site.sign_in()
    assert 'kerauno_signins_total{outcome="authenticated"}' in site.browser().get("/metrics").text


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
