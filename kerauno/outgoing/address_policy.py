"""Which addresses this service may call for a URL that an administrator registered.

Whoever may register a URL must not reach through it what only this machine reaches: the metadata of
its cloud, its link, everybody at once. An address is judged as what it is, however it is written:
`0xA9FEA9FE`, `169.254.43518` and `[::ffff:a9fe:a9fe]` are all 169.254.169.254. A name is judged by
the addresses that it has when it is called, and what was judged is what is connected to
(`kerauno.outgoing.http_client`), so that a name that changes in between (DNS rebinding) leads
nowhere else.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import unicodedata
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address

_METADATA = frozenset(
    map(
        ipaddress.ip_address,
        ("169.254.169.254", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16"),
    )
)
"""Where clouds tell a machine its secrets: most of them, EC2, Google, Alibaba, Azure."""

_THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")  # RFC 791 3.2: a source, reached as this machine
_PROTOCOLS = ipaddress.ip_network("192.0.0.0/24")  # RFC 6890: Oracle's metadata among them
_COMPATIBLE = ipaddress.ip_network("::/96")  # RFC 4291 2.5.5.1
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052 2.1
_NAT64_LOCAL = ipaddress.ip_network("64:ff9b:1::/48")  # RFC 8215
_TEREDO = ipaddress.ip_network("2001::/32")  # RFC 4380
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
_DOTS = str.maketrans("\u3002\uff0e\uff61", "...")  # RFC 3490 3.1
_HOST = re.compile(r"[\w.:-]+")


class AddressRefused(Exception):
    """The address may not be called. `str()` says why, as a sentence."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The exceptions that allow other addresses: private networks, this machine, addresses without
    TLS."""

    private: bool = False
    loopback: bool = True
    plain_anywhere: bool = False  # else http is for this machine alone


BACK_CHANNEL = Policy(private=True, plain_anywhere=True)
"""Apps of the house, which tell each other who is signed out. `Registration.unencrypted` warns."""


def url_problem(url: str, policy: Policy) -> str:
    """Why a URL cannot be registered, as the end of a sentence; empty when it can.

    Asks no name server: a name that has no address today may have one tomorrow.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "is not an address."
    if parts.scheme not in ("http", "https"):
        return "does not begin with https://."
    if parts.username is not None or parts.password is not None:
        return "carries a name or a password."
    if "%" in host:
        return "names a zone of this machine."
    if not _HOST.fullmatch(_plain(host)):
        return "has no host."
    try:
        address = literal(host)
    except ValueError:
        return "has a number for a host that is no IP address."
    if address is not None and (reason := refusal(address, policy)):
        return f"leads to {address}, {reason}."
    is_loopback = address.is_loopback if address is not None else _plain(host) == "localhost"
    if parts.scheme == "http" and not (is_loopback or policy.plain_anywhere):
        return "is not https."
    return ""


def literal(host: str) -> Address | None:
    """Return the address that a host is in any spelling, as the C library reads it; None for names.

    Raises ValueError for a number that is none, which some resolvers take for an address.
    """
    text = _plain(host).removeprefix("[").removesuffix("]")
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        if ":" in text:
            raise
    if not _NUMBER.fullmatch(text.rpartition(".")[2]):
        return None
    try:
        return IPv4Address(socket.inet_aton(text))
    except OSError:
        raise ValueError(text) from None


def refusal(address: Address, policy: Policy) -> str:
    """Why an address may not be called, as what it is; empty when it may."""
    inner = _inner(address)
    if inner is not None:
        return refusal(inner, policy)
    for is_so, reason in (
        (getattr(address, "scope_id", None) is not None, "an address of one zone"),
        (address in _METADATA, "where a cloud tells a machine its secrets"),
        (address.is_unspecified or address in _THIS_NETWORK, "an unspecified address"),
        (address.is_link_local, "a link-local address"),
        (address.is_multicast, "a multicast address"),
        (address == IPv4Address("255.255.255.255"), "the broadcast address"),
        (_is_reserved(address), "a reserved address"),
        (address.is_loopback and not policy.loopback, "this machine itself"),
        (_is_private(address) and not policy.private, "a private address"),
    ):
        if is_so:
            return reason
    return ""


def _plain(host: str) -> str:
    """Return a host as resolvers see it: compatible digits and dots are plain ones (RFC 5895 2)."""
    text = unicodedata.normalize("NFKC", host.translate(_DOTS)).lower()
    return text.removesuffix(".")


def _inner(address: Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address leads to; None for one of its own."""
    if isinstance(address, IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    embedded = address in _NAT64 or address in _COMPATIBLE
    if embedded and not (address.is_loopback or address.is_unspecified):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def _is_reserved(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return address.is_reserved or address in _PROTOCOLS
    translated = address in _NAT64_LOCAL or address in _TEREDO or address.is_site_local
    return translated or (address.is_reserved and not address.is_loopback)


def _is_private(address: Address) -> bool:
    return not address.is_global and not address.is_loopback
