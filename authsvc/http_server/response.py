"""Write a WSGI application's answer to one request as octets (PEP 3333, RFC 9112).

Nearly every answer has a known length and leaves in one piece. One of unknown length leaves in
chunks, or ends with the connection where the client does not know them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import structlog

from authsvc.http_server.request_parser import Refusal, Request

if TYPE_CHECKING:
    from _typeshed import OptExcInfo
    from _typeshed.wsgi import WSGIApplication

_log = structlog.get_logger(__name__)

Headers = list[tuple[str, str]]

CONTINUE_100 = b"HTTP/1.1 100 Continue\r\n\r\n"


def _last_words(status: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode()


TIMEOUT_408 = _last_words("408 Request Timeout")
BUSY_503 = _last_words("503 Service Unavailable")
REFUSED = {refusal: _last_words(refusal.value) for refusal in Refusal}

_FAILED = (
    b"HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 22\r\n\r\nInternal Server Error\n"
)


class _GoneError(Exception):
    """Nobody takes the octets."""


class Response:
    """The answer to one request. `send` takes octets and raises OSError when nobody else does.

    With `last` the client is told that the connection ends after it.
    """

    __slots__ = (
        *("_begun", "_chunked", "_ended", "_head", "_request", "_rest", "_send", "_silent"),
        *("broken", "keep"),
    )

    def __init__(self, request: Request, send: Callable[[bytes], object], *, last: bool) -> None:
        self._request = request
        self._send = send
        self._head: tuple[str, Headers] | None = None  # as the application says it
        self._begun = False  # octets have been sent
        self._ended = False  # the last ones have
        self._rest: int | None = None  # octets of the body that are still to come, where known
        self._chunked = False
        self._silent = False  # no body is sent, whatever the application gives
        self.keep = request.keep_alive and not last
        """Whether the connection may be used again, once it is given."""
        self.broken = False
        """Whether it ends before its time, which nothing in it may tell."""

    def run(self, app: WSGIApplication, environ: dict[str, Any]) -> None:
        """Ask the application and send what it says. Of what either raises, it raises only what is
        to end the thread or the process.
        """
        body: Iterable[bytes] = ()
        try:
            try:
                body = app(environ, self._start)
                if isinstance(body, (list, tuple)) and self._head is not None:
                    self._rest = sum(map(len, body))
                for part in body:
                    if part:
                        self._body(part)
                self._end()
            finally:
                if hasattr(body, "close"):
                    body.close()
        except _GoneError:
            self.keep = False
        except BaseException as error:
            path = self._request.target.partition("?")[0]  # a query may hold what is secret
            _log.exception("failed", method=self._request.method, path=path)
            self._fail()
            if not isinstance(error, Exception):
                raise

    def _start(
        self, status: str, headers: Headers, exc_info: OptExcInfo | None = None
    ) -> Callable[[bytes], object]:
        """`start_response`."""
        if exc_info is not None and exc_info[1] is not None and self._begun:
            raise exc_info[1].with_traceback(exc_info[2])
        if exc_info is None and self._head is not None:
            raise RuntimeError("start_response was called twice")
        self._head = (status, headers)
        return self._body

    def _body(self, part: bytes) -> None:
        octets = b"" if self._begun else self._begin()
        if self._rest is not None:
            if len(part) > self._rest:
                raise ValueError("the body is longer than its Content-Length")
            self._rest -= len(part)
        if not self._silent:
            octets += b"%x\r\n%b\r\n" % (len(part), part) if self._chunked else part
        if octets:
            self._out(octets)

    def _end(self) -> None:
        if not self._begun:
            self._out(self._begin())
        if self._chunked:
            self._out(b"0\r\n\r\n")
        elif self._rest and not self._silent:
            raise ValueError("the body is shorter than its Content-Length")
        self._ended = True

    def _begin(self) -> bytes:
        """The head, and how the body's end will be told (RFC 9112 6.3)."""
        if self._head is None:
            raise RuntimeError("start_response was not called")
        status, headers = self._head
        fields = "".join([f"{name}: {value}\r\n" for name, value in headers])
        if not fields.count("\r") == fields.count("\n") == len(headers) or "\0" in fields:
            raise ValueError("a header field ends before its time")
        length = next((v for name, v in headers if name.lower() == "content-length"), None)
        empty = status.startswith(("204", "304", "1"))
        self._silent = empty or self._request.method == "HEAD"
        if length is not None:
            self._rest = int(length)
        elif self._rest is not None and not empty:
            fields += f"Content-Length: {self._rest}\r\n"
        elif not self._silent and self._request.version == "1.1":
            self._chunked = True
            fields += "Transfer-Encoding: chunked\r\n"
        elif not self._silent:
            self.keep = False
        if not self.keep:
            fields += "Connection: close\r\n"
        elif self._request.version == "1.0":
            fields += "Connection: keep-alive\r\n"
        head = f"HTTP/1.1 {status}\r\n{fields}"
        if "\r\nDate: " not in head:
            head += f"Date: {_date()}\r\n"
        return f"{head}\r\n".encode("latin-1")

    def _out(self, octets: bytes) -> None:
        self._begun = True
        try:
            self._send(octets)
        except OSError as error:
            raise _GoneError from error

    def _fail(self) -> None:
        """The client learns that the answer is none, or not whole."""
        self.keep = False
        self.broken = self._begun and not self._ended
        try:
            if not self._begun:
                self._out(_FAILED)
        except _GoneError:
            pass


_told = (0, "")


def _date() -> str:
    """This second as HTTP has it (RFC 9110 5.6.7)."""
    global _told
    second = int(time.time())
    if _told[0] != second:
        _told = (second, formatdate(second, usegmt=True))
    return _told[1]
