"""A server that answers without judging: the next one is asked, and it is set aside."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from dirclient.connection.ldap_connection import Connection
from dirclient.connection.paged_search import paged
from dirclient.model.errors import BadCredentials, Incomplete, Misconfigured, Unavailable
from dirclient.probe.connection_test import DirectoryProber
from dirclient.wire import decode
from dirclient.wire.filters import EVERYTHING
from tests.servers.process import wait_until
from tests.unit.dirclient.ldap_peer import BIND, CLOSE, MODIFY, SEARCH, Request, polite, result
from tests.unit.dirclient.pooled import JOHN, NAME, Directory

AD = "80090308: LdapErr: DSID-0C090569, comment: AcceptSecurityContext error, data {}, v4f7c\0"
LOST = "000004DC: LdapErr: DSID-0C090A5C, comment: In order to perform this operation a successful "
LOST += "bind must be completed on the connection., data 0, v4563\0"

CANNOT_JUDGE = [
    *((49, AD.format(data)) for data in ("51f", "6ba", "6bb", "6fb", "6fd", "5", "80090346")),
    *((code, "") for code in (1, 3, 8, 10, 11, 13, 51, 52, 80)),
]
"""What a domain controller answers that could look at nobody's password."""

Directories = Callable[..., Directory]


def answers(code: int, message: str = "", kind: int = SEARCH) -> Callable[[Request], object]:
    """A script: this answer to everything of a kind, and politeness."""
    done = {SEARCH: decode.SEARCH_DONE, BIND: decode.BIND_RESPONSE, MODIFY: decode.MODIFY_RESPONSE}
    return lambda r: result(r.number, done[kind], code, message) if r.kind == kind else polite(r)


def searches(directory: Directory) -> list[int]:
    """How many searches each server saw."""
    return [[r.kind for r in peer.requests].count(SEARCH) for peer in directory.peers]


def look(connection: Connection) -> int:
    """A question."""
    return connection.search("DC=x").code


def knockers() -> list[threading.Thread]:
    """Return who asks servers that are set aside."""
    return [thread for thread in threading.enumerate() if thread.name == "directory-health"]


# -- passwords


@pytest.mark.parametrize(("code", "message"), CANNOT_JUDGE)
def test_a_server_that_cannot_judge_a_password_costs_nobody_a_sign_in(
    directories: Directories, code: int, message: str
) -> None:
    directory = directories(2)
    directory.peers[0].script = answers(code, message, BIND)
    for _ in range(3):
        directory.authenticator.authenticate(JOHN, "secret")
    assert directory.binds() == [[NAME], [NAME] * 3]
    assert [server.failed for server in directory.pool.servers] == [True, False]


@pytest.mark.parametrize(("code", "message"), CANNOT_JUDGE)
def test_what_no_server_could_judge_counts_for_nobody(
    directories: Directories, code: int, message: str
) -> None:
    directory = directories(2)
    directory.script(answers(code, message, BIND))
    with pytest.raises((Unavailable, Misconfigured)) as caught:
        directory.authenticator.authenticate(JOHN, "secret")
    assert not getattr(caught.value, "asked", False)
    assert isinstance(caught.value, Misconfigured) is (code in (8, 10, 13))
    assert directory.binds() == [[NAME], [NAME]]
    directory.script(polite)
    directory.authenticator.authenticate(JOHN, "secret")  # asked again at once: a no is quick


def test_the_next_servers_word_on_a_password_is_final(directories: Directories) -> None:
    directory = directories(3)
    directory.script(answers(49, AD.format("52e"), BIND))
    directory.peers[0].script = answers(52, "", BIND)
    with pytest.raises(BadCredentials):
        directory.authenticator.authenticate(JOHN, "wrong")
    assert directory.binds() == [[NAME], [NAME], []]


@pytest.mark.parametrize(("code", "message"), CANNOT_JUDGE)
def test_the_service_account_goes_to_the_next_server_too(
    directories: Directories, code: int, message: str
) -> None:
    directory = directories(2)
    directory.peers[0].script = answers(code, message, BIND)
    assert directory.pool.ask(look) == 0
    assert directory.binds() == [["CN=svc"], ["CN=svc"]]
    assert searches(directory) == [0, 1]


