"""The pool: lends to one at a time, replaces what died, sets failed servers aside, comes back."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from dirclient.config.ports import Identity
from dirclient.config.profile import Profile
from dirclient.connection import pool as connection_pool
from dirclient.connection import server_health
from dirclient.connection.connect import open_connection
from dirclient.connection.ldap_connection import Connection
from dirclient.connection.outages import TimedOut
from dirclient.connection.paged_search import whole
from dirclient.model.errors import (
    BadCredentials,
    Incomplete,
    PasswordRejected,
    Refused,
    Unavailable,
)
from dirclient.wire import decode
from dirclient.wire.filters import EVERYTHING
from tests.servers.process import wait_until
from tests.unit.dirclient.ldap_peer import (
    BIND,
    CLOSE,
    MODIFY,
    SEARCH,
    SILENCE,
    Request,
    entry,
    polite,
    result,
)
from tests.unit.dirclient.pooled import GUID, JOHN, NAME, Directory

# -- one bind


def test_a_sign_in_is_one_bind_and_nothing_else(directory: Directory) -> None:
    for _ in range(5):
        directory.authenticator.authenticate(JOHN, "secret")
    (peer,) = directory.peers
    assert [(r.kind, r.bind_name) for r in peer.requests] == [(BIND, NAME)] * 5
    assert peer.accepted == 1
    assert directory.pool.operations == 5


def test_a_refusal_is_final(directories: Callable[..., Directory]) -> None:
    directory = directories(3)
    directory.script(lambda r: result(r.number, decode.BIND_RESPONSE, 49, "data 52e"))
    with pytest.raises(BadCredentials):
        directory.authenticator.authenticate(JOHN, "wrong")
    assert directory.binds() == [[NAME], [], []]


@pytest.mark.parametrize("code", [32, 34, 48, 50, 53])
def test_a_refusal_by_any_other_code_is_final(
    directories: Callable[..., Directory], code: int
) -> None:
    directory = directories(2)
    directory.script(lambda r: result(r.number, decode.BIND_RESPONSE, code))
    with pytest.raises(Refused):
        directory.authenticator.authenticate(JOHN, "secret")
    assert directory.binds() == [[NAME], []]


@pytest.mark.parametrize("end", [CLOSE, SILENCE, b"nonsense"])
def test_a_bind_that_was_sent_and_not_answered_is_not_repeated(
    directories: Callable[..., Directory], end: object
) -> None:
    directory = directories(2)
    directory.script(lambda _: end)
    with pytest.raises(Unavailable) as caught:
        directory.authenticator.authenticate(JOHN, "secret")
    assert caught.value.was_sent
    assert directory.binds() == [[NAME], []]


@pytest.mark.parametrize("password", ["", " ", "\t\u00a0", "a\0b", "\0", "x" * 2000, "half\ud83d"])
def test_a_hollow_password_never_reaches_a_server(directory: Directory, password: str) -> None:
    with pytest.raises(BadCredentials):
        directory.authenticator.authenticate(JOHN, password)
    for old, new in ((password, "New!Pass22"), ("Old!Pass11", password)):
        with pytest.raises(PasswordRejected):
            directory.authenticator.change_password(JOHN, old, new)
    assert directory.peers[0].accepted == 0


def test_an_identity_without_a_name_never_reaches_a_server(
    directories: Callable[..., Directory],
) -> None:
    directory = directories(preset="openldap")
    with pytest.raises(BadCredentials):
        directory.authenticator.authenticate(Identity(GUID, " "), "secret")
    assert directory.peers[0].accepted == 0


def test_openldap_is_asked_by_the_stored_dn(directories: Callable[..., Directory]) -> None:
    directory = directories(preset="openldap")
    directory.authenticator.authenticate(JOHN, "secret")
    assert directory.binds() == [[JOHN.dn]]


def test_a_password_is_changed_on_encrypted_connections_only(directory: Directory) -> None:
    with pytest.raises(PasswordRejected) as caught:
        directory.authenticator.change_password(JOHN, "Old!Pass11", "New!Pass22")
    assert caught.value.reason == "insecure"
    assert directory.peers[0].accepted == 0


def test_all_connections_share_one_tls_context(
    directories: Callable[..., Directory], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Making one costs milliseconds, and a sign-in has none to give away."""
    contexts: list[object] = []

    def opener(profile: Profile, server: str, context: object) -> Connection:
        contexts.append(context)
        raise Unavailable("not today")

    directory = directories(2, encryption="starttls")
    directory.pool._opening.opener = opener
    for _ in range(2):
        directory.clock.offset += 1
        with pytest.raises(Unavailable):
            directory.authenticator.authenticate(JOHN, "secret")
    assert len(contexts) == 4
    assert len(set(contexts)) == 1
    assert contexts[0] is not None


