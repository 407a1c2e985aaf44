"""HTTP/1.1 requests out of the octets of one connection (RFC 9112), parsed by llhttp.

Octets are parsed as they come, so that a request is known to be whole, or not to be one, without
anybody waiting for it. What two readers could take for two different requests is refused.
"""

from __future__ import annotations

import enum
import io
import re
from collections import deque
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

HEAD_LIMIT = 64 * 1024
"""Octets that a request's head may have. A Kerberos ticket of somebody in hundreds of groups has up
to 48 KiB."""
BODY_LIMIT = 2 * 1024 * 1024
"""Octets that a request's body may have: a form with a file of CA certificates fits well."""
TARGET_LIMIT = 8190
"""Octets that what is asked for, path and query, may have."""
FIELDS_LIMIT = 100
"""Header fields that a request may have."""
PIPELINE_LIMIT = 256
"""Requests that may be there before the first of them is answered. The last one is answered as the
connection's last: its client asks again for what is left (RFC 9112 9.3.2)."""


class Refusal(enum.Enum):
    """Why octets are no request that is answered here, as a status (RFC 9110 15)."""

    MALFORMED = "400 Bad Request"
    BODY_TOO_LARGE = "413 Content Too Large"
    TARGET_TOO_LONG = "414 URI Too Long"
    TOO_MANY = "429 Too Many Requests"
    HEAD_TOO_LARGE = "431 Request Header Fields Too Large"
    NOT_KNOWN_HERE = "501 Not Implemented"
    VERSION_NOT_KNOWN_HERE = "505 HTTP Version Not Supported"