def test_a_server_that_hangs_up_on_everybody_costs_one_sign_in(directories: Directories) -> None:
    directory = directories(2)
    directory.peers[0].script = lambda _: CLOSE
    with pytest.raises(Unavailable) as caught:
        directory.authenticator.authenticate(JOHN, "secret")
    assert caught.value.was_sent
    for _ in range(3):
        directory.authenticator.authenticate(JOHN, "secret")
    assert directory.binds() == [[NAME], [NAME] * 3]


@pytest.mark.parametrize(("code", "message"), CANNOT_JUDGE)
def test_the_connection_test_signs_in_where_a_server_judges(
    directories: Directories, code: int, message: str
) -> None:
    directory = directories(2, user_search_dn="DC=x", operation_timeout=1.0)
    directory.peers[0].script = answers(code, message, BIND)
    steps = {step.name: step for step in DirectoryProber(directory.profile).probe()}
    assert steps["bind"].ok
    assert steps["bind"].summary == f"CN=svc may sign in at {directory.peers[1].host}."
    assert f"{directory.peers[0].host} " in steps["bind"].remedy
    assert directory.binds() == [["CN=svc"], ["CN=svc"]]
    wait_until(lambda: not knockers(), "nobody knocks any more")


# -- questions


@pytest.mark.parametrize("code", [1, 3, 11, 51, 52, 80])
def test_a_question_goes_to_the_next_server(directories: Directories, code: int) -> None:
    directory = directories(2)
    directory.peers[0].script = answers(code)
    for _ in range(3):
        assert directory.pool.ask(look) == 0
    assert searches(directory) == [1, 3]
    assert [server.failed for server in directory.pool.servers] == [True, False]


@pytest.mark.parametrize("code", [1, 3, 11, 51, 52, 80])
def test_a_read_in_pages_goes_to_the_next_server(directories: Directories, code: int) -> None:
    directory = directories(2)
    directory.peers[0].script = answers(code)
    control = decode.tlv(0x30, decode.integer(0) + decode.octets(b""))
    listed = decode.tlv(0x30, decode.octets(decode.PAGED_RESULTS) + decode.octets(control))
    directory.peers[1].script = lambda r: (
        _with_controls(r, listed) if r.kind == SEARCH else polite(r)
    )
    pages = directory.pool.ask(lambda connection: list(paged(connection, "DC=x", EVERYTHING)))
    assert pages == [[]]
    assert searches(directory) == [1, 1]


def _with_controls(request: Request, controls: bytes) -> bytes:
    done = decode.tlv(
        decode.SEARCH_DONE, decode.integer(0, 0x0A) + decode.octets("") + decode.octets("")
    )
    return decode.tlv(0x30, decode.integer(request.number) + done + decode.tlv(0xA0, controls))


@pytest.mark.parametrize("code", [1, 3, 11, 80])
def test_what_every_server_declines_is_the_questions_fault(
    directories: Directories, code: int
) -> None:
    directory = directories(2)
    directory.script(answers(code, "too much"))
    for _ in range(2):
        with pytest.raises(Unavailable, match=f"result code {code}"):
            directory.pool.ask(look)
    assert searches(directory) == [2, 2]
    assert not any(server.failed for server in directory.pool.servers)


@pytest.mark.parametrize("code", [3, 4, 11, 51])
def test_a_read_that_every_server_declines_is_incomplete(
    directories: Directories, code: int
) -> None:
    directory = directories(2)
    directory.script(answers(code))
    with pytest.raises(Incomplete):
        directory.pool.ask(lambda connection: list(paged(connection, "DC=x", EVERYTHING)))
    assert searches(directory) == [1, 0 if code == 4 else 1]


def test_a_server_that_hangs_up_at_every_search_is_set_aside(directories: Directories) -> None:
    directory = directories(2)
    directory.peers[0].script = lambda r: CLOSE if r.kind == SEARCH else polite(r)
    for _ in range(3):
        assert directory.pool.ask(look) == 0
    assert searches(directory) == [2, 3]


@pytest.mark.parametrize("count", [1, 2])
def test_a_long_read_that_breaks_begins_again_at_another_server_alone(
    directories: Directories, count: int
) -> None:
    directory = directories(count)
    directory.script(lambda r: CLOSE if r.kind == SEARCH else polite(r))
    with pytest.raises(Incomplete, match="cut short"):
        directory.pool.ask(lambda connection: list(paged(connection, "DC=x", EVERYTHING)))
    assert searches(directory) == [1] * count
    assert not any(server.failed for server in directory.pool.servers)


