"""Forms and proxies' fields are read here as werkzeug reads them, whatever octets come."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestEntityTooLarge
from werkzeug.wrappers import Request

from authsvc.web.form_parser import parse_form

MOST = 1000
FORM = "application/x-www-form-urlencoded"


def sent(body: bytes, **more: object) -> dict[str, Any]:
    """The environ of a POST with this body."""
    return {
        "REQUEST_METHOD": "POST",
        "CONTENT_TYPE": FORM,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        **more,
    }


def fields_or_fault(read: Any) -> dict[str, str] | type[HTTPException]:
    try:
        return dict(read().items())
    except HTTPException as error:
        return type(error)


def by_werkzeug(environ: dict[str, Any]) -> Any:
    request = Request(environ)
    request.max_content_length = MOST
    return request.form


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")


_texts = st.text(alphabet=st.sampled_from("aZ0%+&=;éß😀\ud800 \0\n2F-"), max_size=12)
_PIECES = (
    *(b"a", b"username", b"next", b"[]", b"=", b"&", b";", b"+", b"\0", b"\r\n", "é".encode()),
    *(b"%", b"%4", b"%41", b"%C3%A9", b"%ff", b"%00", b"%zz", b"%2B", b"%26", b"\xff"),
)
_octets = st.lists(st.sampled_from(_PIECES), max_size=30).map(b"".join)
_bodies = _octets | st.binary(max_size=60) | _texts.map(_encoded)
_KINDS = (
    *("", FORM, FORM.upper(), f" {FORM}", f"{FORM}; charset=utf-8", f"{FORM};charset=latin-1"),
    *("text/plain", "multipart/form-data", "multipart/form-data; boundary=x"),
)
_LENGTHS = (
    *("", "0", "3", "1000", "1001", "99999999999", "-1", "+3", " 3", "3 ", "003", "1_0"),
    "\u0663",
)
_more = st.fixed_dictionaries(
    {},
    optional={
        "CONTENT_TYPE": st.sampled_from(_KINDS),
        "CONTENT_LENGTH": st.sampled_from(_LENGTHS),
        "HTTP_TRANSFER_ENCODING": st.sampled_from(["chunked", "gzip", "identity, chunked"]),
        "wsgi.input_terminated": st.just(True),
    },
)


@given(body=_bodies, more=_more)
@example(b"username=a&username=b&password=%F0%9F%98%80&=x&y", {})
@example(b"username=%", {"CONTENT_LENGTH": "11"})
@example(b"username=john", {"CONTENT_LENGTH": "20"})
@example(b"a" * 1001, {})
def test_any_body_gives_the_same_fields_as_werkzeug(body: bytes, more: dict[str, object]) -> None:
    if "wsgi.input_terminated" in more:  # such a server ends the body where its length says
        more.pop("CONTENT_LENGTH", None)
    here = fields_or_fault(lambda: parse_form(sent(body, **more), MOST))
    assert here == fields_or_fault(lambda: by_werkzeug(sent(body, **more)))


@given(st.dictionaries(_texts, _texts, max_size=4))
def test_what_browsers_encode_comes_back(fields: dict[str, str]) -> None:
    whole = {key: value for key, value in fields.items() if "\ud800" not in key + value}
    body = urlencode(whole).encode()
    assert parse_form(sent(body), len(body)) == whole


def test_the_first_of_several_values_counts() -> None:
    assert parse_form(sent(b"username=a&username=b"), MOST) == {"username": "a"}


def test_no_body_is_read_beyond_its_length() -> None:
    environ = sent(b"username=a&rest", CONTENT_LENGTH="10")
    assert parse_form(environ, MOST) == {"username": "a"}
    assert environ["wsgi.input"].read() == b"&rest"


class _Broken(io.RawIOBase):
    def read(self, size: int = -1) -> bytes:
        raise OSError(size)


def test_a_client_that_left_and_a_body_too_large() -> None:
    with pytest.raises(ClientDisconnected):
        parse_form(sent(b"username=a", CONTENT_LENGTH="11"), MOST)
    with pytest.raises(ClientDisconnected):
        parse_form(sent(b"username=a", **{"wsgi.input": _Broken()}), MOST)
    with pytest.raises(RequestEntityTooLarge):
        parse_form(sent(b"username=a"), 9)
