"""LDAP requests as octets (RFC 4511); `dirclient.wire.decode` reads the answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dirclient.wire.ber import integer, octets, tlv
from dirclient.wire.decode import PAGED_RESULTS, Control

_SCOPES = {"base": 0, "one": 1, "subtree": 2}
_CHANGES = {"add": 0, "delete": 1, "replace": 2}


def _message(message_id: int, operation: bytes, controls: Sequence[Control] = ()) -> bytes:
    body = integer(message_id) + operation
    if controls:
        body += tlv(0xA0, b"".join(map(_control, controls)))
    return tlv(0x30, body)


def _control(control: Control) -> bytes:
    critical = b"\x01\x01\xff" if control.critical else b""
    value = b"" if control.value is None else octets(control.value)
    return tlv(0x30, octets(control.oid) + critical + value)


def bind_request(message_id: int, name: str, password: bytes) -> bytes:
    """A simple bind (RFC 4511 4.2). The caller has made sure that the password is not empty."""
    return _message(message_id, tlv(0x60, b"\x02\x01\x03" + octets(name) + tlv(0x80, password)))


def unbind_request(message_id: int) -> bytes:
    """Says goodbye (RFC 4511 4.3); there is no answer."""
    return _message(message_id, b"\x42\x00")


def search_request(
    message_id: int,
    base: str,
    scope: str,
    encoded_filter: bytes,
    attributes: Iterable[str] = (),
    controls: Sequence[Control] = (),
    *,
    size_limit: int = 0,
    time_limit: int = 0,
) -> bytes:
    """A search (RFC 4511 4.5.1): `scope` is base, one or subtree; limits of 0 are none."""
    body = (
        octets(base)
        + integer(_SCOPES[scope], 0x0A)
        + b"\x0a\x01\x00"  # aliases are never followed
        + integer(size_limit)
        + integer(time_limit)
        + b"\x01\x01\x00"  # values too, not types only
        + encoded_filter
        + tlv(0x30, b"".join(map(octets, attributes)))
    )
    return _message(message_id, tlv(0x63, body), controls)


def modify_request(
    message_id: int, dn: str, changes: Sequence[tuple[str, str, Sequence[bytes]]]
) -> bytes:
    """A modification (RFC 4511 4.6): (add | delete | replace, attribute, values) in order."""
    parts = [
        tlv(
            0x30,
            integer(_CHANGES[how], 0x0A)
            + tlv(0x30, octets(attribute) + tlv(0x31, b"".join(map(octets, values)))),
        )
        for how, attribute, values in changes
    ]
    return _message(message_id, tlv(0x66, octets(dn) + tlv(0x30, b"".join(parts))))


def extended_request(message_id: int, oid: str, value: bytes | None = None) -> bytes:
    """An extended operation (RFC 4511 4.12)."""
    body = tlv(0x80, oid.encode())
    if value is not None:
        body += tlv(0x81, value)
    return _message(message_id, tlv(0x77, body))


def paged_control(size: int, cookie: bytes = b"") -> Control:
    """Asks for one page (RFC 2696). Critical: a server that cannot page must say so."""
    return Control(PAGED_RESULTS, tlv(0x30, integer(size) + octets(cookie)), critical=True)
