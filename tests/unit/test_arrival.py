"""When a request has arrived whole, however its octets come in."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.arrival import BODY_LIMIT, HEAD_LIMIT, Arrival, Arrived

GET = b"GET /login HTTP/1.1\r\nHost: kerauno\r\n\r\n"
POST = b"POST /login HTTP/1.1\r\nHost: kerauno\r\n"


def with_length(body: bytes, name: bytes = b"Content-Length") -> bytes:
    return POST + b"%b: %d\r\n\r\n%b" % (name, len(body), body)


def in_chunks(parts: list[bytes], trailers: bytes = b"") -> bytes:
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part)
    return POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n" + trailers + b"\r\n"


bodies = st.binary(max_size=300)
requests = st.one_of(
    st.just(GET),
    st.builds(
        with_length,
        bodies,
        st.sampled_from([b"Content-Length", b"content-length", b"CONTENT-LENGTH "]),
    ),
    st.builds(
        in_chunks,
        st.lists(st.binary(max_size=60), max_size=5),
        st.sampled_from([b"", b"Trailer: one\r\n", b"A: b\r\nC: d\r\n"]),
    ),
)


@given(requests, st.lists(st.integers(1, 700), max_size=8))
def test_a_request_is_whole_with_its_last_octet_and_not_before(
    request: bytes, cuts: list[int]
) -> None:
    places = [0, *sorted({cut for cut in cuts if cut < len(request) - 1}), len(request) - 1]
    arrival = Arrival()
    for start, stop in pairwise(places):
        assert arrival.add(request[start:stop]) is Arrived.IN_PART
    assert arrival.add(request[-1:]) is Arrived.WHOLE
    assert len(arrival) == len(request)
    assert arrival.take() == request
    assert len(arrival) == 0


@given(requests, requests)
def test_what_follows_stays_with_it(first: bytes, second: bytes) -> None:
    arrival = Arrival()
    assert arrival.add(first + second) is Arrived.WHOLE
    assert arrival.take() == first + second


@given(st.binary(max_size=400))
def test_no_octets_are_lost_or_raise(octets: bytes) -> None:
    arrival = Arrival()
    arrival.add(octets)
    assert arrival.take() == octets or b"100-continue" in octets.lower()


def test_it_begins_anew_after_each_request() -> None:
    arrival = Arrival()
    assert arrival.add(in_chunks([b"one"])) is Arrived.WHOLE
    arrival.take()
    assert arrival.add(GET[:-1]) is Arrived.IN_PART
    assert arrival.add(GET[-1:]) is Arrived.WHOLE


def test_who_waits_to_be_told_to_go_on_is_told_once_and_the_parser_not_again() -> None:
    arrival = Arrival()
    head = POST + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n"
    assert arrival.add(head) is Arrived.AWAITED
    assert arrival.add(b"ab") is Arrived.IN_PART
    assert arrival.add(b"cd") is Arrived.WHOLE
    assert arrival.take() == POST + b"Content-Length: 4\r\n\r\nabcd"


def test_who_sends_everything_at_once_needs_no_word() -> None:
    arrival = Arrival()
    request = POST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\nab"
    assert arrival.add(request) is Arrived.WHOLE
    assert arrival.take() == POST + b"Content-Length: 2\r\n\r\nab"


@pytest.mark.parametrize(
    ("octets", "state"),
    [
        (b"x" * (HEAD_LIMIT + 1), Arrived.HEAD_TOO_LARGE),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * HEAD_LIMIT + b"\r\n\r\n", Arrived.HEAD_TOO_LARGE),
        (POST + b"Content-Length: %d\r\n\r\n" % BODY_LIMIT, Arrived.IN_PART),
        (POST + b"Content-Length: %d\r\n\r\n" % (BODY_LIMIT + 1), Arrived.BODY_TOO_LARGE),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nfffffff\r\n", Arrived.BODY_TOO_LARGE),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1f", Arrived.IN_PART),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", Arrived.MALFORMED),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * 2000, Arrived.MALFORMED),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", Arrived.MALFORMED),
        # Not understood: the parser is to refuse it.
        (POST + b"Content-Length: -1\r\n\r\n", Arrived.WHOLE),
        (POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", Arrived.WHOLE),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", Arrived.IN_PART),
    ],
)
def test_what_is_too_large_or_not_understood(octets: bytes, state: Arrived) -> None:
    assert Arrival().add(octets) is state


def test_many_small_chunks_are_walked_once_each() -> None:
    request = in_chunks([b"x"] * 5000)
    arrival = Arrival()
    states = {arrival.add(request[at : at + 7]) for at in range(0, len(request) - 7, 7)}
    assert states == {Arrived.IN_PART}
