"""Requests that nobody would send, for every route there is."""

from __future__ import annotations

import ast
import base64
import functools
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

from flask import Flask
from hypothesis import strategies as st
from werkzeug.routing import Rule

import authsvc

DEEP = 1400
"""Nesting that Python's own readers of JSON give up on."""


def jwt(payload: bytes, head: bytes = b'{"alg":"RS256","typ":"JWT","kid":"1"}') -> bytes:
    """Return what has the form of a signed token (RFC 7515 7.1)."""
    parts = (base64.urlsafe_b64encode(part).rstrip(b"=") for part in (head, payload, b"signature"))
    return b".".join(parts)


def _basic(pair: bytes) -> bytes:
    return b"Basic " + base64.b64encode(pair)


Known = Mapping[str, tuple[bytes, ...]]
FORM = b"application/x-www-form-urlencoded"

ODD = (
    b"", b" ", b"\0", b"a\0b", b"0", b"-1", b"1", b"2147483648", b"9" * 20, b"9" * 400, b"1e999",
    b"NaN", b"0x1f", b"1_000", "²".encode(), "١٢٣".encode(), b"true", b"null", b"on", b"yes",
    b"\xff\xfe", b"\xf1", b"\xc0\x80", b"\xed\xa0\x80", "\u202egnp.exe".encode(), "\u200b".encode(),
    "İıſK".encode(), "🙂" .encode() * 50, b"%00", b"%ff%f1", b"%", b"%zz", b"+", b"a=b&c=d;e",
    b"../../etc/passwd", b"//evil.example/", b"/\\evil.example", b"javascript:alert(1)", b"/console",
    b"http://[::1", b"https://a:b@c:99999/", b"https://xn--/", b"'\"><script>", b"{{7*7}}", b"*)(uid=*",
    b"CN=a\\,b,DC=x", b"x" * 300, b"x" * 70_000, b"[" * DEEP, b'{"a":' * DEEP, b"[" * 100_000,
    b"[" * DEEP + b"]" * DEEP, b'{"keys":[{"kty":"RSA","n":"AQ","e":"AQAB"}]}', b'{"keys":{}}', b"[]",
    b"2026-13-45", b"0001-01-01T00:00:00+14:00", b"9999-12-31T23:59:59-14:00", b"2026-11-27T10:00",
    b"00000000-0000-4000-8000-000000000001", b"ada.admin@goodcompany.local", b"a@b@c", b"@", b"a\r\nb: c",
    jwt(b"[" * DEEP), jwt(b"{"), jwt(b"null"), jwt(b'{"iss":1,"sub":[],"aud":{},"exp":"x"}'),
    jwt(b'{"exp":1e400}'), jwt(b'{"exp":' + b"9" * 400 + b"}"), b"..", b"a.b.c", b"\xf1.\xf1.\xf1",
)  # fmt: skip

AUTHORIZATIONS = (
    b"Basic \xf1", b"Basic", b"Basic :", b"Basic ====", b"Basic " + b"Zm9v" * 20_000, _basic(b"a"),
    _basic(b"a:"), _basic(b":b"), _basic(b"\xff:\xff"), _basic(b"a\0:b"), _basic(b"%zz:%ff"),
    b"Bearer", b"Bearer \xf1", b"Bearer a b", b"Bearer " + jwt(b"[" * DEEP), b"Negotiate",
    b"Negotiate \xf1", b"Negotiate YII=", b"Negotiate TlRMTVNTUAAB", b"DPoP x", b"\xf1", b",", b"Digest a=",
)  # fmt: skip

CONTENT_TYPES = (
    FORM, b"application/json", b"multipart/form-data",
    b"multipart/form-data; boundary=x", b"multipart/form-data; boundary=", b"text/plain; charset=idna",
    b"application/x-www-form-urlencoded; charset=utf-16", b"application/json; charset=zlib", b"\xf1/\xf1",
    b"application/jwt", b"x", b"", b";", b"application/merge-patch+json",
)  # fmt: skip

