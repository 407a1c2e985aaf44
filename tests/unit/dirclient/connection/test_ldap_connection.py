"""One connection against a server that answers, or goes wrong in every way a server can."""

from __future__ import annotations

import socket
import time

import pytest

from dirclient.connection import ldap_connection
from dirclient.connection.ldap_connection import Connection
from dirclient.connection.outages import NotSent, TimedOut
from dirclient.model.deadline import answer_limit, time_limit
from dirclient.model.errors import BadCredentials, Unavailable
from dirclient.wire import decode
from dirclient.wire.filters import EVERYTHING
from tests.unit.dirclient import ldap_peer
from tests.unit.dirclient.ldap_peer import CLOSE, SEARCH, SILENCE, Peer, Request, connect, result

# -- answers


def test_a_bind_is_one_request(peer: Peer) -> None:
    connection = connect(peer)
    connection.bind("CN=John", "secret")
    assert [request.bind_name for request in peer.requests] == ["CN=John"]
    assert connection.operations == 1
    assert not connection.closed


def test_a_refused_bind_leaves_the_connection_usable(peer: Peer) -> None:
    peer.script = lambda r: result(r.number, decode.BIND_RESPONSE, 49, "data 52e")
    connection = connect(peer)
    for _ in range(3):
        with pytest.raises(BadCredentials):
            connection.bind("CN=John", "wrong")
    assert len(peer.binds()) == 3
    assert not connection.closed


@pytest.mark.parametrize(("name", "password"), [("", "x"), ("CN=John", ""), ("CN=John", "a\0b")])
def test_a_hollow_bind_is_never_sent(peer: Peer, name: str, password: str) -> None:
    connection = connect(peer)
    with pytest.raises(ValueError, match="a bind needs"):
        connection.bind(name, password)
    connection.search("")
    assert [request.kind for request in peer.requests] == [SEARCH]


def test_a_search_brings_entries_references_and_controls(peer: Peer) -> None:
    def script(request: Request) -> bytes:
        reference = decode.tlv(0x73, decode.octets("ldap://other/DC=y"))
        done = decode.integer(4, 0x0A) + decode.octets("") + decode.octets("enough")
        controls = decode.tlv(0xA0, decode.tlv(0x30, decode.octets("1.2.3") + decode.octets(b"v")))
        return (
            ldap_peer.entry(request.number, "CN=a", {"Mail": [b"a@b.c"]})
            + decode.tlv(0x30, decode.integer(request.number) + reference)
            + decode.tlv(
                0x30, decode.integer(request.number) + decode.tlv(0x79, b"")
            )  # intermediate
            + ldap_peer.entry(request.number, "CN=b", {})
            + decode.tlv(0x30, decode.integer(request.number) + decode.tlv(0x65, done) + controls)
        )

    peer.script = script
    found = connect(peer).search("DC=x", EVERYTHING, ["mail"], expecting=[4])
    assert [(one.dn, one.attributes) for one in found.entries] == [
        ("CN=a", {"mail": [b"a@b.c"]}),
        ("CN=b", {}),
    ]
    assert (found.code, found.message, found.referrals) == (4, "enough", 1)
    assert found.controls == {"1.2.3": b"v"}


def test_an_answer_in_many_small_pieces_is_put_together(peer: Peer) -> None:
    def script(request: Request) -> object:
        data = b"".join(
            ldap_peer.entry(request.number, f"CN={n}", {"member": [b"m" * 500] * 300})
            for n in range(20)
        )
        for at in range(0, len(data), 7919):
            peer.send_unasked(data[at : at + 7919])
        return result(request.number, decode.SEARCH_DONE)

    peer.script = script
    found = connect(peer, operation_timeout=10).search("DC=x", EVERYTHING, ["member"])
    assert len(found.entries) == 20
    assert {len(one.attributes["member"]) for one in found.entries} == {300}


# -- servers that go wrong


def test_a_server_that_never_answers_is_left_in_time(peer: Peer) -> None:
    peer.script = lambda _: SILENCE
    connection = connect(peer)
    before = time.monotonic()
    with pytest.raises(TimedOut):
        connection.search("DC=x")
    assert 0.25 < time.monotonic() - before < 2
    assert connection.closed
    with pytest.raises(NotSent):
        connection.search("DC=x")


def test_the_nearest_of_all_limits_holds(peer: Peer) -> None:
    peer.script = lambda _: SILENCE
    connection = connect(peer, operation_timeout=30)
    before = time.monotonic()
    with time_limit(20), time_limit(0.2), time_limit(10), pytest.raises(TimedOut):
        connection.search("DC=x")
    assert time.monotonic() - before < 2


