"""Addresses of clients as proxies write them: one parser for the throttle, the audit and sessions.

`X-Forwarded-For` has no standard: besides bare addresses, some proxies write ports
(`203.0.113.7:51001`, `[2001:db8::1]:4711`), brackets, quotes or zones. `Forwarded` (RFC 7239 6)
also has `unknown` and hidden names (`_proxy`), which name no address.
"""

from __future__ import annotations

import ipaddress
import re

from kerauno.base.errors import InvalidValue

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
_PORT = re.compile(r"[0-9]{1,5}|_[A-Za-z0-9._-]{1,32}")  # RFC 7239 6.2
_ZONE = re.compile(r"[A-Za-z0-9._~-]{1,32}")  # RFC 4007 11.2
_LONGEST = 128


def normal(text: str) -> str:
    """Return the address alone, in its one normal form: `203.0.113.7`, `2001:db8::1`.

    A port and a zone are dropped; an IPv4 address written as IPv6 (`::ffff:203.0.113.7`, RFC 4291
    2.5.5.2) becomes IPv4. Raises InvalidValue for everything else.
    """
    if _IPV4.fullmatch(text):
        return text
    if len(text) > _LONGEST:
        raise _invalid()
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    return _plain(_without_port(text))


def network(address: str) -> str:
    """Return what counts as one place: an IPv4 address, or the /64 that a site has of IPv6.

    Text that is no address stays as it is, at most 64 characters of it.
    """
    if _IPV4.fullmatch(address):
        return address
    try:
        parsed = ipaddress.ip_address(normal(address))
    except InvalidValue:
        return address[:64]
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def _without_port(host: str) -> str:
    if host.startswith("["):
        inner, bracket, rest = host[1:].partition("]")
        if not bracket or ":" not in inner or not _is_port(rest):
            raise _invalid()
        return inner
    head, colon, port = host.rpartition(":")
    if ":" in head:  # IPv6 without brackets: a port only where the whole is no address
        return host if _is_ipv6(host) or not _PORT.fullmatch(port) else head
    if colon and not _is_port(colon + port):
        raise _invalid()
    return head or host


def _is_port(text: str) -> bool:
    """Tell whether this is nothing, or a colon and a port."""
    port = text[1:]
    if text and not (text[0] == ":" and _PORT.fullmatch(port)):
        return False
    return not port.isdigit() or int(port) <= 65535


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def _plain(host: str) -> str:
    host, percent, zone = host.partition("%")
    if percent and not (":" in host and _ZONE.fullmatch(zone)):
        raise _invalid()
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        raise _invalid() from None
    mapped = getattr(parsed, "ipv4_mapped", None)
    return str(mapped or parsed)


def _invalid() -> InvalidValue:
    return InvalidValue(
        "This is not an IP address.",
        field="address",
        remedy="Write it as 203.0.113.7 or 2001:db8::1.",
    )