HEADERS: Mapping[str, tuple[bytes, ...]] = {
    "HTTP_AUTHORIZATION": AUTHORIZATIONS,
    "HTTP_ACCEPT": (b"application/json", b"text/html;q=nan", b"*/*;q=9", b"\xf1", b"a/b;" * 500),
    "HTTP_ACCEPT_LANGUAGE": (b"de;q=nan", b"\xf1", b"x" * 5000, b"de-" * 500, b"*", b"eo;q=-1"),
    "HTTP_COOKIE": (
        b"kerauno=", b"kerauno=\xf1", b"kerauno=a; kerauno=b", b"=", b";;;", b'kerauno="\\377"',
        b"kerauno=" + b"x" * 9000, b"a=\0",
    ),
    "HTTP_HOST": (b"", b"\xf1", b"a b", b"[::1", b"evil.example:99999", b"x" * 3000, b"a,b", b".."),
    "HTTP_ORIGIN": (b"null", b"https://evil.example", b"\xf1", b"http://[::1", b"https://a:99999"),
    "HTTP_REFERER": (b"\xf1", b"http://[::1", b"https://a:x/"),
    "HTTP_USER_AGENT": (b"\xf1", b"\0", b"x" * 9000, "🙂".encode()),
    "HTTP_SEC_FETCH_SITE": (b"cross-site", b"same-origin", b"none", b"\xf1"),
    "HTTP_X_FORWARDED_FOR": (b"\xf1", b"203.0.113.7:51001", b"[::1]:x", b"," * 500, b"unknown"),
    "HTTP_X_FORWARDED_HOST": (b"\xf1", b"a,b", b"[::1", b"", b"xn--", b"a:99999", b"x" * 3000),
    "HTTP_X_FORWARDED_PROTO": (b"\xf1", b"https,http", b"javascript"),
    "HTTP_X_FORWARDED_URI": (b"\xf1", b"//evil", b"/a?x=1&y=2", b"", b"http://[::1", b"%zz"),
    "HTTP_X_FORWARDED_METHOD": (b"\xf1", b"POST", b""),
    "HTTP_X_ORIGINAL_URL": (b"\xf1", b"http://[::1", b"https://a:x/", b""),
    "HTTP_FORWARDED": (b"\xf1", b"for=_;host=\"", b"for=" * 500),
    "HTTP_IF_NONE_MATCH": (b"\xf1", b'W/"', b"*"),
    "HTTP_IF_MATCH": (b"\xf1", b'"1"', b"*", b"9" * 400),
    "HTTP_IF_MODIFIED_SINCE": (b"\xf1", b"Thu, 99 Jan 9999 99:99:99 GMT"),
    "HTTP_RANGE": (b"bytes=9-1", b"bytes=-" + b"9" * 400, b"\xf1"),
    "HTTP_X_REQUESTED_WITH": (b"XMLHttpRequest", b"\xf1"),
    "HTTP_HX_REQUEST": (b"true",),
    "HTTP_IDEMPOTENCY_KEY": (b"\xf1", b"x" * 3000),
    "REMOTE_ADDR": (b"", b"unix:", b"fe80::1%eth0", b"::ffff:203.0.113.7"),
}  # fmt: skip


