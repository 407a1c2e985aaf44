"""Opening a connection: name, address, TCP, encryption, all within the connect timeout."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time

from dirclient.config.profile import Encryption, Profile
from dirclient.connection import tls
from dirclient.connection.ldap_connection import Connection
from dirclient.connection.outages import TimedOut, reason
from dirclient.model.deadline import remaining, time_limit
from dirclient.model.errors import Misconfigured, Unavailable
from dirclient.wire.decode import Malformed


def open_connection(profile: Profile, server: str, context: ssl.SSLContext | None) -> Connection:
    """Connect to one server and encrypt as the profile says, all within its connect timeout.

    `context` is the profile's one `tls.context`. Raises `Unavailable` or `Misconfigured`.
    """
    if profile.encryption is Encryption.NONE and not profile.plaintext_accepted:
        raise Misconfigured(
            "Without encryption passwords would cross the network readable.",
            field="encryption",
            remedy="Choose StartTLS or LDAPS, or accept this explicitly.",
        )
    host = server.strip("[]")
    with time_limit(profile.connect_timeout):
        sock = dial(host, profile.port, remaining(profile.connect_timeout))
        connection: Connection | None = None
        try:
            name = profile.tls_name_of(server)
            if profile.encryption is Encryption.LDAPS:
                sock.settimeout(max(0.001, remaining(profile.connect_timeout)))
                sock = _required(context).wrap_socket(sock, server_hostname=name)
            connection = Connection(
                sock,
                server,
                encrypted=profile.encryption is Encryption.LDAPS,
                operation_timeout=profile.operation_timeout,
            )
            if profile.encryption is Encryption.STARTTLS:
                connection.start_tls(_required(context), name)
            return connection
        except Exception as fault:
            connection.close() if connection else sock.close()
            meaning = _meaning(fault, server, profile)
            if meaning is None:
                raise
            raise meaning from fault


def _meaning(fault: Exception, server: str, profile: Profile) -> Misconfigured | Unavailable | None:
    """Translate an error of opening into Misconfigured or Unavailable.

    Return None if the error is one of them already.
    """
    if isinstance(fault, (OSError, ValueError)):
        return tls.fault(fault, server, profile)
    if isinstance(fault.__cause__, Malformed):
        return Misconfigured(
            f"{server} port {profile.port} does not speak LDAP.",
            field="port",
            remedy="Enter 389, or choose LDAPS for port 636.",
        )
    if isinstance(fault, Unavailable) and not isinstance(fault, TimedOut):
        return Unavailable(
            f"{server} port {profile.port}: broke off before encryption began; "
            "the port may be one for LDAPS."
        )
    return None


def _required(context: ssl.SSLContext | None) -> ssl.SSLContext:
    if context is None:
        raise RuntimeError("an encrypted connection needs the profile's TLS context")
    return context


def dial(host: str, port: int, seconds: float) -> socket.socket:
    """A TCP connection to the first address of the host that answers. Raises `Unavailable`."""
    end = time.monotonic() + seconds
    places = addresses(host, port, seconds)
    why: OSError | None = None
    for number, (family, address) in enumerate(places):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            share = (end - time.monotonic()) / (len(places) - number)
            sock.settimeout(max(0.001, share))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            return sock
        except OSError as refused:
            sock.close()
            why = refused
    if isinstance(why, TimeoutError):
        raise Unavailable(f"{host} port {port}: no answer within {seconds:.1f} s.") from why
    raise Unavailable(f"{host} port {port}: {reason(why)}.") from why


Address = tuple[socket.AddressFamily, tuple[str | int, ...]]


def addresses(host: str, port: int, seconds: float) -> list[Address]:
    """Return where the host is. The system's resolver knows no time limit, so it works in a
    thread."""
    addresses: list[Address] = []
    fault: list[Exception] = []

    def resolve() -> None:
        try:
            for family, _, _, _, address in socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM):
                addresses.append((family, address))  # type: ignore[arg-type]
        except (OSError, ValueError, OverflowError) as unknown:
            fault.append(unknown)

    if _is_address(host):
        resolve()
    else:
        worker = threading.Thread(target=resolve, name="resolve", daemon=True)
        worker.start()
        worker.join(max(0.001, seconds))
        if worker.is_alive():
            raise Unavailable(f"{host}: the name was not resolved in time.")
    if fault or not addresses:
        cause = fault[0] if fault else None
        raise Unavailable(f"{host}: the name cannot be resolved.") from cause
    return addresses


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
