"""Calls to registered URLs, at real servers: to the address that was judged, and nowhere else."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from authsvc.oidc.backchannel_logout import Undelivered, post_form
from kerauno.outgoing import http_client
from kerauno.outgoing.address_policy import BACK_CHANNEL, AddressRefused, Policy
from tests.servers.pki import CertificateAuthority
from tests.servers.process import loopback

NAME = "wiki.goodcompany.local"
METADATA = "169.254.169.254"


class Server:
    """A server that notes what it is sent, and answers with a status or a redirect."""

    def __init__(self, host: str, context: ssl.SSLContext | None = None) -> None:
        received: list[tuple[str | None, str, bytes]] = []
        self.received = received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                received.append((self.headers["Host"], self.path, body))
                self.send_response(307 if self.path == "/moved" else 204)
                if self.path == "/moved":
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((host, 0), Handler)
        self.host, self.port = host, self._server.server_port
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    @contextmanager
    def serving(self) -> Iterator[Server]:
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def server(stack: ExitStack) -> Server:
    return stack.enter_context(Server(loopback()).serving())


class Names:
    """A name server whose answers to NAME change with every question."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.questions = 0
        self._ask = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._answer)

    def _answer(self, host: str, port: int, *more: Any, **named: Any) -> list[Any]:
        if host != NAME:
            return self._ask(host, port, *more, **named)
        self.questions += 1
        addresses = self.answers.pop(0)
        return [found for one in addresses for found in self._ask(one, port, *more, **named)]


def post(server: Server, policy: Policy = BACK_CHANNEL, host: str = NAME, path: str = "/ok") -> int:
    url = f"http://{host}:{server.port}{path}"
    return http_client.post(url, b"x=1", {}, policy=policy, seconds=5)


def test_the_address_that_was_judged_is_called_and_the_name_asked_once(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(monkeypatch, [server.host], [METADATA])
    assert post(server) == 204
    assert names.questions == 1
    assert server.received == [(f"{NAME}:{server.port}", "/ok", b"x=1")]


def test_a_name_that_leads_elsewhere_when_it_is_called_is_not(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was public when it was registered; now it is this machine (DNS rebinding)."""
    Names(monkeypatch, [server.host])
    policy = Policy(loopback=False, plain_anywhere=True)
    with pytest.raises(AddressRefused, match=rf"{NAME} leads to {server.host}, this machine"):
        post(server, policy)
    assert server.received == []


@pytest.mark.parametrize(
    "addresses", [[METADATA], ["::ffff:169.254.169.254"], ["fe80::1", METADATA], ["0.0.0.0"]]
)
def test_no_connection_is_made_to_an_address_that_is_refused(
    server: Server, monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    Names(monkeypatch, addresses)
    tried: list[Any] = []
    monkeypatch.setattr(socket.socket, "connect", lambda _, where: tried.append(where))
    with pytest.raises(AddressRefused, match="leads to"):
        post(server)
    with pytest.raises(Undelivered, match="The address leads to"):
        post_form(f"http://{METADATA}/latest", "x=1")
    assert tried == []


def test_of_several_addresses_those_are_called_that_may_be(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    Names(monkeypatch, [METADATA, server.host])
    assert post(server) == 204


@pytest.mark.parametrize("spelling", ["{}.", "0x{0:x}", "{0:d}", "[::ffff:{}]"])
def test_an_odd_spelling_leads_where_it_says(server: Server, spelling: str) -> None:
    number = int.from_bytes(socket.inet_aton(server.host))
    host = spelling.format(number if "0:" in spelling else server.host)
    assert post(server, host=host) == 204


def test_no_redirect_is_followed(server: Server) -> None:
    with pytest.raises(Undelivered, match="HTTP 307"):
        post_form(f"http://{server.host}:{server.port}/moved", "x=1")
    assert [path for _, path, _ in server.received] == ["/moved"]


def test_no_proxy_of_the_environment_is_asked(
    server: Server, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = stack.enter_context(Server(loopback()).serving())
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://{proxy.host}:{proxy.port}")
    assert post(server, host=server.host) == 204
    assert proxy.received == []


@pytest.mark.parametrize("first", [b"HTTP/1.1 204 x\r\nX: ", b"\x16\x03\x03\x40\x00"])
def test_a_server_that_answers_an_octet_at_a_time_is_given_up(first: bytes) -> None:
    """Each octet comes within a socket's timeout, and the answer never to its end."""
    scheme = "http" if first.startswith(b"H") else "https"
    with socket.create_server((loopback(), 0)) as listening:
        host, port = listening.getsockname()[:2]
        over = threading.Event()
        dripping = threading.Thread(target=_drip, args=(listening, first, over))
        dripping.start()
        begun = time.monotonic()
        try:
            with pytest.raises(TimeoutError, match=r"No answer within 0\.5 s"):
                http_client.post(
                    f"{scheme}://{host}:{port}/", b"x=1", {}, policy=BACK_CHANNEL, seconds=0.5
                )
            assert time.monotonic() - begun < 5
        finally:
            over.set()
            dripping.join()


def _drip(listening: socket.socket, first: bytes, over: threading.Event) -> None:
    """Begin an answer, and go on with an octet every twentieth of a second."""
    connection, _ = listening.accept()
    with connection, suppress(OSError):
        connection.sendall(first)
        while not over.wait(0.05):
            connection.sendall(b"x")


def test_a_server_that_is_away_is_told_in_words(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server((server.host, 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Undelivered, match="refused"):
        post_form(f"http://{server.host}:{port}/ok", "x=1")
    Names(monkeypatch, [])
    with pytest.raises(Undelivered, match="has no address"):
        post_form(f"http://{NAME}/ok", "x=1")


@pytest.mark.parametrize(
    ("names", "accepted"), [([NAME], True), (["other.goodcompany.local"], False)]
)
def test_tls_checks_the_name_at_the_address_that_was_judged(
    stack: ExitStack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    names: list[str],
    accepted: bool,
) -> None:
    authority = CertificateAuthority()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue(tmp_path, names))
    server = stack.enter_context(Server(loopback(), context).serving())
    url = f"https://{NAME}:{server.port}/ok"
    Names(monkeypatch, *[[server.host]] * 2)
    with pytest.raises(ssl.SSLCertVerificationError):  # an authority that nobody knows
        http_client.post(url, b"x=1", {}, policy=BACK_CHANNEL, seconds=5)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.write(tmp_path)))
    if accepted:
        assert http_client.post(url, b"x=1", {}, policy=BACK_CHANNEL, seconds=5) == 204
        assert server.received == [(f"{NAME}:{server.port}", "/ok", b"x=1")]
    else:
        with pytest.raises(ssl.SSLCertVerificationError, match=r"not valid for|doesn't match"):
            http_client.post(url, b"x=1", {}, policy=BACK_CHANNEL, seconds=5)
        assert server.received == []
