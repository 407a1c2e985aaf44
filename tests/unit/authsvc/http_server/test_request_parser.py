"""Requests out of octets, however these come in; and what is no request."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.http_server.request_parser import (
    BODY_LIMIT,
    FIELDS_LIMIT,
    HEAD_LIMIT,
    PIPELINE_LIMIT,
    TARGET_LIMIT,
    Refusal,
    Request,
    RequestParser,
)

GET = b"GET /login HTTP/1.1\r\nHost: kerauno\r\n\r\n"
POST = b"POST /login HTTP/1.1\r\nHost: kerauno\r\n"
UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n"


def with_length(body: bytes, name: bytes = b"Content-Length", more: bytes = b"") -> bytes:
    return POST + more + b"%b: %d\r\n\r\n%b" % (name, len(body), body)


def in_chunks(parts: list[bytes], trailers: bytes = b"", more: bytes = b"") -> bytes:
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part)
    coding = b"Transfer-Encoding: chunked\r\n\r\n"
    return POST + more + coding + chunks + b"0\r\n" + trailers + b"\r\n"


def one(octets: bytes) -> Request:
    """The one request that these octets are."""
    parser = RequestParser()
    parser.feed(octets)
    assert (parser.refused, len(parser.requests), parser.started, len(parser)) == (
        None,
        1,
        False,
        0,
    )
    return parser.requests[0]


def refused(octets: bytes) -> Refusal | None:
    """Why these octets are no request; they were not taken for one either."""
    parser = RequestParser()
    parser.feed(octets)
    assert len(parser.requests) == 0
    return parser.refused


def same(request: Request) -> tuple[object, ...]:
    return (
        *(request.method, request.target, request.version, request.fields),
        *(bytes(request.body), request.keep_alive),
    )


bodies = st.binary(max_size=300)
offers = st.sampled_from([b"", UPGRADE])
requests = st.one_of(
    st.just(GET),
    st.just(GET[:-2] + UPGRADE + b"\r\n"),
    st.builds(
        with_length,
        bodies,
        st.sampled_from([b"Content-Length", b"content-length", b"CONTENT-LENGTH"]),
        offers,
    ),
    st.builds(
        in_chunks,
        st.lists(st.binary(max_size=60), max_size=5),
        st.sampled_from([b"", b"Trailer: one\r\n", b"A: b\r\nC: d\r\n"]),
        offers,
    ),
)


@given(requests, st.lists(st.integers(1, 700), max_size=8))
def test_a_request_is_whole_with_its_last_octet_and_not_before(
    request: bytes, cuts: list[int]
) -> None:
    places = [0, *sorted({cut for cut in cuts if cut < len(request) - 1}), len(request) - 1]
    parser = RequestParser()
    for start, stop in pairwise(places):
        parser.feed(request[start:stop])
        assert (len(parser.requests), parser.started, parser.refused) == (0, True, None)
    parser.feed(request[-1:])
    assert [same(found) for found in parser.requests] == [same(one(request))]
    assert (parser.started, len(parser)) == (False, 0)


@given(requests, requests, requests)
def test_what_comes_together_is_told_apart(first: bytes, second: bytes, third: bytes) -> None:
    parser = RequestParser()
    parser.feed(first + second + third[:-1])
    assert [same(found) for found in parser.requests] == [same(one(first)), same(one(second))]
    assert parser.started
    parser.feed(third[-1:])
    assert same(parser.requests[2]) == same(one(third))


@given(bodies, st.lists(st.binary(min_size=1, max_size=60), max_size=5), offers)
def test_a_body_is_what_was_sent(body: bytes, parts: list[bytes], offer: bytes) -> None:
    assert bytes(one(with_length(body, more=offer)).body) == body
    chunked = one(in_chunks(parts, more=offer))
    assert bytes(chunked.body) == b"".join(parts)
    assert chunked.environ({})["CONTENT_LENGTH"] == str(len(chunked.body))
    assert "HTTP_TRANSFER_ENCODING" not in chunked.environ({})


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_nonsense_raises_nothing(parts: list[bytes]) -> None:
    parser = RequestParser()
    for part in parts:
        parser.feed(part)
    assert len(parser) <= sum(map(len, parts))


def test_for_wsgi() -> None:
    request = one(
        b"POST /a%20b/%C3%A4?q=%20x&r=a?b HTTP/1.1\r\nhost: kerauno:8000\r\nX-One:  a \t\r\n"
        b"x-one: b\r\nCookie: a=1\r\nCookie: b=2\r\nContent-Type: text/plain\r\nEmpty:\r\n"
        b"X_Forwarded_For: 6.6.6.6\r\nX-Forwarded-For: 10.0.0.1\r\nName: \xc3\xa4\r\n"
        b"Content-Length: 2\r\n\r\nhi"
    )
    environ = request.environ({"REMOTE_ADDR": "192.0.2.1", "PATH_INFO": "not this"})
    assert environ.pop("wsgi.input").read() == b"hi"
    assert environ == {
        "REMOTE_ADDR": "192.0.2.1",
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/a b/Ã¤",
        "QUERY_STRING": "q=%20x&r=a?b",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "2",
        "HTTP_HOST": "kerauno:8000",
        "HTTP_X_ONE": "a,b",
        "HTTP_COOKIE": "a=1; b=2",
        "HTTP_EMPTY": "",
        "HTTP_X_FORWARDED_FOR": "10.0.0.1",
        "HTTP_NAME": "Ã¤",
    }


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/", "/", ""),
        (b"/?", "/", ""),
        (b"//evil.example/x", "//evil.example/x", ""),
        (b"//evil.example#x?y", "//evil.example", ""),
        (b"/a#b", "/a", ""),
        (b"/a?b#c?d", "/a", "b"),
        (b"http://kerauno/a?b", "/a", "b"),
        (b"https://kerauno", "/", ""),
        (b"*", "*", ""),
    ],
)
def test_forms_of_the_target(target: bytes, path: str, query: str) -> None:
    environ = one(b"OPTIONS %b HTTP/1.1\r\nHost: k\r\n\r\n" % target).environ({})
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == (path, query)


@pytest.mark.parametrize(
    ("target", "host"),
    [(b"/a", "kerauno"), (b"http://Other:80/a", "Other:80"), (b"https://[::1]:80?a", "[::1]:80")],
)
def test_a_target_that_names_the_host_is_right_about_it(target: bytes, host: str) -> None:
    """RFC 9112 3.2.2."""
    request = one(b"GET %b HTTP/1.1\r\nHost: kerauno\r\n\r\n" % target)
    assert request.fields["HTTP_HOST"] == host


@pytest.mark.parametrize("host", [b"", b"k", b"k:80", b"k:", b"wiki_1.k", b"[::1]", b"192.0.2.1:1"])
def test_what_can_be_a_host(host: bytes) -> None:
    request = one(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host)
    assert request.fields["HTTP_HOST"] == host.decode()


@pytest.mark.parametrize(
    "host",
    [b"a b", b"a,b", b"a/b", b"a@b", b"a:b", b"a?", b"a#", b"a\\", b"[", b"\xc3\xa4", b"<a>"],
)
def test_what_cannot(host: bytes) -> None:
    assert refused(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host) is Refusal.MALFORMED


@pytest.mark.parametrize(
    ("head", "kept"),
    [
        (b"GET / HTTP/1.1\r\nHost: k\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: k\r\nConnection: close\r\n", False),
        (b"GET / HTTP/1.0\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: k\r\nConnection: upgrade\r\nUpgrade: websocket\r\n", True),
    ],
)
def test_whether_the_client_may_ask_more(head: bytes, kept: bool) -> None:
    assert one(head + b"\r\n").keep_alive is kept


def test_who_waits_to_be_told_to_go_on_is_told_once() -> None:
    parser = RequestParser()
    parser.feed(POST + b"Expect: 100-Continue\r\nContent-Length: 4\r\n\r\n")
    assert [parser.expects_continue(), parser.expects_continue()] == [True, False]
    parser.feed(b"ab")
    assert not parser.expects_continue()
    parser.feed(b"cd" + GET)
    assert not parser.expects_continue()
    assert [bytes(request.body) for request in parser.requests] == [b"abcd", b""]


def test_who_sends_everything_at_once_needs_no_word() -> None:
    parser = RequestParser()
    parser.feed(POST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\nab")
    assert not parser.expects_continue()
    assert bytes(parser.requests[0].body) == b"ab"


@pytest.mark.parametrize(
    ("octets", "refusal"),
    [
        (b"G" + b"E" * HEAD_LIMIT, Refusal.MALFORMED),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * HEAD_LIMIT, Refusal.HEAD_TOO_LARGE),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * HEAD_LIMIT + b"\r\n\r\n", Refusal.HEAD_TOO_LARGE),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000, Refusal.HEAD_TOO_LARGE),
        (b"GET /%b HTTP/1.1\r\n" % (b"x" * TARGET_LIMIT), Refusal.TARGET_TOO_LONG),
        (POST + b"Content-Length: %d\r\n\r\n" % BODY_LIMIT, None),
        (POST + b"Content-Length: %d\r\n\r\n" % (BODY_LIMIT + 1), Refusal.BODY_TOO_LARGE),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1f", None),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n200001\r\n", None),
        (
            POST + b"Transfer-Encoding: chunked\r\n\r\n200001\r\n" + b"x" * (BODY_LIMIT + 1),
            Refusal.BODY_TOO_LARGE,
        ),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", Refusal.MALFORMED),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * 2000, Refusal.MALFORMED),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", Refusal.MALFORMED),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n", Refusal.MALFORMED),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", Refusal.NOT_KNOWN_HERE),
        (POST + b"Transfer-Encoding: gzip\r\n\r\n", Refusal.NOT_KNOWN_HERE),
        (
            POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            Refusal.MALFORMED,
        ),
        (
            POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            Refusal.MALFORMED,
        ),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Refusal.MALFORMED),
        (POST + b"Content-Length: -1\r\n\r\n", Refusal.MALFORMED),
        (POST + b"Content-Length: +1\r\n\r\n", Refusal.MALFORMED),
        (POST + b"Content-Length: 1, 1\r\n\r\n", Refusal.MALFORMED),
        (POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", Refusal.MALFORMED),
        (POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", Refusal.MALFORMED),
        (b"GET / HTTP/1.1\r\n\r\n", Refusal.MALFORMED),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Refusal.MALFORMED),
        (b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", Refusal.MALFORMED),
        (GET[:-2] + b"Authorization: a\r\nAuthorization: b\r\n\r\n", Refusal.MALFORMED),
        (GET[:-2] + b"X: a\r\n b\r\n\r\n", Refusal.MALFORMED),
        (GET[:-2] + b"X : a\r\n\r\n", Refusal.MALFORMED),
        (GET[:-2] + b"X: a\0b\r\n\r\n", Refusal.MALFORMED),
        (GET[:-2] + b"X: a\rb\r\n\r\n", Refusal.MALFORMED),
        (b"GET / HTTP/1.1\nHost: a\n\n", Refusal.MALFORMED),
        (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.MALFORMED),
        (b"GET evil HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.MALFORMED),
        (b"GET ftp://kerauno/ HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.MALFORMED),
        (b"GET http://[/ HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.MALFORMED),
        (b"GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.MALFORMED),
        (b"GET http:a HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.MALFORMED),
        (b"GET http://evil/ HTTP/1.1\r\n\r\n", Refusal.MALFORMED),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", Refusal.VERSION_NOT_KNOWN_HERE),
        (b"GET / HTTP/0.9\r\n\r\n", Refusal.VERSION_NOT_KNOWN_HERE),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Refusal.MALFORMED),
        (b"CONNECT evil:25 HTTP/1.1\r\nHost: evil:25\r\n\r\n", Refusal.NOT_KNOWN_HERE),
        (b"FETCH / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.MALFORMED),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", Refusal.MALFORMED),
    ],
)
def test_what_is_no_request_here(octets: bytes, refusal: Refusal | None) -> None:
    assert refused(octets) is refusal


def test_so_many_fields_and_not_one_more() -> None:
    fields = b"".join(b"A%d: b\r\n" % number for number in range(FIELDS_LIMIT - 1))
    assert len(one(GET[:-2] + fields + b"\r\n").fields) == FIELDS_LIMIT
    assert refused(GET[:-2] + fields + b"B: c\r\n\r\n") is Refusal.HEAD_TOO_LARGE


def test_who_drips_a_head_without_end_is_refused() -> None:
    parser = RequestParser()
    parser.feed(GET[:-2] + b"A: ")
    for _ in range(HEAD_LIMIT // 1000 + 1):
        assert parser.refused is None
        parser.feed(b"x" * 1000)
    assert parser.refused is Refusal.HEAD_TOO_LARGE


def test_what_was_whole_before_nonsense_is_a_request() -> None:
    parser = RequestParser()
    parser.feed(GET + b"nonsense\r\n\r\n")
    assert [request.target for request in parser.requests] == ["/login"]
    assert parser.refused is Refusal.MALFORMED
    parser.feed(GET)
    assert len(parser.requests) == 1


def test_many_small_chunks_are_one_body() -> None:
    request = in_chunks([b"x"] * 5000)
    parser = RequestParser()
    for at in range(0, len(request), 7):
        parser.feed(request[at : at + 7])
    assert bytes(parser.requests[0].body) == b"x" * 5000


CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "begun", [CHUNKED + b"0\r\nX: ", CHUNKED + b"0\r\n", CHUNKED + b"1;x="], ids=repr
)
@pytest.mark.parametrize("drip", [b"x" * 1000, b"x: y\r\n" * 100])
def test_what_surrounds_a_body_has_an_end_too(begun: bytes, drip: bytes) -> None:
    """Trailers and chunk extensions: the parser keeps an unfinished trailer in memory."""
    parser = RequestParser()
    parser.feed(begun)
    sent = 0
    while parser.refused is None and sent < 3 * HEAD_LIMIT:
        parser.feed(drip)
        sent += len(drip)
        assert parser.refused or len(parser) >= min(sent, 1000)
    assert parser.refused in (Refusal.HEAD_TOO_LARGE, Refusal.MALFORMED)


def test_trailers_of_a_large_body_are_few_octets_all_the_same() -> None:
    parser = RequestParser()
    parser.feed(CHUNKED + b"%x\r\n" % BODY_LIMIT)
    for _ in range(BODY_LIMIT // 4096):
        parser.feed(b"x" * 4096)
    assert (parser.refused, len(parser) >= BODY_LIMIT) == (None, True)
    parser.feed(b"\r\n0\r\nA: b\r\n\r\n")
    assert [len(request.body) for request in parser.requests] == [BODY_LIMIT]


@pytest.mark.parametrize(
    "request_", [GET, GET[:-2] + UPGRADE + b"\r\n", with_length(b"x", more=UPGRADE)], ids=repr
)
def test_many_at_once_are_answered_up_to_a_limit(request_: bytes) -> None:
    """The last of them closes the connection, so that the client asks anew for what is left."""
    parser = RequestParser()
    parser.feed(request_ * (PIPELINE_LIMIT + 1000))
    kept = [request.keep_alive for request in parser.requests]
    assert kept == [True] * (PIPELINE_LIMIT - 1) + [False]
    assert parser.refused is Refusal.TOO_MANY


LENGTH = b"Content-Length: 4\r\n"


@pytest.mark.parametrize("offer", [b"", UPGRADE], ids=["", "upgrade"])
@pytest.mark.parametrize(
    "coding",
    [
        *(
            b"Transfer-Encoding: chunked",
            b"Transfer-Encoding: CHUNKED",
            b"X: y\nTransfer-Encoding: a",
        ),
        *(
            b"Transfer-Encoding : chunked",
            b"Transfer-Encoding:\r\n chunked",
            b"Transfer-Encoding: ",
        ),
        *(
            b"Transfer-Encoding: chunked, chunked",
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: a",
        ),
        *(b"Transfer-Encoding: xchunked", b'Transfer-Encoding: "chunked"', b"Content-Length: 4"),
        *(b"Transfer-Encoding:\x0bchunked", b"Transfer-Encoding: chunked\0", b"Content-Length: 5"),
    ],
)
def test_a_length_and_anything_else_that_tells_the_end_are_refused(
    coding: bytes, offer: bytes
) -> None:
    """Wherever another reader may see the request end: that is how one request hides in another."""
    rest = b"\r\n5\r\nhello\r\n0\r\n\r\n" + GET
    assert refused(POST + offer + LENGTH + coding + b"\r\n" + rest) is not None
    assert refused(POST + offer + coding + b"\r\n" + LENGTH + rest) is not None


@pytest.mark.parametrize(
    "body",
    [
        *(b"5\nhello\r\n0\r\n\r\n", b"5\r\nhello\n0\r\n\r\n", b"5\r\nhello0\r\n\r\n"),
        *(b"5 \r\nhello\r\n0\r\n\r\n", b"0x5\r\nhello\r\n0\r\n\r\n", b"+5\r\nhello\r\n0\r\n\r\n"),
        *(b"5;a\nb\r\nhello\r\n0\r\n\r\n", b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
        *(b"5\r\nhello\r\n0\r\nContent-Length: 30\r\n\r\n", b"5\r\nhello\r\n0\n\r\n"),
        *(b"5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n", b"\r\n0\r\n\r\n"),
    ],
)
def test_chunks_that_another_reader_may_cut_otherwise(body: bytes) -> None:
    assert refused(CHUNKED + body + GET) is Refusal.MALFORMED


def test_trailers_say_nothing_about_the_request() -> None:
    trailers = b"Host: evil\r\nAuthorization: Bearer evil\r\nX-Forwarded-For: 6.6.6.6\r\n"
    request = one(in_chunks([b"hello"], trailers))
    assert request.fields == {"HTTP_HOST": "kerauno", "CONTENT_LENGTH": "5"}
