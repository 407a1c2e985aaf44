"""A server that was set aside: when it is used again, how often it is asked, what is told of it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from dirclient.connection import server_health
from dirclient.connection.ldap_connection import Connection
from dirclient.connection.outages import TimedOut
from dirclient.connection.server_health import Health, Operation
from dirclient.model.directory_objects import ServerState
from dirclient.model.errors import Unavailable
from dirclient.wire import decode
from tests.servers.process import wait_until
from tests.unit.dirclient.ldap_peer import BIND, SEARCH, SILENCE, Request, polite, result
from tests.unit.dirclient.pooled import JOHN, NAME, Clock, Directory

Directories = Callable[..., Directory]
NOBODY = re.compile(r"<GUID=[0-9a-f-]{36}>")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Knocks follow each other fast."""
    monkeypatch.setattr(server_health, "KNOCK_EVERY", 0.02)
    monkeypatch.setattr(server_health, "LONGEST_KNOCK", 0.1)


def silent_at(*kinds: int, of: str = "") -> Callable[[Request], object]:
    """A script: no answer to these requests, or of binds only to those by this name.

    The root DSE answers always.
    """

    def script(request: Request) -> object:
        root = request.kind == SEARCH and request.body.startswith(b"\x04\x00\x0a\x01\x00")
        other = of and request.kind == BIND and not re.fullmatch(of, request.bind_name)
        return SILENCE if request.kind in kinds and not root and not other else polite(request)

    return script


def wait_back(directory: Directory) -> None:
    """Until the first server is used again."""
    wait_until(lambda: not directory.pool.servers[0].failed, "the first server is back")


def look(connection: Connection) -> int:
    """A question."""
    return connection.search("DC=x").code


# -- the knock asks what failed


@pytest.mark.parametrize("of", ["", "<GUID=.*"], ids=["anybody", "people"])
def test_a_server_that_answers_no_bind_is_not_called_back(
    directories: Directories, of: str
) -> None:
    """Its root DSE answers all the while."""
    directory = directories(2, sign_in_timeout=0.8, connect_timeout=0.3)
    first = directory.peers[0]
    first.script = silent_at(BIND, of=of)
    with pytest.raises(TimedOut):
        directory.authenticator.authenticate(JOHN, "secret")
    first.wait_for(lambda: len(first.binds()) >= 4)
    for _ in range(3):
        directory.authenticator.authenticate(JOHN, "secret")
    assert [request.bind_name for request in first.binds()].count(NAME) == 1
    first.script = polite
    wait_back(directory)
    directory.authenticator.authenticate(JOHN, "secret")
    assert [request.bind_name for request in first.binds()].count(NAME) == 2


def test_a_server_that_answers_no_search_is_not_called_back(directories: Directories) -> None:
    directory = directories(2)
    first = directory.peers[0]
    first.script = silent_at(SEARCH)
    with pytest.raises(TimedOut):
        directory.pool.ask(look)
    first.wait_for(lambda: [r.kind for r in first.requests].count(SEARCH) >= 4)
    for _ in range(3):
        assert directory.pool.ask(look) == 0
    assert directory.pool.servers[0].failed
    first.script = polite
    wait_back(directory)


def test_a_knock_signs_nobody_in_but_the_service_account(directories: Directories) -> None:
    directory = directories(2)
    first = directory.peers[0]
    first.script = lambda r: result(r.number, decode.BIND_RESPONSE, 51)
    directory.authenticator.authenticate(JOHN, "secret")
    first.script = polite
    wait_back(directory)
    first.wait_for(lambda: first.departed == first.accepted)
    names = [request.bind_name for request in first.binds()][1:]
    assert {name for name in names if name != "CN=svc"} != set()
    for name in names:
        assert name == "CN=svc" or (NOBODY.fullmatch(name) and name != NAME)


def test_a_refused_service_account_keeps_no_server_away(directories: Directories) -> None:
    """The server has judged, which is what was asked of it; the account is not asked again."""
    directory = directories(2)
    first = directory.peers[0]
    first.script = lambda r: result(r.number, decode.BIND_RESPONSE, 51)
    directory.authenticator.authenticate(JOHN, "secret")

    def refusing(request: Request) -> object:
        refused = request.kind == BIND
        kind = decode.BIND_RESPONSE
        return result(request.number, kind, 49, "data 52e") if refused else polite(request)

    first.script = refusing
    wait_back(directory)
    assert [request.bind_name for request in first.binds()].count("CN=svc") == 1


