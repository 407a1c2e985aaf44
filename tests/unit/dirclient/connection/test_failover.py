"""Several servers: who is asked next, who is set aside, who comes back."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from dirclient.config.profile import Profile
from dirclient.connection import pool as connection_pool
from dirclient.connection import server_health
from dirclient.connection.ldap_connection import Connection
from dirclient.connection.outages import TimedOut
from dirclient.connection.pool import Pool
from dirclient.model.deadline import time_limit
from dirclient.model.errors import Misconfigured, Unavailable
from tests.servers.process import wait_until
from tests.unit.dirclient.ldap_peer import SEARCH, SILENCE, polite
from tests.unit.dirclient.pooled import JOHN, NAME, Directory


def test_the_next_server_serves_when_the_first_is_gone(
    directories: Callable[..., Directory],
) -> None:
    directory = directories(3)
    directory.peers[0].stop()
    directory.authenticator.authenticate(JOHN, "secret")
    assert directory.binds() == [[], [NAME], []]
    assert [server.failed for server in directory.pool.servers] == [True, False, False]


def test_a_server_that_is_silent_costs_one_sign_in(
    directories: Callable[..., Directory],
) -> None:
    directory = directories(2)
    directory.peers[0].script = lambda _: SILENCE
    with pytest.raises(TimedOut):
        directory.authenticator.authenticate(JOHN, "secret")
    for _ in range(3):
        directory.authenticator.authenticate(JOHN, "secret")
    assert directory.binds() == [[NAME], [NAME] * 3]


@pytest.mark.parametrize("size", [1, 8])
def test_while_one_waits_for_a_silent_server_the_others_go_elsewhere(
    directories: Callable[..., Directory], monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Also when all connections that there may be are waiting there."""
    monkeypatch.setattr(connection_pool, "SLOW", 0.05)
    patient = {"sign_in_timeout": 30.0, "operation_timeout": 30.0, "connect_timeout": 30.0}
    directory = directories(2, pool_size=size, **patient)
    first, second = directory.peers
    first.script = lambda _: SILENCE
    ends: list[BaseException] = []

    def sign_in() -> None:
        try:
            directory.authenticator.authenticate(JOHN, "secret")
        except Unavailable as gone:
            ends.append(gone)

    unlucky = [threading.Thread(target=sign_in) for _ in range(size)]
    for thread in unlucky:
        thread.start()
    first.wait_for(lambda: len(first.binds()) == size)
    wait_until(lambda: len(directory.pool._slow(directory.pool._verifying)) == size, "it is slow")
    for _ in range(10):
        directory.authenticator.authenticate(JOHN, "secret")
    assert (len(first.binds()), len(second.binds())) == (size, 10)
    assert second.accepted == 1
    first.drop_connections()
    for thread in unlucky:
        thread.join(10)
    assert len(ends) == size


def test_a_sole_server_that_is_slow_gets_no_more_connections(
    directories: Callable[..., Directory], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_pool, "SLOW", 0.05)
    directory = directories(pool_size=2, operation_timeout=30.0, connect_timeout=30.0)
    (peer,) = directory.peers
    peer.script = lambda _: SILENCE
    threads = [threading.Thread(target=lambda: _in_vain(directory), daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert peer.accepted == 2


def _in_vain(directory: Directory) -> None:
    with pytest.raises(Unavailable):
        directory.authenticator.authenticate(JOHN, "secret")


def test_a_server_is_not_blamed_for_time_that_was_spent_elsewhere(
    directories: Callable[..., Directory],
) -> None:
    directory = directories(2)
    directory.peers[0].script = lambda _: SILENCE
    with time_limit(0.1), pytest.raises(TimedOut):
        directory.authenticator.authenticate(JOHN, "secret")
    assert not directory.pool.servers[0].failed


def test_a_connect_that_had_little_time_sets_nobody_aside(directory: Directory) -> None:
    def opener(profile: Profile, server: str, context: object) -> Connection:
        raise TimedOut("no answer")

    directory.pool._opening.opener = opener
    with time_limit(0.2), pytest.raises(Unavailable):
        directory.authenticator.authenticate(JOHN, "secret")
    assert not directory.pool.servers[0].failed
    with pytest.raises(Unavailable):
        directory.authenticator.authenticate(JOHN, "secret")
    assert directory.pool.servers[0].failed


def test_health_is_shared_by_both_kinds_of_connections(
    directories: Callable[..., Directory],
) -> None:
    directory = directories(2)
    directory.authenticator.authenticate(JOHN, "secret")
    directory.peers[0].script = lambda _: SILENCE
    with directory.pool.searching() as connection:
        assert connection.server == directory.peers[1].host
    directory.authenticator.authenticate(JOHN, "secret")
    assert directory.binds() == [[NAME, "CN=svc"], ["CN=svc", NAME]]


def test_a_server_that_comes_back_serves_again(
    directories: Callable[..., Directory], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_health, "KNOCK_EVERY", 0.02)
    directory = directories(2)
    directory.peers[0].stop()
    directory.authenticator.authenticate(JOHN, "secret")
    directory.peers[0].restart()
    wait_until(lambda: not directory.pool.servers[0].failed, "the first server is back")
    directory.authenticator.authenticate(JOHN, "secret")
    assert directory.binds() == [[NAME], [NAME]]
    wait_until(lambda: directory.pool._health._knocker is None, "nobody knocks any more")


def test_a_silent_server_does_not_count_as_back(
    directories: Callable[..., Directory], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It accepts connections, which is not enough."""
    monkeypatch.setattr(server_health, "KNOCK_EVERY", 0.02)
    directory = directories(2, connect_timeout=0.1)
    first = directory.peers[0]
    first.script = lambda _: SILENCE
    with pytest.raises(TimedOut):
        directory.authenticator.authenticate(JOHN, "secret")
    first.wait_for(lambda: [r.kind for r in first.requests].count(SEARCH) >= 3)
    assert directory.pool.servers[0].failed
    first.script = polite
    wait_until(lambda: not directory.pool.servers[0].failed, "the first server is back")


def test_when_every_server_is_gone_the_answer_comes_at_once(
    directories: Callable[..., Directory],
) -> None:
    directory = directories(2)
    for peer in directory.peers:
        peer.stop()
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            directory.authenticator.authenticate(JOHN, "secret")
        assert not caught.value.was_sent
        assert len(caught.value.tried) == 2
        assert directory.peers[1].host in caught.value.tried[1]


def test_the_only_server_is_tried_again_soon(directory: Directory) -> None:
    (peer,) = directory.peers
    peer.stop()
    with pytest.raises(Unavailable):
        directory.authenticator.authenticate(JOHN, "secret")
    peer.restart()
    directory.clock.offset = server_health.RETRY_WHEN_FAILED
    directory.authenticator.authenticate(JOHN, "secret")
    assert directory.binds() == [[NAME]]


def test_no_server_at_all_is_a_fault_to_mend(directory: Directory) -> None:
    pool = Pool(Profile(plaintext_accepted=True))
    with pytest.raises(Misconfigured) as caught, pool.verifying():
        pass
    assert caught.value.field == "servers"
