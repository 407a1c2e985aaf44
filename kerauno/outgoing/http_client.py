"""Sends a request to a URL that an administrator registered, and to no other place.

The name is resolved once; of its addresses those are tried that may be called, and the connection
goes to the address that was judged. TLS checks the name. No redirect is followed, and no proxy of
the environment is asked, which would resolve the name again.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from kerauno.outgoing.address_policy import AddressRefused, Policy, literal, refusal, url_problem


def post(
    url: str, body: bytes, headers: Mapping[str, str], *, policy: Policy, seconds: float
) -> int:
    """Post; return the status of the answer, which has to be there within so many seconds.

    Raises AddressRefused, OSError, http.client.HTTPException. Nothing is sent to an address that is
    refused.
    """
    problem = url_problem(url, policy)
    if problem:
        raise AddressRefused(f"The address {problem}")
    parts = urlsplit(url)
    kind = _Encrypted if parts.scheme == "https" else _Plain
    connection = kind(parts.hostname or "", parts.port or kind.default_port, timeout=seconds)
    connection.policy = policy
    target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    try:
        with _within(seconds, connection):
            connection.request("POST", target, body, dict(headers))
            return connection.getresponse().status
    finally:
        connection.close()


@contextmanager
def _within(seconds: float, connection: _Plain) -> Iterator[None]:
    """End the connection when the time is over: a timeout of a socket counts each octet again."""
    over = threading.Event()

    def end() -> None:
        over.set()
        if connection.sock is not None:
            with suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, http.client.HTTPException):
        if not over.is_set():
            raise
    finally:
        timer.cancel()
    if over.is_set():  # also where the half of an answer looked like a whole one
        raise TimeoutError(f"No answer within {seconds:g} s.")


class _Plain(http.client.HTTPConnection):
    default_port = http.client.HTTP_PORT
    policy = Policy()

    def connect(self) -> None:
        """Connect to an address that was judged."""
        self.sock = connected(self.host, self.port, self.timeout or 0.0, self.policy)


class _Encrypted(_Plain):
    default_port = http.client.HTTPS_PORT

    def connect(self) -> None:
        """Connect to an address that was judged; the certificate has to be the name's."""
        super().connect()
        context = ssl.create_default_context()
        name = self.host.removesuffix(".")
        secured = self.sock = context.wrap_socket(
            self.sock, server_hostname=name, do_handshake_on_connect=False
        )
        secured.do_handshake()  # with `sock` set, so that its time can end, too


def connected(host: str, port: int, seconds: float, policy: Policy) -> socket.socket:
    """Return a connection to the first address of the host that may be called and answers in time.

    Raises AddressRefused where none of them may; OSError.
    """
    end = time.monotonic() + seconds
    address = literal(host)
    name = host.removesuffix(".") if address is None else str(address)
    error: Exception = OSError(f"{host} has no address.")
    for family, kind, protocol, _, where in socket.getaddrinfo(name, port, 0, socket.SOCK_STREAM):
        try:
            _judge(name, str(where[0]), policy)
            return _connected(family, kind, protocol, where, end)
        except (AddressRefused, OSError) as refused:
            error = refused
    raise error


def _judge(name: str, address: str, policy: Policy) -> None:
    parsed = literal(address)
    reason = "no address" if parsed is None else refusal(parsed, policy)
    if reason:
        raise AddressRefused(f"{name} leads to {address}, {reason}.")


def _connected(family: int, kind: int, protocol: int, where: Any, end: float) -> socket.socket:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError(f"{where[0]} was not tried any more.")
    made = socket.socket(family, kind, protocol)
    try:
        made.settimeout(left)
        made.connect(where)
    except BaseException:
        made.close()
        raise
    return made
