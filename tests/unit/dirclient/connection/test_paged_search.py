"""Whole subtrees from a server that pages, or goes wrong in every way a server can."""

from __future__ import annotations

from functools import partial

import pytest

from dirclient.connection.paged_search import TooLarge, paged, whole
from dirclient.model.errors import Incomplete
from dirclient.wire import decode, encode
from dirclient.wire.filters import EVERYTHING
from tests.servers.process import wait_until
from tests.unit.dirclient import ldap_peer
from tests.unit.dirclient.ldap_peer import CLOSE, SILENCE, Peer, Request, connect, result

# -- pages


def paging(pages: list[tuple[int, bytes]]) -> ldap_peer.Script:
    """Answers page after page: one entry each, this result code and cookie."""
    waiting = iter(pages)

    def script(request: Request) -> bytes:
        code, cookie = next(waiting)
        value = encode.paged_control(0, cookie).value or b""
        done = decode.integer(code, 0x0A) + decode.octets("") + decode.octets("")
        control = decode.tlv(0x30, decode.octets(decode.PAGED_RESULTS) + decode.octets(value))
        return ldap_peer.entry(request.number, f"CN={cookie!r}", {}) + decode.tlv(
            0x30,
            decode.integer(request.number) + decode.tlv(0x65, done) + decode.tlv(0xA0, control),
        )

    return script


def test_pages_are_followed_to_the_empty_cookie(peer: Peer) -> None:
    peer.script = paging([(0, b"1"), (0, b"2"), (0, b"")])
    assert [len(page) for page in paged(connect(peer), "DC=x", EVERYTHING)] == [1, 1, 1]
    assert len(peer.requests) == 3


def test_the_next_page_is_asked_for_before_this_one_is_given(peer: Peer) -> None:
    peer.script = paging([(0, b"1"), (0, b"2"), (0, b"")])
    connection = connect(peer)
    under_way = []
    asked = iter([2, 3, 3])

    def has_come(number: int) -> bool:
        return len(peer.requests) == number

    for page in paged(connection, "DC=x", EVERYTHING, ahead=True):
        assert len(page) == 1
        wait_until(partial(has_come, next(asked)), "the next request")
        under_way.append(connection.busy)
    assert under_way == [True, True, False]
    assert connection.operations == 3


@pytest.mark.parametrize("code", [1, 3, 4, 10, 11, 32, 50, 51, 52, 53, 80])
def test_a_page_with_another_result_code_is_incomplete(peer: Peer, code: int) -> None:
    peer.script = paging([(0, b"1"), (code, b"")])
    pages = paged(connect(peer), "DC=x", EVERYTHING)
    assert len(next(pages)) == 1
    with pytest.raises(Incomplete) as caught:
        next(pages)
    assert caught.value.read == 1


def test_a_server_that_does_not_page_is_incomplete(peer: Peer) -> None:
    with pytest.raises(Incomplete):
        list(paged(connect(peer), "DC=x", EVERYTHING))


def test_empty_pages_are_passed_over_but_not_for_ever(peer: Peer) -> None:
    def script(request: Request) -> bytes:
        value = encode.paged_control(0, b"more").value or b""
        done = decode.integer(0, 0x0A) + decode.octets("") + decode.octets("")
        control = decode.tlv(0x30, decode.octets(decode.PAGED_RESULTS) + decode.octets(value))
        return decode.tlv(
            0x30,
            decode.integer(request.number) + decode.tlv(0x65, done) + decode.tlv(0xA0, control),
        )

    peer.script = script
    with pytest.raises(Incomplete, match="without end"):
        list(paged(connect(peer), "DC=x", EVERYTHING))
    assert len(peer.requests) == 1001


def test_a_server_that_does_not_go_on_is_incomplete(peer: Peer) -> None:
    """One that ignores the cookie would send its first page for ever."""
    peer.script = paging([(0, b"same")] * 9)
    with pytest.raises(Incomplete, match="without end") as caught:
        list(paged(connect(peer), "DC=x", EVERYTHING))
    assert len(peer.requests) == 2
    assert caught.value.read == 2


@pytest.mark.parametrize("end", [CLOSE, SILENCE])
def test_a_page_that_never_comes_is_incomplete(peer: Peer, end: object) -> None:
    first = paging([(0, b"1")])
    peer.script = lambda r: end if len(peer.requests) > 1 else first(r)
    pages = paged(connect(peer), "DC=x", EVERYTHING)
    next(pages)
    with pytest.raises(Incomplete):
        next(pages)


# -- whole answers


def giving(entries: int, code: int = 0) -> ldap_peer.Script:
    """Answers with so many entries and this result code."""

    def script(request: Request) -> bytes:
        found = [ldap_peer.entry(request.number, f"CN={n}", {}) for n in range(entries)]
        return b"".join(found) + result(request.number, decode.SEARCH_DONE, code)

    return script


def test_a_whole_answer_costs_one_request_and_comes_in_portions(peer: Peer) -> None:
    peer.script = giving(20_000)
    connection = connect(peer, operation_timeout=10)
    portions = list(whole(connection, "DC=x", EVERYTHING, portion=500))
    assert [one.dn for part in portions for one in part] == [f"CN={n}" for n in range(20_000)]
    assert len(portions) > 4
    assert connection.operations == 1
    assert connection.alive()


@pytest.mark.parametrize("code", [1, 3, 4, 10, 11, 32, 50, 51, 52, 53, 80])
def test_a_whole_answer_with_another_result_code_is_incomplete(peer: Peer, code: int) -> None:
    peer.script = giving(3, code)
    with pytest.raises(Incomplete) as caught:
        list(whole(connect(peer), "DC=x", EVERYTHING))
    assert isinstance(caught.value, TooLarge) is (code == 4)


@pytest.mark.parametrize("end", [CLOSE, SILENCE])
def test_a_whole_answer_that_never_comes_is_incomplete(peer: Peer, end: object) -> None:
    peer.script = lambda _: end
    with pytest.raises(Incomplete):
        list(whole(connect(peer), "DC=x", EVERYTHING))


def test_nothing_else_is_asked_before_the_end_of_a_whole_answer(peer: Peer) -> None:
    peer.script = giving(20_000)
    connection = connect(peer, operation_timeout=10)
    portions = whole(connection, "DC=x", EVERYTHING, portion=500)
    next(portions)
    assert connection.busy
    with pytest.raises(RuntimeError):
        connection.search("DC=x")
    del portions  # what nobody reads on closes the connection
    assert not connection.busy
    assert connection.closed
