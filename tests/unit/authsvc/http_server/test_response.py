"""A WSGI application's answer as it leaves for the client."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from authsvc.http_server.request_parser import RequestParser
from authsvc.http_server.response import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


GET = b"GET /?code=secret HTTP/1.1\r\nHost: k\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: k\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"

Send = Callable[[bytes], None]


class Given:
    """One answer as the client gets it."""

    def __init__(
        self, app: WSGIApplication, request: bytes = GET, send: Send | None = None
    ) -> None:
        parser = RequestParser()
        parser.feed(request)
        self.sent: list[bytes] = []
        answer = Response(parser.requests[0], send or self.sent.append, last=False)
        answer.run(app, parser.requests[0].environ({}))
        self.keep, self.broken = answer.keep, answer.broken
        head, _, self.body = b"".join(self.sent).partition(b"\r\n\r\n")
        self.status, *fields = head.decode("latin-1").split("\r\n")
        self.fields = dict(field.split(": ", 1) for field in fields)
        self.fields.pop("Date", None)


def saying(
    said: Iterable[bytes], *headers: tuple[str, str], status: str = "200 OK"
) -> WSGIApplication:
    """An application that says this."""

    def app(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, list(headers))
        return said

    return app


def test_a_known_length_leaves_in_one_piece() -> None:
    given = Given(saying([b"hello"], ("Content-Length", "5"), ("A", "b"), ("Name", "Ã¤")))
    assert len(given.sent) == 1
    assert (given.status, given.body, given.keep) == ("HTTP/1.1 200 OK", b"hello", True)
    assert given.fields == {"Content-Length": "5", "A": "b", "Name": "Ã¤"}


def test_a_list_has_a_length() -> None:
    given = Given(saying([b"he", b"", b"llo"]))
    assert (given.fields, given.body) == ({"Content-Length": "5"}, b"hello")
    assert Given(saying(())).fields == {"Content-Length": "0"}


def test_an_unknown_length_leaves_in_chunks() -> None:
    given = Given(saying(iter([b"hello", b"", b"w" * 16])))
    assert given.fields == {"Transfer-Encoding": "chunked"}
    assert given.body == b"5\r\nhello\r\n10\r\n" + b"w" * 16 + b"\r\n0\r\n\r\n"
    assert given.keep


def test_for_who_knows_no_chunks_the_connection_ends_it() -> None:
    given = Given(saying(iter([b"hello"])), OLD)
    assert (given.fields, given.body, given.keep) == ({"Connection": "close"}, b"hello", False)


def test_an_old_client_is_told_that_it_may_ask_more() -> None:
    given = Given(saying([b"x"]), OLD)
    assert given.fields == {"Content-Length": "1", "Connection": "keep-alive"}
    assert given.keep


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_some_answers_have_no_body(status: str) -> None:
    given = Given(saying([b"never"], status=status))
    assert (given.fields, given.body, given.keep) == ({}, b"", True)


def test_to_head_the_length_is_told_and_nothing_sent() -> None:
    given = Given(saying([b"hello"], ("Content-Length", "5")), HEAD)
    assert (given.fields, given.body, given.keep) == ({"Content-Length": "5"}, b"", True)
    assert Given(saying(iter([b"hello"])), HEAD).body == b""


def test_a_head_is_dated() -> None:
    sent: list[bytes] = []
    Given(saying([]), send=sent.append)
    assert b"\r\nDate: " in sent[0]
    assert sent[0].count(b" GMT\r\n") == 1


def test_a_date_of_the_application_is_the_only_one() -> None:
    sent: list[bytes] = []
    Given(saying([], ("A", "b"), ("Date", "Thu, 01 Jan 1970 00:00:00 GMT")), send=sent.append)
    assert sent[0].count(b"Date: ") == 1


def test_the_last_answer_says_so() -> None:
    request = b"GET / HTTP/1.1\r\nHost: k\r\nConnection: close\r\n\r\n"
    given = Given(saying([b"x"]), request)
    assert given.fields == {"Content-Length": "1", "Connection": "close"}
    assert not given.keep


@pytest.mark.parametrize(
    "headers",
    [
        [("A", "b\r\nSet-Cookie: evil=1")],
        [("A", "b\nC: d")],
        [("A", "b\rC")],
        [("A\r\nB", "c")],
        [("A", "b\0")],
        [("A", "ș")],
    ],
)
def test_no_field_breaks_out_of_its_line(headers: list[tuple[str, str]]) -> None:
    with capture_logs() as logs:
        given = Given(saying([b"x"], *headers))
    assert (given.status, given.keep) == ("HTTP/1.1 500 Internal Server Error", False)
    assert b"evil" not in b"".join(given.sent)
    assert [entry["event"] for entry in logs] == ["failed"]


def _raises(_environ: WSGIEnvironment, _start: StartResponse) -> Iterable[bytes]:
    raise LookupError("boom")


def _raises_late(_environ: WSGIEnvironment, start: StartResponse) -> Iterator[bytes]:
    start("200 OK", [])
    yield b"hello"
    raise LookupError("boom")


def _never_starts(_environ: WSGIEnvironment, _start: StartResponse) -> Iterable[bytes]:
    return [b"x"]


def _starts_twice(_environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
    start("200 OK", [])
    start("200 OK", [])
    return []


@pytest.mark.parametrize("app", [_raises, _never_starts, _starts_twice])
def test_an_application_that_fails(app: WSGIApplication) -> None:
    with capture_logs() as logs:
        given = Given(app)
    assert (given.status, given.body) == (
        "HTTP/1.1 500 Internal Server Error",
        b"Internal Server Error\n",
    )
    assert (given.keep, given.broken) == (False, False)
    assert [(entry["method"], entry["path"]) for entry in logs] == [("GET", "/")]


@pytest.mark.parametrize(
    "app",
    [
        _raises_late,
        saying([b"hel"], ("Content-Length", "5")),
        saying([b"hello", b"more"], ("Content-Length", "5")),
    ],
)
def test_an_answer_that_breaks_off_is_not_taken_for_whole(app: WSGIApplication) -> None:
    with capture_logs():
        given = Given(app)
    assert (given.keep, given.broken) == (False, True)
    assert not given.body.endswith(b"0\r\n\r\n")
    assert b"more" not in given.body


def test_what_ends_the_thread_is_told_as_a_failure() -> None:
    def ends(_environ: WSGIEnvironment, _start: StartResponse) -> Iterable[bytes]:
        raise SystemExit

    parser = RequestParser()
    parser.feed(GET)
    sent: list[bytes] = []
    answer = Response(parser.requests[0], sent.append, last=False)
    with capture_logs(), pytest.raises(SystemExit):
        answer.run(ends, {})
    assert (answer.keep, sent[0][:12]) == (False, b"HTTP/1.1 500")


def test_a_failure_may_replace_what_was_not_sent() -> None:
    def app(_environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        start("200 OK", [])
        try:
            raise LookupError
        except LookupError:
            start("500 Oh", [], sys.exc_info())
        return [b"x"]

    assert Given(app).status == "HTTP/1.1 500 Oh"


def test_but_not_what_was_sent() -> None:
    def app(_environ: WSGIEnvironment, start: StartResponse) -> Iterator[bytes]:
        start("200 OK", [])
        yield b"hello"
        try:
            raise LookupError("too late")
        except LookupError:
            start("500 Oh", [], sys.exc_info())

    with capture_logs() as logs:
        given = Given(app)
    assert (given.status, given.keep, len(logs)) == ("HTTP/1.1 200 OK", False, 1)


def test_what_is_written_comes_first() -> None:
    def app(_environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        start("200 OK", [("Content-Length", "4")])(b"he")
        return [b"ll"]

    assert Given(app).body == b"hell"


class _Closing:
    def __init__(self) -> None:
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"x"])

    def close(self) -> None:
        self.closed += 1


def test_what_goes_wrong_after_an_answer_does_not_break_it() -> None:
    class Fails(_Closing):
        def close(self) -> None:
            raise LookupError("boom")

    with capture_logs() as logs:
        given = Given(saying(Fails()))
    assert (given.body, given.keep, given.broken) == (b"1\r\nx\r\n0\r\n\r\n", False, False)
    assert [entry["event"] for entry in logs] == ["failed"]


def _gone(_octets: bytes) -> None:
    raise BrokenPipeError


def test_a_client_that_is_gone_is_no_failure() -> None:
    said = _Closing()
    with capture_logs() as logs:
        given = Given(saying(said), send=_gone)
    assert (given.keep, said.closed, logs) == (False, 1, [])
    with capture_logs() as logs:
        assert not Given(_raises, send=_gone).keep
    assert len(logs) == 1