# -- connections that died


def test_a_connection_that_died_idle_is_replaced_unnoticed(directory: Directory) -> None:
    directory.authenticator.authenticate(JOHN, "secret")
    directory.peers[0].drop_connections()
    with directory.pool.searching() as connection:
        connection.search("")
    directory.authenticator.authenticate(JOHN, "secret")
    assert [r.kind for r in directory.peers[0].requests].count(BIND) == 3  # one is the service's


def test_a_connection_that_dies_while_it_is_written_to_is_replaced(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the check and the write: what did not leave whole may go on another connection."""
    directory.authenticator.authenticate(JOHN, "secret")
    monkeypatch.setattr(Connection, "alive", lambda _: True)
    idle = directory.pool._verifying.idle[0]
    directory.peers[0].drop_connections()
    idle._sock.shutdown(2)
    directory.authenticator.authenticate(JOHN, "secret")
    assert directory.binds() == [[NAME, NAME]]
    assert directory.peers[0].accepted == 2


def test_a_question_is_put_once_more_when_its_connection_breaks(directory: Directory) -> None:
    (peer,) = directory.peers
    peer.script = lambda r: CLOSE if r.kind == SEARCH and r.connection == 1 else polite(r)
    answer = directory.pool.ask(lambda connection: connection.search("DC=x"))
    assert answer.code == 0
    assert [r.kind for r in peer.requests] == [BIND, SEARCH, BIND, SEARCH]


def test_a_question_that_was_not_answered_in_time_is_not_repeated(directory: Directory) -> None:
    (peer,) = directory.peers
    peer.script = lambda r: SILENCE if r.kind == SEARCH else polite(r)
    with pytest.raises(TimedOut):
        directory.pool.ask(lambda connection: connection.search("DC=x"))
    assert [r.kind for r in peer.requests] == [BIND, SEARCH]


# -- limits


@pytest.mark.parametrize("limit", [connection_pool.IDLE_LIMIT, connection_pool.AGE_LIMIT])
def test_a_connection_has_an_idle_limit_and_an_age_limit(
    directory: Directory, limit: float
) -> None:
    directory.authenticator.authenticate(JOHN, "secret")
    directory.clock.offset = limit - 1 if limit == connection_pool.IDLE_LIMIT else 0
    directory.authenticator.authenticate(JOHN, "secret")
    assert directory.peers[0].accepted == 1
    directory.clock.offset = limit + 1
    directory.authenticator.authenticate(JOHN, "secret")
    assert directory.peers[0].accepted == 2


def test_the_idle_limit_is_below_what_firewalls_and_servers_forget() -> None:
    assert connection_pool.IDLE_LIMIT < 300


def test_no_more_connections_than_the_pool_may_have(directory: Directory) -> None:
    """Six sign-ins at once on three connections: each waits for its turn, one bind in flight."""
    gate = threading.Event()
    (peer,) = directory.peers

    def script(request: Request) -> object:
        gate.wait(10)
        return polite(request)

    peer.script = script
    errors: list[BaseException] = []

    def sign_in() -> None:
        try:
            directory.authenticator.authenticate(JOHN, "secret")
        except BaseException as fault:
            errors.append(fault)

    threads = [threading.Thread(target=sign_in) for _ in range(6)]
    for thread in threads:
        thread.start()
    peer.wait_for(lambda: len(peer.requests) == 3)
    gate.set()
    for thread in threads:
        thread.join(10)
    assert errors == []
    assert peer.accepted == 3
    assert len(peer.requests) == 6


def test_who_waits_longest_is_served_first(directories: Callable[..., Directory]) -> None:
    """Even when the one who gives back comes again at once."""
    directory = directories(pool_size=1, sign_in_timeout=10)
    pool = directory.pool
    served: list[str] = []

    def work(name: str) -> None:
        with pool.verifying():
            served.append(name)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    with pool.verifying():
        for number, thread in enumerate(threads, 1):
            thread.start()
            wait_until(
                lambda: len(pool._verifying.waiting) == number,  # noqa: B023 - asked at once
                "one more waits",
            )
    work("me again")
    for thread in threads:
        thread.join(10)
    assert served == ["a", "b", "c", "me again"]


def test_who_waits_opens_a_connection_where_one_broke(
    directories: Callable[..., Directory],
) -> None:
    directory = directories(pool_size=1, sign_in_timeout=10)
    served: list[Connection] = []

    def work() -> None:
        with directory.pool.verifying() as connection:
            served.append(connection)

    thread = threading.Thread(target=work)
    with directory.pool.verifying() as first:
        thread.start()
        wait_until(lambda: bool(directory.pool._verifying.waiting), "one waits")
        first.close()
    thread.join(10)
    assert len(served) == 1
    assert served != [first]


def test_closing_sends_those_who_wait_away(directories: Callable[..., Directory]) -> None:
    directory = directories(pool_size=1, sign_in_timeout=10)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            directory.authenticator.authenticate(JOHN, "secret")
        except Unavailable as closed:
            errors.append(closed)

    thread = threading.Thread(target=work)
    with directory.pool.verifying():
        thread.start()
        wait_until(lambda: bool(directory.pool._verifying.waiting), "one waits")
        directory.pool.close()
        thread.join(10)
    assert len(errors) == 1


def test_waiting_for_a_connection_has_an_end(directories: Callable[..., Directory]) -> None:
    directory = directories(pool_size=1, sign_in_timeout=0.5)
    with directory.pool.verifying(), pytest.raises(Unavailable, match="busy"):
        directory.authenticator.authenticate(JOHN, "secret")
    directory.authenticator.authenticate(JOHN, "secret")


def test_many_threads_never_share_a_connection(directory: Directory) -> None:
    def work() -> None:
        for _ in range(50):
            directory.authenticator.authenticate(JOHN, "secret")
            directory.pool.ask(lambda connection: connection.search("DC=x"))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    (peer,) = directory.peers
    kinds = {r.connection: {one.kind for one in peer.requests} for r in peer.requests}
    assert len(kinds) <= 6
    assert sum(name == NAME for name in directory.binds()[0]) == 400
    by_connection: dict[int, set[str]] = {}
    for request in peer.requests:
        kind = request.bind_name if request.kind == BIND else "search"
        by_connection.setdefault(request.connection, set()).add(kind)
    assert sorted(map(sorted, by_connection.values())) in [
        [[NAME]] * verifying + [["CN=svc", "search"]] * searching
        for verifying in range(1, 4)
        for searching in range(1, 4)
    ]


# -- answers left unread


def test_a_connection_with_an_answer_under_way_is_not_lent_again(directory: Directory) -> None:
    def many(request: Request) -> bytes:
        entries = [entry(request.number, f"CN={n}", {}) for n in range(20_000)]
        return b"".join(entries) + result(request.number, decode.SEARCH_DONE)

    directory.script(lambda r: many(r) if r.kind == SEARCH else polite(r))
    begun = []

    def give_up(connection: Connection) -> None:
        portions = whole(connection, "DC=x", EVERYTHING, portion=100)
        begun.append((portions, next(portions)))
        raise Incomplete("an entry cannot be read")

    with pytest.raises(Incomplete):
        directory.pool.ask(give_up)
    directory.script(polite)
    directory.pool.ask(lambda connection: connection.search("DC=x"))
    assert directory.peers[0].accepted == 2


# -- the end


def test_a_closed_pool_lends_no_more(directory: Directory) -> None:
    with directory.pool.verifying() as lent:
        directory.pool.close()
    assert lent.closed
    with pytest.raises(Unavailable):
        directory.authenticator.authenticate(JOHN, "secret")


def test_a_private_connection_ends_with_its_block(directory: Directory) -> None:
    lent: list[Connection] = []

    def work(connection: Connection) -> None:
        lent.append(connection)
        connection.bind("CN=x", "secret")
        assert connection.modify("CN=x", [("replace", "a", [b"1"])]).code == 0

    directory.pool.prove(work, private=True)
    assert lent[0].closed
    assert [r.kind for r in directory.peers[0].requests] == [BIND, MODIFY]
    assert directory.pool.operations == 2


def test_a_forked_process_uses_connections_of_its_own(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.authenticator.authenticate(JOHN, "secret")
    monkeypatch.setattr(directory.pool, "_pid", -1)
    directory.authenticator.authenticate(JOHN, "secret")
    assert directory.peers[0].accepted == 2


def test_an_opener_that_breaks_does_not_end_the_watch(
    directories: Callable[..., Directory], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_health, "KNOCK_EVERY", 0.02)
    broken = threading.Event()

    def opener(profile: Profile, server: str, context: object) -> Connection:
        if threading.current_thread().name == "directory-health" and not broken.is_set():
            broken.set()
            raise KeyError(server)
        return open_connection(profile, server, None)

    directory = directories(2)
    directory.pool._opening.opener = opener
    directory.peers[0].stop()
    directory.authenticator.authenticate(JOHN, "secret")
    assert broken.wait(10)
    directory.peers[0].restart()
    wait_until(lambda: not directory.pool.servers[0].failed, "the first server is back")
