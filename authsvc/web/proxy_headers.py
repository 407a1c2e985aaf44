"""The address and the scheme that the operator's own reverse proxies report: theirs, no others'.

Each proxy adds what it saw to the end of `X-Forwarded-For`, or of `Forwarded` (RFC 7239); the last
`count` entries are believed. What cannot be understood there is refused: the connection's own
address counts then, the refusal is counted in the metrics, and logged once a minute.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import structlog

from authsvc import metrics
from kerauno.base import ip_addresses
from kerauno.base.errors import InvalidValue

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_log = structlog.get_logger(__name__)

LOGGED_EVERY = 60.0  # seconds
_BELIEVED = 2048  # characters at the end of a header, more than ten proxies write
_SCHEMES = frozenset({"http", "https"})


class Proxies:
    """Believes the last `count` proxies.

    `header` names the header they write, `x-forwarded-for` or `forwarded`; with `auto` it is the
    first of the two that a request has.
    """

    def __init__(
        self,
        behind: WSGIApplication,
        count: int,
        *,
        header: str = "auto",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._behind = behind
        self._count = count
        self._old = header != "forwarded"
        self._new = header != "x-forwarded-for"
        self._refusals = _Refusals(clock)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """WSGI."""
        if self._count:
            self._believe(environ)
        peer = environ.get("REMOTE_ADDR") or ""
        if ":" in peer:  # such as ::ffff:203.0.113.7, of a socket for both families
            environ["REMOTE_ADDR"] = _normal_or(peer)
        return self._behind(environ, start_response)

    def _believe(self, environ: WSGIEnvironment) -> None:
        address = scheme = None
        if self._old:
            address = self._reported(environ.get("HTTP_X_FORWARDED_FOR"))
            scheme = self._reported(environ.get("HTTP_X_FORWARDED_PROTO"))
        if self._new and "HTTP_FORWARDED" in environ:
            fields = forwarded_fields(self._reported(environ["HTTP_FORWARDED"]) or "")
            if not self._old or "HTTP_X_FORWARDED_FOR" not in environ:
                address = fields.get("for")
                scheme = fields.get("proto", scheme)
        if address is not None:
            try:
                environ["REMOTE_ADDR"] = ip_addresses.normal(address.strip(" \t"))
            except InvalidValue:
                self._refusals.note(address)
        if scheme is not None and scheme.lower() in _SCHEMES:
            environ["wsgi.url_scheme"] = scheme.lower()

    def _reported(self, field: str | None) -> str | None:
        """Return what the outermost of the believed proxies wrote; None where fewer have
        written."""
        if not field:
            return None
        entries = last_entries(field[-_BELIEVED:], self._count)
        return entries[0] if len(entries) == self._count else None


def last_entries(field: str, count: int, separator: str = ",") -> list[str]:
    """Return the last entries of a list, at most `count`, blanks around them removed.

    Read from the end, which the operator's proxies wrote: an open quote that a stranger sent
    before it cannot swallow theirs. A separator within quotes separates nothing.
    """
    entries: list[str] = []
    end, quoted = len(field), False
    for index in range(len(field) - 1, -1, -1):
        sign = field[index]
        if sign == '"' and not (quoted and _is_escaped(field, index)):
            quoted = not quoted
        elif sign == separator and not quoted:
            _prepend(entries, field[index + 1 : end])
            end = index
            if len(entries) == count:
                return entries
    _prepend(entries, field[:end])
    return entries


def forwarded_fields(entry: str) -> dict[str, str]:
    """Return the parameters of one entry of `Forwarded`, names in lower case (RFC 7239 4)."""
    fields: dict[str, str] = {}
    for pair in last_entries(entry, len(entry) + 1, ";"):
        name, _, value = pair.partition("=")
        value = value.strip(" \t")
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = _unescaped(value[1:-1])
        fields[name.strip(" \t").lower()] = value
    return fields


def _prepend(entries: list[str], entry: str) -> None:
    entry = entry.strip(" \t")
    if entry:
        entries.insert(0, entry)


def _is_escaped(text: str, index: int) -> bool:
    before = text[:index]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1


def _unescaped(text: str) -> str:
    """Return a quoted string's text without its backslashes (RFC 9110 5.6.4)."""
    signs, escaped = [], False
    for sign in text:
        escaped = sign == "\\" and not escaped
        if not escaped:
            signs.append(sign)
    return "".join(signs)


def _normal_or(address: str) -> str:
    try:
        return ip_addresses.normal(address)
    except InvalidValue:
        return address


class _Refusals:
    """Counts what was refused, and says so in the log once in a while."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._next = 0.0
        self._unsaid = 0

    def note(self, text: str) -> None:
        """Count one more, and log it where it is time."""
        hidden = text.startswith("_") or text.lower() == "unknown"
        metrics.refused_addresses.labels("hidden" if hidden else "invalid").inc()
        with self._lock:
            self._unsaid += 1
            now = self._clock()
            if now < self._next:
                return
            count, self._unsaid, self._next = self._unsaid, 0, now + LOGGED_EVERY
        _log.warning(
            "a proxy reported an address that cannot be used; its own counts instead",
            reported=ascii(text[:64]),
            count=count,
        )