class _RefusedError(Exception):
    """Raised within the parser's calls; `feed` returns what it holds."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


class Request:
    """One request. Text is Latin-1, as WSGI has it (PEP 3333).

    `fields` are named as in WSGI: `HTTP_ACCEPT`, but `CONTENT_TYPE`. `body` grows until the request
    is whole.
    """

    __slots__ = ("body", "fields", "keep_alive", "method", "target", "version")

    def __init__(self) -> None:
        self.method = ""
        self.target = ""  # path and query
        self.version = ""  # 1.0 or 1.1
        self.fields: dict[str, str] = {}
        self.body = bytearray()
        self.keep_alive = False  # whether the client may ask more on this connection

    def environ(self, base: dict[str, Any]) -> dict[str, Any]:
        """For WSGI, on top of what is the same for every request of the connection."""
        path, _, query = self.target.partition("?")
        if "%" in path:
            path = unquote_to_bytes(path).decode("latin-1")
        return {
            **base,
            **self.fields,
            "REQUEST_METHOD": self.method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "SERVER_PROTOCOL": f"HTTP/{self.version}",
            "wsgi.input": io.BytesIO(self.body),
        }


class RequestParser:
    """Octets that arrived on a connection: whole requests in order, and the beginning of one more.

    `on_…` are the parser's to call. It holds this object, and this object holds it: `close` it.
    """

    __slots__ = (
        *("_awaited", "_beside", "_coming", "_headed", "_parser", "_retold", "_sum"),
        *("refused", "requests", "started"),
    )

    def __init__(self) -> None:
        self.requests: deque[Request] = deque()
        self.refused: Refusal | None = None
        """Why nothing on this connection is a request any more, after those that are whole."""
        self._awaited = False
        self._retold = False  # the parser reads a head of ours, see _without_upgrade
        self._parser = HttpRequestParser(self)
        self._reset()

    def __len__(self) -> int:
        """Octets of the request that is not whole yet, but for how its body is cut into chunks."""
        return self._beside + (self._sum if self._headed else 0) + len(self._coming.body)

    def feed(self, octets: bytes) -> None:
        """Count more octets in. They add to `requests` each request that ends with them."""
        while octets and self.refused is None:
            octets = self._parse(octets)

    def expects_continue(self) -> bool:
        """Return whether the client waits to be told to go on (`Expect: 100-continue`). True only
        once."""
        awaited = self._awaited
        self._awaited = False
        return awaited

    def has_more(self) -> bool:
        """Return whether more than what was handed on has arrived."""
        return bool(self.requests) or self.started or self.refused is not None

    def close(self) -> None:
        """Let the parser go."""
        del self._parser

    def _parse(self, octets: bytes) -> bytes:
        """Have the parser read. Returns what it leaves to another one."""
        self._beside += len(octets)
        try:
            self._parser.feed_data(octets)
        except HttpParserUpgrade as upgrade:
            return self._without_upgrade() + octets[upgrade.args[0] :]
        except HttpParserError as error:
            why = error.__context__
            self.refused = why.refusal if isinstance(why, _RefusedError) else Refusal.MALFORMED
        if self.refused is None and self._beside > HEAD_LIMIT:
            self.refused = Refusal.HEAD_TOO_LARGE
        return b""

    def _without_upgrade(self) -> bytes:
        """The client offered another protocol, which it is free to do (RFC 9110 7.8).

        The parser takes all that follows for that protocol. So another one is to be told a head
        that says the same about the body and offers nothing, and goes on from there.
        """
        framing = self._coming.fields.get("CONTENT_LENGTH")
        told = f"Content-Length: {framing or 0}"
        if "HTTP_TRANSFER_ENCODING" in self._coming.fields:
            told = "Transfer-Encoding: chunked"
        self._parser = HttpRequestParser(self)
        self._retold = True
        return f"POST / HTTP/1.1\r\n{told}\r\n\r\n".encode()

    def _reset(self) -> None:
        self.started = False  # the first octet of a request that is not whole has come
        self._coming = Request()
        self._headed = False
        self._sum = 0  # octets of the fields that are whole
        self._beside = 0  # octets since the last part of the body: head, chunk extension, trailers
        self._awaited = False

    def on_message_begin(self) -> None:
        """A request begins."""
        self.started = True

    def on_url(self, octets: bytes) -> None:
        """A part of what is asked for."""
        if not self._retold:
            self._coming.target += octets.decode("latin-1")
            if len(self._coming.target) > TARGET_LIMIT:
                raise _RefusedError(Refusal.TARGET_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head. Those after a body are dropped (RFC 9110 6.5.1)."""
        if self._headed:
            return
        fields = self._coming.fields
        self._sum += len(name) + len(value) + 3
        if self._sum > HEAD_LIMIT or len(fields) >= FIELDS_LIMIT:
            raise _RefusedError(Refusal.HEAD_TOO_LARGE)
        key = _key(name)
        if key is None:
            return
        text = value.strip(b" \t").decode("latin-1")
        if key in fields:
            if key in _ONLY_ONCE:
                raise _RefusedError(Refusal.MALFORMED)
            text = f"{fields[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{text}"
        fields[key] = text

    def on_headers_complete(self) -> None:
        """The head is whole: judge what the parser does not."""
        self._beside = 0
        if self._retold:
            return
        coming, parser = self._coming, self._parser
        self._headed = True
        coming.method = parser.get_method().decode("latin-1")
        coming.version = parser.get_http_version()
        coming.keep_alive = parser.should_keep_alive()
        if coming.version not in ("1.1", "1.0"):
            raise _RefusedError(Refusal.VERSION_NOT_KNOWN_HERE)
        if coming.method == "CONNECT":
            raise _RefusedError(Refusal.NOT_KNOWN_HERE)
        fields = coming.fields
        host = fields.get("HTTP_HOST")
        if (host is None and coming.version == "1.1") or not _is_host(host or ""):
            raise _RefusedError(Refusal.MALFORMED)
        if not coming.target.startswith("/"):
            host, coming.target = _origin_form(coming.target)
            if host:
                fields["HTTP_HOST"] = host
        coming.target = coming.target.partition("#")[0]
        if int(fields.get("CONTENT_LENGTH") or 0) > BODY_LIMIT:
            raise _RefusedError(Refusal.BODY_TOO_LARGE)
        coding = fields.get("HTTP_TRANSFER_ENCODING")
        if coding is not None:
            if coming.version == "1.0":
                raise _RefusedError(Refusal.MALFORMED)
            if coding.lower() != "chunked":
                raise _RefusedError(Refusal.NOT_KNOWN_HERE)
        if "HTTP_EXPECT" in fields and coming.version == "1.1":
            self._awaited = fields["HTTP_EXPECT"].lower() == "100-continue"

    def on_body(self, octets: bytes) -> None:
        """A part of the body."""
        self._beside = 0
        self._coming.body += octets
        if len(self._coming.body) > BODY_LIMIT:
            raise _RefusedError(Refusal.BODY_TOO_LARGE)

    def on_message_complete(self) -> None:
        """The request is whole, unless its body is still to be read, see `_without_upgrade`."""
        if self._parser.should_upgrade():
            return
        coming = self._coming
        if coming.fields.pop("HTTP_TRANSFER_ENCODING", None):
            coming.fields["CONTENT_LENGTH"] = str(len(coming.body))
        self.requests.append(coming)
        self._retold = False
        self._reset()
        if len(self.requests) == PIPELINE_LIMIT:
            coming.keep_alive = False
            raise _RefusedError(Refusal.TOO_MANY)


_ONLY_ONCE = frozenset(("HTTP_HOST", "CONTENT_TYPE", "HTTP_AUTHORIZATION"))


@lru_cache(512)
def _key(name: bytes) -> str | None:
    """The field's name in WSGI. None for `X_Forwarded_For`: it would pass for X-Forwarded-For."""
    if b"_" in name:
        return None
    key = name.decode("latin-1").upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


@lru_cache(512)
def _is_host(host: str) -> bool:
    """Return whether this can be a host and a port (RFC 3986 3.2), or is empty."""
    return _HOST.fullmatch(host) is not None


_HOST = re.compile(r"[\w.~!$&'()*+;=%-]*(:\d*)?|\[[0-9a-f:.]+\](:\d*)?", re.ASCII | re.IGNORECASE)


def _origin_form(target: str) -> tuple[str, str]:
    """Host and what is asked of it, for a target in another form (RFC 9112 3.2).

    The host is empty where the target names none. Raises _RefusedError.
    """
    if target == "*":
        return "", target
    try:
        parts = urlsplit(target)
    except ValueError:
        raise _RefusedError(Refusal.MALFORMED) from None
    if parts.scheme not in ("http", "https") or not parts.netloc or not _is_host(parts.netloc):
        raise _RefusedError(Refusal.MALFORMED)
    return parts.netloc, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
