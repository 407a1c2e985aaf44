"""The account that searches: it binds once, and its refusal is not repeated for nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from dirclient.connection import service_account
from dirclient.model.errors import BadCredentials, Locked, Misconfigured, PasswordWasRight
from dirclient.wire import decode
from tests.unit.dirclient.ldap_peer import BIND, SEARCH, Request, polite, result
from tests.unit.dirclient.pooled import JOHN, Directory


def test_the_service_account_binds_once_for_many_questions(directory: Directory) -> None:
    for _ in range(4):
        directory.pool.ask(lambda connection: connection.search("DC=x"))
    assert [r.kind for r in directory.peers[0].requests] == [BIND] + [SEARCH] * 4


def refuse_service(request: Request, data: str) -> object:
    """Refuse the service account's binds alone."""
    if request.kind == BIND and request.bind_name == "CN=svc":
        return result(request.number, decode.BIND_RESPONSE, 49, f"data {data}, v1")
    return polite(request)


def ask(directory: Directory) -> Misconfigured:
    """Return what asking anything says."""
    with pytest.raises(Misconfigured) as caught:
        directory.pool.ask(lambda connection: connection.search("DC=x"))
    return caught.value


@pytest.mark.parametrize(
    ("data", "field", "said"),
    [
        ("52e", "password", "wrong"),
        ("775", "username", "locked"),
        ("533", "username", "disabled"),
        ("532", "username", "expired"),
        ("773", "username", "must be changed"),
    ],
)
def test_a_refused_service_account_is_a_fault_to_mend(
    directory: Directory, data: str, field: str, said: str
) -> None:
    directory.script(lambda r: refuse_service(r, data))
    fault = ask(directory)
    assert fault.field == field
    assert said in str(fault)
    assert isinstance(fault.__cause__, BadCredentials if data == "52e" else Exception)
    directory.authenticator.authenticate(JOHN, "secret")  # linked people still sign in


def test_a_wrong_service_password_does_not_lock_the_account(
    directories: Callable[..., Directory],
) -> None:
    """However often somebody asks: the pauses between two binds grow."""
    directory = directories(2)
    directory.script(lambda r: refuse_service(r, "52e"))
    for _ in range(10):
        ask(directory)
    assert directory.binds() == [["CN=svc"], []]
    first, longest = service_account.WRONG_PASSWORD_PAUSE
    passed = 0.0
    pauses: list[float] = []
    for _ in range(6):
        pause = first
        while len(directory.binds()[0]) == 1 + len(pauses):
            passed += pause
            directory.clock.offset = passed + 1
            ask(directory)
        pauses.append(passed - sum(pauses))
    assert pauses == sorted(pauses)
    assert pauses[0] == first
    assert pauses[-1] == longest
    directory.script(polite)
    directory.clock.offset = passed + longest + 10
    directory.pool.ask(lambda connection: connection.search("DC=x"))


def test_how_long_ago_it_was_refused_is_told(directories: Callable[..., Directory]) -> None:
    directory = directories(2)
    assert directory.pool.refused_for is None
    directory.script(lambda r: refuse_service(r, "52e"))
    ask(directory)
    before = directory.clock.offset
    directory.clock.offset = before + 200
    assert directory.pool.refused_for == pytest.approx(200, abs=5)
    directory.script(polite)
    directory.clock.offset = before + service_account.WRONG_PASSWORD_PAUSE[1] + 10
    directory.pool.ask(lambda connection: connection.search("DC=x"))
    assert directory.pool.refused_for is None


def test_many_who_start_at_once_bind_a_refused_service_account_once(
    directories: Callable[..., Directory],
) -> None:
    directory = directories(pool_size=8)
    directory.script(lambda r: refuse_service(r, "52e"))
    start = threading.Barrier(8)
    faults: list[str] = []

    def work() -> None:
        start.wait(10)
        faults.append(ask(directory).field)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert faults == ["password"] * 8
    assert directory.binds() == [["CN=svc"]]


@pytest.mark.parametrize("code", ["775", "533", "701", "532", "773", "530", "531"])
def test_what_counts_as_no_wrong_password_is_asked_again_within_seconds(
    directory: Directory, code: str
) -> None:
    """However long it lasts: no pause grows, and the account is used within ten seconds."""
    directory.script(lambda r: refuse_service(r, code))
    for attempt in range(30):
        directory.clock.offset = attempt * (service_account.OTHER_PAUSE + 0.1)
        assert isinstance(ask(directory).__cause__, Locked | PasswordWasRight)
    assert len(directory.binds()[0]) == 30
    directory.script(polite)
    ask(directory)
    directory.clock.offset += 10
    directory.pool.ask(lambda connection: connection.search("DC=x"))


def test_a_server_that_wants_encryption_is_a_fault_to_mend(directory: Directory) -> None:
    directory.script(lambda r: result(r.number, decode.BIND_RESPONSE, 8, "Transport encryption"))
    for _ in range(2):
        assert ask(directory).field == "encryption"


@pytest.mark.parametrize("missing", ["username", "password"])
def test_an_incomplete_service_account_is_never_bound(
    directories: Callable[..., Directory], missing: str
) -> None:
    directory = directories(**{missing: ""})
    assert ask(directory).field == missing
    assert directory.binds() == [[]]