@functools.cache
def parameter_names() -> tuple[str, ...]:
    """Return what the web service reads by name anywhere: `x.get("name")`, `x["name"]`."""
    names: set[str] = set()
    for path in Path(authsvc.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            value: Any = None
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                if node.func.attr in ("get", "getlist", "pop"):
                    value = node.args[0]
            elif isinstance(node, ast.Subscript):
                value = node.slice
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                names.add(value.value)
    return tuple(sorted(name for name in names if name.isidentifier() and name.islower()))


@dataclass(frozen=True, slots=True)
class FuzzedRequest:
    """One request. `role` says whose session cookie comes with it; empty for nobody's."""

    method: str
    path: bytes
    query: bytes
    content_type: bytes
    body: bytes
    headers: Mapping[str, bytes] = field(default_factory=dict)
    role: str = ""

    def environ(self, cookie: str) -> dict[str, Any]:
        """Return the WSGI environment (PEP 3333) of the request."""
        environ: dict[str, Any] = {
            "REQUEST_METHOD": self.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": self.path.decode("latin-1"),
            "RAW_URI": quote_from_bytes(self.path) + "?" + self.query.decode("latin-1"),
            "QUERY_STRING": self.query.decode("latin-1"),
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "8000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_HOST": "127.0.0.1:8000",
            "CONTENT_TYPE": self.content_type.decode("latin-1"),
            "CONTENT_LENGTH": str(len(self.body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(self.body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        environ |= {name: value.decode("latin-1") for name, value in self.headers.items()}
        if cookie and "HTTP_COOKIE" not in self.headers:
            environ["HTTP_COOKIE"] = cookie
        return environ


def call(app: Flask, environ: dict[str, Any]) -> int:
    """Send a request through the whole stack, read the answer to its end, return its status."""
    statuses: list[str] = []

    def start_response(status: str, _headers: Any, _error: Any = None) -> Any:
        statuses.append(status)

    answer = app(environ, start_response)
    try:
        for _ in answer:
            pass
    finally:
        close = getattr(answer, "close", None)
        if close is not None:
            close()
    return int(statuses[-1].split()[0])


def requests_to(
    rule: Rule, known: Known, together: tuple[tuple[str, ...], ...]
) -> st.SearchStrategy[FuzzedRequest]:
    """Return requests to a route.

    `known` are values that mean something, by their name; `together` are names of which one
    without the others is refused before it is read.
    """
    methods = sorted((rule.methods or set()) - {"OPTIONS", "HEAD"}) or ["GET"]
    values = st.one_of(st.sampled_from(ODD), st.text(max_size=20).map(_encoded))
    names = st.sampled_from((*parameter_names(), "", "x", "\0", "a[b]"))
    loose = st.lists(st.one_of(_known_pairs(known, values), st.tuples(names.map(_encoded), values)))
    pairs = st.tuples(st.sampled_from(((), (), *together)), loose).flatmap(
        lambda both: st.tuples(
            *(st.tuples(st.just(name.encode()), st.sampled_from(known[name])) for name in both[0])
        ).map(lambda first: [*first, *both[1]])
    )
    credentials = known.get("HTTP_AUTHORIZATION", ())
    headers = {**HEADERS, "HTTP_AUTHORIZATION": (*credentials * 9, *HEADERS["HTTP_AUTHORIZATION"])}
    return st.builds(
        FuzzedRequest,
        method=st.sampled_from((*methods * 6, "HEAD", "OPTIONS")),
        path=_paths(rule, known, values),
        query=st.one_of(pairs.map(_form), st.sampled_from(ODD).map(lambda odd: odd[:8000])),
        content_type=st.one_of(st.just(FORM), st.sampled_from(CONTENT_TYPES)),
        body=st.one_of(
            pairs.map(_form), pairs.map(_json), pairs.map(_multipart), st.sampled_from(ODD)
        ),
        headers=st.lists(st.sampled_from(sorted(headers)), max_size=3, unique=True).flatmap(
            lambda chosen: st.fixed_dictionaries(
                {name: st.sampled_from(headers[name]) for name in chosen}
            )
        ),
        role=st.sampled_from(("admin", "admin", "user", "")),
    )


def _known_pairs(
    known: Known, values: st.SearchStrategy[bytes]
) -> st.SearchStrategy[tuple[bytes, bytes]]:
    """Return a parameter with a value that means something, or now and then another one."""
    return st.sampled_from(sorted(known)).flatmap(
        lambda name: st.tuples(
            st.just(name.encode()), st.one_of(*[st.sampled_from(known[name])] * 4, values)
        )
    )


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _paths(rule: Rule, known: Known, values: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    parts = []
    for at, text in enumerate(re.split(r"<(?:[a-z]+:)?([a-z_]+)>", rule.rule)):
        if at % 2 == 0:
            parts.append(st.just(text.encode()))
            continue
        likely = st.sampled_from(known.get(text, (b"1",)))
        numbers = st.sampled_from((b"0", b"1", b"2147483648", b"9" * 19, b"9" * 30))
        parts.append(
            st.one_of(likely, likely, numbers, values.filter(bool).map(lambda odd: odd[:3000]))
        )
    return st.tuples(*parts).map(b"".join)


def _form(pairs: list[tuple[bytes, bytes]]) -> bytes:
    return b"&".join(
        quote_from_bytes(name).encode() + b"=" + quote_from_bytes(value).encode()
        for name, value in pairs
    )


def _json(pairs: list[tuple[bytes, bytes]]) -> bytes:
    members = []
    for name, value in pairs:
        text = (
            value
            if value[:1] in b"[{0123456789-tn" and value
            else json.dumps(value.decode("utf-8", "replace")).encode()
        )
        members.append(json.dumps(name.decode()).encode() + b":" + text)
    return b"{" + b",".join(members) + b"}"


def _multipart(pairs: list[tuple[bytes, bytes]]) -> bytes:
    parts = (
        b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
        % (name, b'; filename="f"' if name == b"ca_file" else b"", value)
        for name, value in pairs
    )
    return b"".join(parts) + b"--x--\r\n"