@pytest.mark.parametrize("code", [2, 12, 16, 34, 50, 53])
def test_no_other_result_code_is_taken_for_an_empty_answer(directory: Directory, code: int) -> None:
    directory.script(answers(code, "no"))
    with pytest.raises(Unavailable, match=f"result code {code}"):
        directory.pool.ask(look)
    assert searches(directory) == [1]
    expecting = directory.pool.ask(lambda c: c.search("DC=x", expecting={code}))
    assert (expecting.code, expecting.message) == (code, "no")


# -- changes


def change(connection: Connection) -> int:
    """Something that must not be done twice."""
    return connection.modify("CN=x", [("replace", "a", [b"1"])]).code


def changes(directory: Directory) -> list[int]:
    """How many changes each server was asked for."""
    return [[r.kind for r in peer.requests].count(MODIFY) for peer in directory.peers]


@pytest.mark.parametrize("code", [1, 10, 51, 52])
def test_a_change_that_a_server_did_not_make_is_made_at_the_next(
    directories: Directories, code: int
) -> None:
    directory = directories(2)
    directory.peers[0].script = answers(code, "", MODIFY)
    assert directory.pool.ask(change, repeatable=False) == 0
    assert changes(directory) == [1, 1]
    # A read-only domain controller refers; it serves all the same.
    assert directory.pool.servers[0].failed is (code != 10)


@pytest.mark.parametrize("code", [3, 11, 19, 50, 53, 80])
def test_a_change_of_which_that_is_not_known_is_made_nowhere_else(
    directories: Directories, code: int
) -> None:
    directory = directories(2)
    directory.peers[0].script = answers(code, "", MODIFY)
    assert directory.pool.ask(change, repeatable=False) == code
    assert changes(directory) == [1, 0]


def test_a_change_that_was_not_answered_is_not_repeated(directories: Directories) -> None:
    directory = directories(2)
    directory.peers[0].script = lambda r: CLOSE if r.kind == MODIFY else polite(r)
    with pytest.raises(Unavailable):
        directory.pool.ask(change, repeatable=False)
    assert changes(directory) == [1, 0]


def test_a_change_on_a_connection_that_lost_its_bind_is_made_on_another(
    directory: Directory,
) -> None:
    (peer,) = directory.peers
    lost = answers(1, LOST, MODIFY)
    peer.script = lambda r: lost(r) if r.connection == 1 else polite(r)
    assert directory.pool.ask(change, repeatable=False) == 0
    assert [r.kind for r in peer.requests] == [BIND, MODIFY, BIND, MODIFY]


# -- binds that got lost


def forgets_binds(*connections: int) -> Callable[[Request], object]:
    """A script: these connections are bound no more."""
    lost = answers(1, LOST)
    return lambda r: lost(r) if r.connection in connections else polite(r)


def test_a_connection_that_lost_its_bind_is_bound_anew(directory: Directory) -> None:
    (peer,) = directory.peers
    peer.script = forgets_binds(1, 2)
    with directory.pool.searching() as first, directory.pool.searching() as second:
        assert first is not second
    assert directory.pool.ask(look) == 0
    assert [r.kind for r in peer.requests] == [BIND, BIND, SEARCH, BIND, SEARCH]
    assert first.closed or second.closed
    assert not directory.pool.servers[0].failed


def test_a_server_that_keeps_no_bind_is_set_aside(directories: Directories) -> None:
    directory = directories(2)
    directory.peers[0].script = answers(1, LOST)
    assert directory.pool.ask(look) == 0
    assert searches(directory) == [2, 1]
    assert directory.pool.servers[0].failed


def test_a_read_whose_bind_got_lost_begins_again(directory: Directory) -> None:
    (peer,) = directory.peers
    peer.script = forgets_binds(1)
    with pytest.raises(Incomplete, match="answer in pages"):  # the peer does not page
        directory.pool.ask(lambda connection: list(paged(connection, "DC=x", EVERYTHING)))
    assert [r.kind for r in peer.requests] == [BIND, SEARCH, BIND, SEARCH]
