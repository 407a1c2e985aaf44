"""Clients that are slow, silent or odd, at the real server: nobody else may notice."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection, parse_headers

import pytest

from tests.servers.web import Installation

THREADS = 2
MANY = 6 * THREADS
PATIENCE = 10.0
"""Seconds for an answer; one slow client held a thread, or the loop, for longer than all of it."""

FORM = b"username=nobody%40company.com&password=wrong"
POST = (
    b"POST /login HTTP/1.1\r\nHost: kerauno\r\nContent-Type: application/x-www-form-urlencoded\r\n"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One worker with two threads."""
    made = Installation(tmp_path_factory.mktemp("slow"))
    made.must("authsvc", "db", "upgrade")
    made.start(workers=1, threads=THREADS)
    yield made
    made.stop()


def connect(server: Installation) -> socket.socket:
    return socket.create_connection((server.host, server.port), timeout=PATIENCE)


def statuses(sock: socket.socket, number: int = 1) -> list[int]:
    """Those of the next answers on the connection, which are read whole."""
    found = []
    with sock.makefile("rb") as stream:
        for _ in range(number):
            found.append(int(stream.readline().split()[1]))
            stream.read(int(parse_headers(stream).get("Content-Length", "0")))
    return found


def asked(server: Installation, path: str) -> int:
    """Return what somebody new is answered."""
    with closing(HTTPConnection(server.host, server.port, timeout=PATIENCE)) as http:
        http.request("GET", path)
        return http.getresponse().status


def is_served(server: Installation) -> bool:
    """Return whether somebody new gets the form, which the loop gives, and a page, which a thread
    does."""
    return (asked(server, "/login"), asked(server, "/api/v1/me")) == (200, 401)


@pytest.mark.parametrize(
    "octets",
    [
        b"G",
        b"GET /login HTTP/1.1\r\nHost: kerauno\r\nX-Slow: ",
        POST + b"Content-Length: 100\r\n\r\nusername=",
        POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nuse",
        POST + b"Content-Length: 3000000\r\n\r\nusername=",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=["one octet", "head", "body", "chunk", "too large", "TLS"],
)
def test_who_never_finishes_a_request_stops_nobody(server: Installation, octets: bytes) -> None:
    with ExitStack() as stack:
        for _ in range(MANY):
            stack.enter_context(connect(server)).sendall(octets)
        for _ in range(THREADS + 1):
            assert is_served(server)


def test_who_never_says_a_word_stops_nobody(server: Installation) -> None:
    with ExitStack() as stack:
        for _ in range(MANY):
            stack.enter_context(connect(server))
        assert is_served(server)


def test_who_never_hangs_up_stops_nobody(server: Installation) -> None:
    with ExitStack() as stack:
        for _ in range(MANY):
            sock = stack.enter_context(connect(server))
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: kerauno\r\nConnection: close\r\n\r\n")
            assert statuses(sock) == [200]
        assert is_served(server)


def test_who_never_reads_stops_nobody(server: Installation) -> None:
    with ExitStack() as stack:
        for _ in range(MANY):
            sock = stack.enter_context(connect(server))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            sock.sendall(b"GET /static/kerauno.css HTTP/1.1\r\nHost: kerauno\r\n\r\n" * 100)
        for _ in range(100):  # until the kernel takes no more for any of them, and beyond
            assert is_served(server)


def test_who_reads_late_gets_everything(server: Installation) -> None:
    with connect(server) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.sendall(b"GET /static/kerauno.css HTTP/1.1\r\nHost: kerauno\r\n\r\n" * 100)
        assert statuses(sock, 100) == [200] * 100


def test_many_offers_to_upgrade_end_nothing(server: Installation) -> None:
    """A worker that ends takes its connections along."""
    offer = b"GET /healthz HTTP/1.1\r\nHost:\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"
    with connect(server) as other, connect(server) as sock:
        other.sendall(b"GET /healthz HTTP/1.1\r\nHost: kerauno\r\n\r\n")
        assert statuses(other) == [200]
        sock.sendall(offer * 900)
        assert statuses(sock, 100) == [200] * 100
        other.sendall(b"GET /healthz HTTP/1.1\r\nHost: kerauno\r\n\r\n")
        assert statuses(other) == [200]


def test_a_request_in_drips_is_answered(server: Installation) -> None:
    request = POST + b"Content-Length: %d\r\n\r\n" % len(FORM) + FORM
    with connect(server) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in request:
            sock.sendall(bytes([octet]))
        assert statuses(sock) == [401]


def test_a_request_in_chunks_is_answered(server: Installation) -> None:
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(FORM), FORM)
    with connect(server) as sock:
        sock.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
        assert statuses(sock) == [401]


def test_requests_that_come_together_are_answered_in_order(server: Installation) -> None:
    form = POST + b"Content-Length: %d\r\n\r\n" % len(FORM) + FORM
    health = b"GET /healthz HTTP/1.1\r\nHost: kerauno\r\n\r\n"
    with connect(server) as sock:
        sock.sendall(
            health + form + health + b"GET /api/v1/me HTTP/1.1\r\nHost: k\r\n\r\n" + health
        )
        assert statuses(sock, 5) == [200, 401, 200, 401, 200]


def test_a_request_that_comes_while_another_is_answered_has_its_turn(server: Installation) -> None:
    health = b"GET /healthz HTTP/1.1\r\nHost: kerauno\r\n\r\n"
    with connect(server) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(200):
            sock.sendall(health)
        assert statuses(sock, 200) == [200] * 200


def test_who_hangs_up_after_sending_still_gets_the_answer(server: Installation) -> None:
    with connect(server) as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: kerauno\r\n\r\n")
        sock.shutdown(socket.SHUT_WR)
        assert statuses(sock) == [200]
        assert sock.recv(1) == b""


def test_who_waits_to_be_told_to_go_on_is_told(server: Installation) -> None:
    with connect(server) as sock:
        sock.sendall(POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(FORM))
        assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(FORM)
        assert statuses(sock) == [401]


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (POST + b"Content-Length: 2097153\r\n\r\n", 413),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nfffffff\r\n" + b"x" * 2_500_000, 413),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * 300_000, 431),
        (POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", 400),
        (b"nonsense\r\n\r\n", 400),
    ],
)
def test_what_cannot_be_a_request_is_refused(
    server: Installation, octets: bytes, status: int
) -> None:
    with connect(server) as sock:
        sock.sendall(octets)
        assert statuses(sock) == [status]
    assert is_served(server)


def test_a_silent_client_does_not_keep_the_service_from_stopping(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    made = Installation(tmp_path_factory.mktemp("stopping"))
    made.must("authsvc", "db", "upgrade")
    made.start(workers=1, threads=THREADS)
    assert made.server is not None
    with connect(made) as kept, connect(made) as silent:
        kept.sendall(b"GET /healthz HTTP/1.1\r\nHost: kerauno\r\n\r\n")
        assert statuses(kept) == [200]
        silent.sendall(b"")
        made.server.signal(signal.SIGTERM)
        assert made.server.process.wait(PATIENCE) == 0
    made.stop()


def test_more_silent_clients_than_a_worker_has_room_for_keep_nobody_out(
    server: Installation,
) -> None:
    """1,000 connections is what a worker has room for; each of these has begun a request."""
    with ExitStack() as stack:
        for _ in range(1100):
            stack.enter_context(connect(server)).sendall(b"GET /")
        assert is_served(server)
    assert is_served(server)
