"""Leaving is immediate: what apps hold dies with the sign-in, and the apps are told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from sqlalchemy import func, select

from authsvc.oidc.backchannel_logout import EVENT, BackchannelLogout, Undelivered
from authsvc.oidc.provider import current_provider as installed
from kerauno.accounts import users
from kerauno.accounts.access_revocation import end_access, end_access_before
from kerauno.oauth import authorization_requests, consents, logout_queue
from kerauno.signin import sessions
from kerauno.tables.core import Audit
from kerauno.tables.oauth import AccessToken, AppSession, AuthorizationCode, TokenFamily
from syncsvc.applying.access_refusals import follow_refusals
from tests.records import audit_events
from tests.servers.process import wait_until
from tests.servers.sso import ISSUER, Person, RegisteredApp, Sso, error_of
from tests.syncing import disabled, guid, linked, snapshot
from tests.syncing import person as in_directory

BACK = "https://wiki.goodcompany.local/backchannel"
PASSWORD = "Passw0rd!Local"


def _courier(sso: Sso, post: Callable[[str, str], None]) -> BackchannelLogout:
    with sso.app.app_context():
        return BackchannelLogout(installed(), post)


def _told(sso: Sso) -> list[tuple[str, dict[str, Any]]]:
    """Deliver everything; the addresses and the claims of the logout tokens."""
    sent: list[tuple[str, str]] = []
    courier = _courier(sso, lambda uri, form: sent.append((uri, form)))
    while courier.deliver():
        pass
    keys = KeySet.import_key_set(sso.browser().get("/oauth/jwks").get_json())
    told = []
    for uri, form in sorted(sent):
        token = jwt.decode(parse_qs(form)["logout_token"][0], keys, algorithms=["RS256"])
        assert token.header["typ"] == "logout+jwt"
        told.append((uri, token.claims))
    return told


def _deactivate(sso: Sso, person: Person) -> None:
    with sso.database.write() as s:
        users.get(s, person.id).active = False
        end_access(s, [person.id], sso.clock())


def _end_session(sso: Sso, person: Person) -> None:
    with sso.database.write() as s:
        sessions.end_own(s, person.id, person.handle, sso.clock())


def _held(sso: Sso) -> dict[str, int]:
    with sso.database.read() as s:
        return {
            table.__tablename__: s.scalar(select(func.count()).select_from(table)) or 0
            for table in (AuthorizationCode, TokenFamily, AccessToken, AppSession)
        }


def _signed_in(sso: Sso, person: Person, app: RegisteredApp) -> dict[str, Any]:
    return sso.tokens(person, app, scope="openid offline_access")


def _change_password(sso: Sso, person: Person) -> None:
    """As the directory tells of it."""
    after = sso.clock() + timedelta(seconds=1)
    with sso.database.write() as s:
        end_access_before(s, person.id, after, sso.clock())


def _disable(sso: Sso, person: Person) -> None:
    """As a run does before its plan, which may then be held."""
    own = linked(7, id=person.id)
    seen = snapshot([disabled(in_directory(7))])
    follow_refusals(
        sso.database, 1, seen, {str(guid(7)): own}, fence=lambda _: None, now=sso.clock()
    )
    with sso.database.read() as s:
        assert users.get(s, person.id).active


ENDINGS = [_deactivate, _end_session, _change_password, _disable]


@pytest.mark.parametrize("ending", ENDINGS)
def test_tokens_die_with_the_sign_in(sso: Sso, ending: Callable[[Sso, Person], None]) -> None:
    person, app = sso.person(), sso.register()
    given = _signed_in(sso, person, app)
    code = sso.code(person, app)
    ending(sso, person)
    assert set(_held(sso).values()) == {0}
    assert error_of(sso.userinfo(given["access_token"])) == (401, "invalid_token")
    assert error_of(sso.refresh(app, given["refresh_token"])) == (400, "invalid_grant")
    assert error_of(sso.redeem(app, code)) == (400, "invalid_grant")
    assert person.browser.get("/auth/verify").status_code == 401
    assert person.browser.get("/api/v1/me").status_code == 401
    assert sso.authorize(person.browser, app).headers["Location"].startswith("/login?next=")


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_app_with_an_address_is_told_once(
    sso: Sso, ending: Callable[[Sso, Person], None]
) -> None:
    person, other = sso.person(), sso.person("jane.roe")
    wiki = sso.register(backchannel_logout_uri=BACK)
    chat = sso.register("Chat", backchannel_logout_uri=BACK + "2")
    silent = sso.register("Silent")
    for app in (wiki, wiki, chat, silent):
        _signed_in(sso, person, app)
    theirs = _signed_in(sso, other, wiki)
    ending(sso, person)
    told = _told(sso)
    now = int(sso.clock().timestamp())
    assert [
        (uri, {name: claims[name] for name in claims if name != "jti"}) for uri, claims in told
    ] == [
        (
            uri,
            {
                "iss": ISSUER,
                "sub": person.subject,
                "aud": app.id,
                "iat": now,
                "exp": now + 120,
                "events": {EVENT: {}},
                "sid": person.handle,
            },
        )
        for uri, app in ((BACK, wiki), (BACK + "2", chat))
    ]
    assert len({claims["jti"] for _, claims in told}) == 2
    assert _told(sso) == []
    assert sso.userinfo(theirs["access_token"]).status_code == 200


def test_the_end_and_the_word_to_the_apps_are_one_transaction(sso: Sso) -> None:
    person = sso.person()
    app = sso.register(backchannel_logout_uri=BACK)
    given = _signed_in(sso, person, app)

    def crash() -> None:
        with sso.database.write() as s:
            end_access(s, [person.id], sso.clock())
            assert logout_queue.pending(s) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        crash()
    assert sso.userinfo(given["access_token"]).status_code == 200
    assert _told(sso) == []


def test_one_session_ends_and_another_of_the_same_person_stays(sso: Sso) -> None:
    person, app = sso.person(), sso.register(backchannel_logout_uri=BACK)
    elsewhere = sso.sign_in(person.id, person.subject)
    here, there = _signed_in(sso, person, app), _signed_in(sso, elsewhere, app)
    with sso.database.write() as s:
        row = sessions.list_for(s, person.id, sso.clock())
        keep = next(one.id for one in row if one.handle == elsewhere.handle)
        assert sessions.end_others(s, person.id, keep, sso.clock()) == 1
    assert sso.userinfo(here["access_token"]).status_code == 401
    assert sso.userinfo(there["access_token"]).status_code == 200
    assert [claims["sid"] for _, claims in _told(sso)] == [person.handle]


def test_what_came_after_a_change_of_the_password_stays(sso: Sso) -> None:
    person, app = sso.person(), sso.register(backchannel_logout_uri=BACK)
    before = _signed_in(sso, person, app)
    changed = sso.clock() + timedelta(minutes=1)
    sso.clock.pass_(minutes=2)
    later = sso.sign_in(person.id, person.subject)
    after = _signed_in(sso, later, app)
    with sso.database.write() as s:
        assert end_access_before(s, person.id, changed, sso.clock()).sessions == 1
    assert sso.userinfo(before["access_token"]).status_code == 401
    assert sso.userinfo(after["access_token"]).status_code == 200
    assert [claims["sid"] for _, claims in _told(sso)] == [person.handle]


def _sign_in_here(person: Person, username: str) -> None:
    form = {"username": f"{username}@goodcompany.local", "password": PASSWORD}
    assert person.browser.post("/login", data=form).status_code == 303


def test_signing_in_anew_keeps_the_apps_that_signing_out_must_reach(sso: Sso) -> None:
    person = sso.person(password=PASSWORD)
    app = sso.register(backchannel_logout_uri=BACK)
    given = _signed_in(sso, person, app)
    _sign_in_here(person, "john.doe")
    given = sso.refresh(app, given["refresh_token"]).get_json() or {}
    before = sso.browser()
    before.set_cookie(*person.cookie, domain="localhost")
    assert before.get("/api/v1/me").status_code == 401  # the cookie it had is worth nothing
    assert person.browser.get("/api/v1/me").status_code == 200
    assert _told(sso) == []
    person.browser.post("/logout")
    assert [claims["sid"] for _, claims in _told(sso)] == [person.handle]
    assert error_of(sso.refresh(app, given["refresh_token"])) == (400, "invalid_grant")


def test_of_who_used_the_browser_before_nothing_is_left(sso: Sso) -> None:
    person = sso.person()
    sso.person("zoe", password=PASSWORD)
    app = sso.register(backchannel_logout_uri=BACK)
    given = _signed_in(sso, person, app)
    _sign_in_here(person, "zoe")
    assert [claims["sub"] for _, claims in _told(sso)] == [person.subject]
    assert error_of(sso.refresh(app, given["refresh_token"])) == (400, "invalid_grant")


def test_taking_consent_back_ends_that_app_alone(sso: Sso) -> None:
    person = sso.person()
    wiki, chat = sso.register(backchannel_logout_uri=BACK), sso.register("Chat")
    given, kept = _signed_in(sso, person, wiki), _signed_in(sso, person, chat)
    with sso.database.write() as s:
        assert consents.withdraw(s, person.id, wiki.id, sso.clock())
        assert not consents.withdraw(s, person.id, wiki.id, sso.clock())
    assert sso.userinfo(given["access_token"]).status_code == 401
    assert sso.userinfo(kept["access_token"]).status_code == 200
    assert [uri for uri, _ in _told(sso)] == [BACK]


def test_an_app_that_does_not_answer_is_told_again(sso: Sso) -> None:
    person = sso.person()
    _signed_in(sso, person, sso.register(backchannel_logout_uri=BACK))
    _deactivate(sso, person)
    tries: list[float] = []
    begin = sso.clock()

    def unreachable(uri: str, form: str) -> None:
        tries.append((sso.clock() - begin).total_seconds())
        raise Undelivered("Connection refused")

    courier = _courier(sso, unreachable)
    for _ in range(20):
        courier.deliver()
        sso.clock.pass_(seconds=1)
    assert tries == [0, 1, 3, 7, 15]
    sso.clock.pass_(seconds=600)
    assert [uri for uri, _ in _told(sso)] == [BACK]
    with sso.database.read() as s:
        notes = audit_events(s, "app-sign-out", user_id=person.id)
    assert [(note.outcome, note.detail["tries"], note.detail["error"]) for note in notes] == [
        ("delivered", 6, ""),
        ("retrying", 1, "Connection refused"),
    ]


def test_an_app_that_is_gone_for_a_day_is_given_up(sso: Sso) -> None:
    person = sso.person()
    _signed_in(sso, person, sso.register(backchannel_logout_uri=BACK))
    _deactivate(sso, person)

    def unreachable(uri: str, form: str) -> None:
        raise Undelivered("HTTP 500")

    courier = _courier(sso, unreachable)
    courier.deliver()
    sso.clock.pass_(days=1)
    assert courier.deliver() == 1
    assert courier.deliver() == 0
    with sso.database.read() as s:
        assert logout_queue.pending(s) == 0
        notes = audit_events(s, "app-sign-out")
    assert [note.outcome for note in notes] == ["given-up", "retrying"]


def test_a_delivery_whose_process_died_comes_due_again(sso: Sso) -> None:
    person = sso.person()
    _signed_in(sso, person, sso.register(backchannel_logout_uri=BACK))
    _deactivate(sso, person)
    with sso.database.write() as s:
        assert len(logout_queue.claim(s, sso.clock())) == 1  # and nothing more is heard of it
    assert _told(sso) == []
    sso.clock.pass_(seconds=30)
    assert [uri for uri, _ in _told(sso)] == [BACK]


def _notes(sso: Sso) -> list[Audit]:
    with sso.database.read() as s:
        return audit_events(s, "app-sign-out")


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A real HTTP server: its address, and what it was sent."""
    received: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            if self.path == "/moved":
                self.send_response(307)
                self.send_header("Location", "/ok")
            else:
                self.send_response(200 if self.path == "/ok" else 400)
                received.append((self.headers["Content-Type"], body))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", received
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_courier_delivers_by_itself_over_http(
    provider: Sso, receiver: tuple[str, list[tuple[str, str]]]
) -> None:
    address, received = receiver
    person = provider.person()
    for path in ("/ok", "/moved", "/bad"):
        app = provider.register(path, backchannel_logout_uri=address + path)
        _signed_in(provider, person, app)
    background = provider.app.extensions["kerauno.background"]
    background.start()
    try:
        _deactivate(provider, person)
        wait_until(lambda: len(_notes(provider)) == 3, "three apps are told")
    finally:
        background.stop()
    kinds = {kind for kind, _ in received}
    assert kinds == {"application/x-www-form-urlencoded"}
    assert all(body.startswith("logout_token=") for _, body in received)
    notes = _notes(provider)
    said = {note.detail["app"]: (note.outcome, note.detail["error"]) for note in notes}
    assert said == {
        "/ok": ("delivered", ""),
        "/moved": ("retrying", "HTTP 307"),
        "/bad": ("retrying", "HTTP 400"),
    }


def test_what_has_run_out_is_swept_and_living_things_are_not(sso: Sso) -> None:
    person, app = sso.person(), sso.register()
    given = _signed_in(sso, person, app)
    sso.code(person, app)
    sso.tokens(person, app)
    sso.clock.pass_(hours=2)
    with sso.database.write() as s:
        assert (
            authorization_requests.sweep(s, sso.clock()) == 6
        )  # 3 codes, 2 access tokens, 1 family
        assert authorization_requests.sweep(s, sso.clock()) == 0
    assert sso.refresh(app, given["refresh_token"]).status_code == 200
