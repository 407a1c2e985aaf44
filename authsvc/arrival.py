"""When an HTTP/1.1 request has arrived whole, told from its octets alone (RFC 9112).

This decides only when a request is handed on; what it says is the HTTP parser's to judge. A length
that is not understood counts as none, so that the parser refuses it.
"""

from __future__ import annotations

import enum
import re

HEAD_LIMIT = 256 * 1024
"""Octets that a request's head may have: more than the sum of what the parser lets through."""
BODY_LIMIT = 2 * 1024 * 1024
"""Octets that a request's body may have: a form with a file of CA certificates fits well."""

_LENGTH = re.compile(rb"\r\ncontent-length[ \t]*:[ \t]*(\d{1,18})[ \t]*\r", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding[ \t]*:", re.IGNORECASE)
_EXPECT = re.compile(rb"\r\nexpect[ \t]*:[ \t]*100-continue[ \t]*(?=\r)", re.IGNORECASE)
_SIZE = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(;|$)")
_LONGEST_SIZE_LINE = 1024


class Arrived(enum.Enum):
    """How far a request has come."""

    IN_PART = enum.auto()
    AWAITED = enum.auto()
    """The client waits to be told to go on (`Expect: 100-continue`). Told once for a request."""
    WHOLE = enum.auto()
    MALFORMED = enum.auto()
    HEAD_TOO_LARGE = enum.auto()
    BODY_TOO_LARGE = enum.auto()


class Arrival:
    """The octets of one request, and perhaps the first ones of the next, as they come in."""

    __slots__ = ("_at", "_chunked", "_end", "_octets")

    def __init__(self) -> None:
        self._octets = bytearray()
        self._at = 0  # in the head: where its end is looked for; in chunks: the next one's start
        self._end = 0  # where the request ends; 0: not known yet
        self._chunked = False

    def __len__(self) -> int:
        return len(self._octets)

    def take(self) -> bytes:
        """All octets; begins anew."""
        octets = bytes(self._octets)
        self.__init__()  # type: ignore[misc]
        return octets

    def add(self, octets: bytes) -> Arrived:
        """Count more octets in, and tell how far the request has come with them."""
        self._octets += octets
        awaited = False
        if not self._end and not self._chunked:
            found = self._octets.find(b"\r\n\r\n", max(0, self._at - 3))
            self._at = len(self._octets)
            if found < 0:
                return Arrived.HEAD_TOO_LARGE if self._at > HEAD_LIMIT else Arrived.IN_PART
            if found > HEAD_LIMIT:
                return Arrived.HEAD_TOO_LARGE
            awaited = self._read_head(found + 4)
        state = self._in_chunks() if self._chunked else self._by_length()
        return Arrived.AWAITED if awaited and state is Arrived.IN_PART else state

    def _read_head(self, end: int) -> bool:
        """Learn where the body ends. Gives whether the client waits to be told to send it."""
        head = bytes(self._octets[:end])
        awaited = _EXPECT.search(head) is not None
        if awaited:  # it is met here: nobody else is to answer it again
            head = _EXPECT.sub(b"", head)
            self._octets[:end] = head
            end = len(head)
        if _CHUNKED.search(head):
            self._chunked, self._at = True, end
        else:
            length = _LENGTH.search(head)
            self._end = end + int(length[1]) if length else end
            if length and int(length[1]) > BODY_LIMIT:
                self._end = -1
        return awaited

    def _by_length(self) -> Arrived:
        if self._end < 0:
            return Arrived.BODY_TOO_LARGE
        return Arrived.WHOLE if len(self._octets) >= self._end else Arrived.IN_PART

    def _in_chunks(self) -> Arrived:
        """Walk from chunk to chunk up to the last, which has no length (RFC 9112 7.1)."""
        octets = self._octets
        while self._at <= len(octets):
            stop = octets.find(b"\r\n", self._at, self._at + _LONGEST_SIZE_LINE)
            if stop < 0:
                long = len(octets) - self._at >= _LONGEST_SIZE_LINE
                return Arrived.MALFORMED if long else Arrived.IN_PART
            size = _SIZE.match(octets, self._at, stop)
            if size is None:
                return Arrived.MALFORMED
            length = int(size[1], 16)
            if not length:  # trailers, if any, and an empty line
                done = octets.find(b"\r\n\r\n", stop) >= 0
                long = len(octets) - stop > HEAD_LIMIT
                if long:
                    return Arrived.MALFORMED
                return Arrived.WHOLE if done else Arrived.IN_PART
            if stop + length > BODY_LIMIT + HEAD_LIMIT:
                return Arrived.BODY_TOO_LARGE
            self._at = stop + 2 + length + 2
        return Arrived.IN_PART
