"""A scripted LDAP server on loopback: it answers, or goes wrong, exactly as a test says."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from dirclient.config.profile import Profile
from dirclient.connection import tls
from dirclient.connection.connect import open_connection
from dirclient.connection.ldap_connection import Connection
from dirclient.wire import decode
from tests.servers.process import loopback

BIND, UNBIND, SEARCH, MODIFY, EXTENDED = 0x60, 0x42, 0x63, 0x66, 0x77

CLOSE = object()
"""A script's answer: close the connection without a word."""
SILENCE = object()
"""A script's answer: take the request and never answer."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived: `kind` is its tag, `body` the octets within."""

    connection: int
    number: int
    kind: int
    body: bytes

    @property
    def bind_name(self) -> str:
        """The name of a bind request."""
        return self.body[5 : 5 + self.body[4]].decode()


Script = Callable[[Request], object]


def result(number: int, kind: int, code: int = 0, message: str = "", tail: bytes = b"") -> bytes:
    """A response that is an LDAPResult."""
    body = decode.integer(code, 0x0A) + decode.octets("") + decode.octets(message) + tail
    return decode.tlv(0x30, decode.integer(number) + decode.tlv(kind, body))


def entry(number: int, dn: str, attributes: dict[str, list[bytes]]) -> bytes:
    """A search result entry."""
    listed = b"".join(
        decode.tlv(
            0x30, decode.octets(name) + decode.tlv(0x31, b"".join(map(decode.octets, values)))
        )
        for name, values in attributes.items()
    )
    return decode.tlv(
        0x30,
        decode.integer(number) + decode.tlv(0x64, decode.octets(dn) + decode.tlv(0x30, listed)),
    )


def polite(request: Request) -> object:
    """Success for everything, and no entries."""
    kinds = {
        BIND: decode.BIND_RESPONSE,
        SEARCH: decode.SEARCH_DONE,
        MODIFY: decode.MODIFY_RESPONSE,
        EXTENDED: decode.EXTENDED_RESPONSE,
    }
    return result(request.number, kinds[request.kind])


@dataclass
class Peer:
    """The server. `requests` is everything that arrived, goodbyes apart."""

    script: Script = polite
    context: ssl.SSLContext | None = None  # LDAPS, or StartTLS when it is asked for
    ldaps: bool = False
    host: str = field(default_factory=loopback)
    port: int = 0
    requests: list[Request] = field(default_factory=list)
    accepted: int = 0
    departed: int = 0

    def __post_init__(self) -> None:
        self._arrived = threading.Condition()
        self._sockets: list[socket.socket] = []
        self._listening = False
        self.restart()

    def binds(self) -> list[Request]:
        """The bind requests that arrived."""
        return [request for request in self.requests if request.kind == BIND]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until the condition holds, looking again after each arrival and departure."""
        with self._arrived:
            assert self._arrived.wait_for(condition, 10)

    def drop_connections(self) -> None:
        """Close every connection from this side."""
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._sockets.clear()

    def send_unasked(self, data: bytes) -> None:
        """Send to every connection without a request."""
        for sock in self._sockets:
            sock.sendall(data)

    def stop(self) -> None:
        """Stop listening and close everything; the port answers no more."""
        if self._listening:
            self._listening = False
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        self.drop_connections()

    def restart(self) -> None:
        """Listen (again) on the port."""
        self._listener = socket.create_server((self.host, self.port), backlog=64)
        self.port = self._listener.getsockname()[1]
        self._listening = True
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _accept(self) -> None:
        listener = self._listener
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.accepted += 1
                threading.Thread(
                    target=self._serve, args=(sock, self.accepted), daemon=True
                ).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError):
            if self.ldaps:
                assert self.context
                sock = self.context.wrap_socket(sock, server_side=True)
            self._sockets.append(sock)
            self._converse(sock, number)
        with contextlib.suppress(OSError):
            sock.close()
        with self._arrived:
            self.departed += 1
            self._arrived.notify_all()

    def _converse(self, sock: socket.socket, number: int) -> None:
        data = b""
        while chunk := sock.recv(65536):
            data += chunk
            while data and (stop := decode.frame_end(data, 0)) <= len(data):
                found = decode.message(data, 0, stop)
                request = Request(number, found.id, found.operation, data[found.start : found.stop])
                data = data[stop:]
                if found.operation == UNBIND:
                    return
                if found.operation == EXTENDED and decode.START_TLS.encode() in request.body:
                    assert self.context
                    sock.sendall(result(found.id, decode.EXTENDED_RESPONSE))
                    self._sockets.remove(sock)
                    sock = self.context.wrap_socket(sock, server_side=True)
                    self._sockets.append(sock)
                    continue
                with self._arrived:
                    self.requests.append(request)
                    self._arrived.notify_all()
                answer = self.script(request)
                if answer is CLOSE:
                    return
                if isinstance(answer, bytes):
                    sock.sendall(answer)


NAME = "dc1.goodcompany.local"


def profile(peer: Peer, **values: object) -> Profile:
    """A plaintext profile for the peer; short limits."""
    return Profile.model_validate(
        {
            "servers": (peer.host,),
            "port": peer.port,
            "encryption": "none",
            "plaintext_accepted": True,
            "connect_timeout": 2.0,
            "operation_timeout": 0.3,
            **values,
        }
    )


def connect(peer: Peer, **values: object) -> Connection:
    """A connection to the peer."""
    wanted = profile(peer, **values)
    return open_connection(wanted, peer.host, tls.context(wanted))