@pytest.mark.parametrize("missing", ["username", "password"])
def test_without_a_service_account_nobodys_bind_will_do(
    directories: Directories, missing: str
) -> None:
    directory = directories(2, **{missing: ""})
    first = directory.peers[0]
    first.script = lambda r: result(r.number, decode.BIND_RESPONSE, 51)
    directory.authenticator.authenticate(JOHN, "secret")
    first.script = polite
    wait_back(directory)
    assert all(request.bind_name for request in first.binds())


def test_a_knock_that_waits_holds_nobody_up(directories: Directories) -> None:
    """The service account signs in at the second server while the first keeps the knock waiting."""
    directory = directories(2, sign_in_timeout=5.0, connect_timeout=5.0, operation_timeout=5.0)
    first = directory.peers[0]
    first.script = lambda r: result(r.number, decode.BIND_RESPONSE, 51)
    directory.authenticator.authenticate(JOHN, "secret")
    first.script = silent_at(BIND)
    before = len(first.binds())
    first.wait_for(lambda: len(first.binds()) > before)
    answered = threading.Event()

    def work() -> None:
        look_up = directory.pool.ask(look)
        if look_up == 0:
            answered.set()

    threading.Thread(target=work, daemon=True).start()
    assert answered.wait(3)


# -- how often


def times(failures: int, clock: Clock, each: float) -> list[float]:
    """After how many seconds a server is asked again that fails, and comes back in between."""
    asked = Health(["dc1"], lambda *_: None, clock)
    asked.stop()
    pauses = []
    for _ in range(failures):
        asked.set_aside(0, Unavailable("no"), Operation.BIND)
        pauses.append(asked.servers[0].knock_at - clock())
        clock.offset += each
        asked.recovered(0)
    return pauses


def test_a_server_that_fails_again_and_again_is_asked_ever_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server_health, "KNOCK_EVERY", 2.0)
    rising = [2, 4, 8, 16, 32, 60, 60]
    assert times(7, Clock(), 60) == pytest.approx(rising, abs=0.1)
    monkeypatch.setattr(server_health, "RELAPSE", -1.0)  # each is long after the one before
    assert times(3, Clock(), 1) == pytest.approx([2, 2, 2], abs=0.1)


def test_knocks_in_vain_grow_rare_but_never_rarer_than_ten_seconds() -> None:
    assert server_health.LONGEST_KNOCK <= 10 - 2


# -- what is told


def test_each_change_is_told_once(
    directories: Directories, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[ServerState] = []
    directory = directories(2)
    directory.pool.watch_servers(told.append)
    first, second = directory.peers
    first.script = lambda r: result(r.number, decode.BIND_RESPONSE, 52)
    before = datetime.now(UTC)
    for _ in range(5):
        directory.authenticator.authenticate(JOHN, "secret")
    state, other = directory.pool.states
    assert [(one.address, one.up, one.reason) for one in told] == [
        (first.host, False, state.reason)
    ]
    assert (state.address, state.up, state.operation) == (first.host, False, "bind")
    assert "result code 52" in state.reason
    assert state.until is not None
    assert state.since is not None
    assert before <= state.since <= datetime.now(UTC)
    assert other == ServerState(second.host, True)
    first.script = polite
    wait_until(lambda: len(told) == 2, "it is told that the server is back")
    assert told[1] == ServerState(first.host, True) == directory.pool.states[0]
    lines = [r.getMessage() for r in caplog.records if "directory server" in r.getMessage()]
    assert len(lines) == 2
    assert "set aside (bind)" in lines[0]
    assert "is back" in lines[1]


def test_a_sole_server_is_back_when_it_has_done_what_it_failed_at(directory: Directory) -> None:
    """Connecting to it is not enough."""
    (peer,) = directory.peers
    peer.script = lambda r: (
        result(r.number, decode.BIND_RESPONSE, 52) if r.kind == BIND else polite(r)
    )
    for _ in range(3):
        with pytest.raises(Unavailable):
            directory.authenticator.authenticate(JOHN, "secret")
        assert directory.pool.servers[0].failed
    peer.script = polite
    directory.authenticator.authenticate(JOHN, "secret")
    assert not directory.pool.servers[0].failed
