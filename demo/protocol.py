"""LDAP messages (RFC 4511) as the demo directory reads and writes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from demo import ber
from demo.ber import Malformed

BIND, UNBIND, SEARCH, MODIFY, ADD, DELETE, RENAME, COMPARE, ABANDON, EXTENDED = (
    *(0x60, 0x42, 0x63, 0x66, 0x68, 0x4A, 0x6C, 0x6E, 0x50, 0x77),
)
ENTRY, SEARCH_DONE = 0x64, 0x65
# What answers each request: bindResponse 1, searchResDone 5, modifyResponse 7, …
RESPONSE = {
    BIND: 0x61,
    SEARCH: SEARCH_DONE,
    MODIFY: 0x67,
    ADD: 0x69,
    DELETE: 0x6B,
    RENAME: 0x6D,
    COMPARE: 0x6F,
    EXTENDED: 0x78,
}

SUCCESS, OPERATIONS_ERROR, PROTOCOL_ERROR, SIZE_LIMIT = 0, 1, 2, 4
COMPARE_FALSE, COMPARE_TRUE, STRONG_AUTH_UNSUPPORTED = 5, 6, 7
CONFIDENTIALITY_REQUIRED, UNAVAILABLE_CRITICAL_EXTENSION = 13, 12
NO_SUCH_ATTRIBUTE, CONSTRAINT_VIOLATION, ATTRIBUTE_EXISTS = 16, 19, 20
NO_SUCH_OBJECT, INVALID_DN, INVALID_CREDENTIALS, INSUFFICIENT_RIGHTS = 32, 34, 49, 50
UNWILLING, ENTRY_EXISTS, NOT_ALLOWED_ON_NON_LEAF = 53, 68, 66

PAGED = "1.2.840.113556.1.4.319"
SHOW_DELETED = "1.2.840.113556.1.4.417"
EXTENDED_DN = "1.2.840.113556.1.4.529"
TREE_DELETE = "1.2.840.113556.1.4.805"
DOMAIN_SCOPE = "1.2.840.113556.1.4.1339"
PERMISSIVE_MODIFY = "1.2.840.113556.1.4.1413"
CONTROLS = (PAGED, SHOW_DELETED, EXTENDED_DN, TREE_DELETE, DOMAIN_SCOPE, PERMISSIVE_MODIFY)
START_TLS = "1.3.6.1.4.1.1466.20037"
WHO_AM_I = "1.3.6.1.4.1.4203.1.11.3"


class Failure(Exception):
    """A request that is answered with something else than success."""

    def __init__(self, code: int, message: str = "", matched: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.matched = matched


@dataclass(slots=True)
class Request:
    """One message as it arrived: `content` is that of the operation's own element."""

    message_id: int
    operation: int
    content: bytes
    controls: dict[str, bytes] = field(default_factory=dict)
    critical: frozenset[str] = frozenset()

    def parts(self) -> list[tuple[int, bytes]]:
        """The elements of the operation."""
        return ber.children(self.content)


@dataclass(slots=True)
class Search:
    """A search request."""

    base: str
    scope: int  # 0 base, 1 one level, 2 subtree
    size_limit: int
    types_only: bool
    filter: tuple[int, bytes]
    attributes: list[str]


def read_request(data: bytes) -> Request:
    """One whole message. Raises `Malformed`."""
    ((tag, body),) = ber.children(data)
    parts = ber.children(body)
    if tag != ber.SEQUENCE or len(parts) < 2 or parts[0][0] != ber.INTEGER:
        raise Malformed("not an LDAP message")
    request = Request(ber.number(parts[0][1]), parts[1][0], parts[1][1])
    if len(parts) > 2:
        critical = set()
        for _, control in ber.children(parts[2][1]):
            oid, value = "", b""
            for position, (kind, content) in enumerate(ber.children(control)):
                if position == 0:
                    oid = content.decode()
                elif kind == ber.BOOLEAN and content != b"\0":
                    critical.add(oid)
                elif kind == ber.OCTETS:
                    value = content
            request.controls[oid] = value
        request.critical = frozenset(critical)
    return request


def read_search(request: Request) -> Search:
    """The search in a request."""
    parts = request.parts()
    return Search(
        base=parts[0][1].decode(),
        scope=ber.number(parts[1][1]),
        size_limit=ber.number(parts[3][1]),
        types_only=parts[5][1] != b"\0",
        filter=parts[6],
        attributes=[content.decode() for _, content in ber.children(parts[7][1])],
    )


def result(
    message_id: int,
    operation: int,
    code: int = SUCCESS,
    message: str = "",
    *,
    matched: str = "",
    extra: Sequence[bytes] = (),
    controls: Sequence[bytes] = (),
) -> bytes:
    """An LDAPResult that answers a request with this operation."""
    body = ber.sequence(
        ber.integer(code, ber.ENUMERATED),
        ber.octets(matched),
        ber.octets(message),
        *extra,
        tag=RESPONSE[operation],
    )
    return _message(message_id, body, controls)


def entry(message_id: int, dn: str, attributes: Iterable[tuple[str, Iterable[bytes]]]) -> bytes:
    """A searchResEntry."""
    listed = [
        ber.sequence(ber.octets(name), ber.sequence(*map(ber.octets, values), tag=ber.SET))
        for name, values in attributes
    ]
    return _message(message_id, ber.sequence(ber.octets(dn), ber.sequence(*listed), tag=ENTRY), ())


def disconnection(message: str) -> bytes:
    """The notice of disconnection (RFC 4511 4.4.1) for a peer that does not speak LDAP."""
    return _message(
        0,
        ber.sequence(
            ber.integer(PROTOCOL_ERROR, ber.ENUMERATED),
            ber.octets(""),
            ber.octets(message),
            ber.octets("1.3.6.1.4.1.1466.20036", 0x8A),
            tag=0x78,
        ),
        (),
    )


def paged_control(cookie: bytes, size: int = 0) -> bytes:
    """The paged results control of a response (RFC 2696)."""
    value = ber.sequence(ber.integer(size), ber.octets(cookie))
    return ber.sequence(ber.octets(PAGED), ber.octets(value))


def _message(message_id: int, body: bytes, controls: Sequence[bytes]) -> bytes:
    parts = [ber.integer(message_id), body]
    if controls:
        parts.append(ber.sequence(*controls, tag=0xA0))
    return ber.sequence(*parts)