def test_a_server_that_drips_is_left_in_time(peer: Peer) -> None:
    """Octets that keep arriving do not extend the limit."""

    def script(request: Request) -> object:
        data = ldap_peer.entry(request.number, "CN=a", {"cn": [b"x" * 2000]})
        for at in range(len(data)):
            peer.send_unasked(data[at : at + 1])
            time.sleep(0.002)
        return SILENCE

    peer.script = script
    before = time.monotonic()
    with pytest.raises(TimedOut):
        connect(peer).search("DC=x")
    assert time.monotonic() - before < 2


NONSENSE = {
    "closed": CLOSE,
    "http": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "huge": b"\x30\x84\x7f\xff\xff\xff",
    "empty message": b"\x30\x00",
    "another's answer": result(77, decode.SEARCH_DONE),
    "another operation": result(1, decode.MODIFY_RESPONSE),
    "a bad entry": decode.tlv(0x30, decode.integer(1) + decode.tlv(0x64, b"\x04\x7fxx")),
    "a bad result": decode.tlv(0x30, decode.integer(1) + decode.tlv(0x65, b"\x0a")),
}


@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_a_clear_error_and_ends_the_connection(peer: Peer, answer: object) -> None:
    peer.script = lambda _: answer
    connection = connect(peer)
    with pytest.raises(Unavailable) as caught:
        connection.search("DC=x")
    assert peer.host in str(caught.value)
    assert connection.closed


def test_half_an_answer_is_no_answer(peer: Peer) -> None:
    def script(request: Request) -> object:
        peer.send_unasked(result(request.number, decode.BIND_RESPONSE)[:-3])
        return CLOSE

    peer.script = script
    with pytest.raises(Unavailable, match="closed the connection"):
        connect(peer).bind("CN=John", "secret")


def test_a_notice_of_disconnection_says_why(peer: Peer) -> None:
    notice = result(0, 0x78, 52, "going down", decode.tlv(0x8A, decode.DISCONNECTION.encode()))
    peer.script = lambda _: notice
    with pytest.raises(Unavailable, match="going down"):
        connect(peer).search("DC=x")


def test_a_request_that_left_in_part_is_never_completed(peer: Peer) -> None:
    """A goodbye after half a bind would be read as the rest of its password."""

    class Stalls:
        """Takes all but the end of a request."""

        def __init__(self, sock: socket.socket) -> None:
            self.sock = sock

        def __getattr__(self, name: str) -> object:
            return getattr(self.sock, name)

        def sendall(self, data: bytes) -> None:
            self.sock.sendall(data[:-4])
            raise TimeoutError

    connection = connect(peer)
    connection._sock = Stalls(connection._sock)  # type: ignore[assignment]
    with pytest.raises(NotSent):
        connection.bind("CN=John", "secret")
    peer.wait_for(lambda: peer.departed == 1)
    assert peer.requests == []


# -- whether it is alive


def test_an_idle_connection_knows_when_the_server_left(peer: Peer) -> None:
    connection = connect(peer)
    connection.search("")
    assert connection.alive()
    peer.drop_connections()
    assert not until_dead(connection)


def test_an_idle_connection_takes_a_notice_for_the_end(peer: Peer) -> None:
    connection = connect(peer)
    connection.search("")
    peer.send_unasked(result(0, 0x78, 52, "going down"))
    assert not until_dead(connection)


def until_dead(connection: Connection) -> bool:
    """Return whether it is still alive when that should have become known."""
    end = time.monotonic() + 5
    while connection.alive() and time.monotonic() < end:
        pass
    return connection.alive()


def test_two_operations_at_once_are_a_mistake_in_the_program(peer: Peer) -> None:
    connection = connect(peer)
    seen: list[str] = []

    def script(request: Request) -> object:
        try:
            connection.search("")
        except RuntimeError as mistake:
            seen.append(str(mistake))
        return ldap_peer.polite(request)

    peer.script = script
    connection.search("")
    assert seen == ["an operation is already in flight on this connection"]


def test_an_answer_about_one_object_takes_no_longer_than_such_answers_do(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every read begins with some: a server that is silent to them is left soon."""
    monkeypatch.setattr(ldap_connection, "BASE_SECONDS", 0.2)
    peer.script = lambda _: SILENCE
    connection = connect(peer, operation_timeout=60)
    with pytest.raises(TimedOut) as caught:
        connection.search("DC=x", scope="base")
    assert 0.1 < caught.value.seconds < 30


def test_a_look_has_less_time_for_each_answer(peer: Peer) -> None:
    peer.script = lambda _: SILENCE
    connection = connect(peer, operation_timeout=60)
    with answer_limit(0.2), answer_limit(50), pytest.raises(TimedOut) as caught:
        connection.search("DC=x")
    assert 0.1 < caught.value.seconds < 30
