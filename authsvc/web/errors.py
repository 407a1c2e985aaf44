"""Errors as people and programs get them: a page, or `application/problem+json` (RFC 9457)."""

from __future__ import annotations

import http
import json
from typing import cast

import structlog
from flask import Flask, Response, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import Forbidden, HTTPException, TooManyRequests

from authsvc.i18n.translate import N_, gettext, translate_sentence
from dirclient.model.errors import Misconfigured, Unavailable
from kerauno.base.errors import (
    DatabaseUnavailable,
    InvalidValue,
    NotFound,
    ReadOnly,
    Stale,
    Throttled,
)

_log = structlog.get_logger(__name__)

_WORDS = {
    400: (
        N_("This request cannot be understood"),
        N_("Go back, check what you typed, and try again."),
    ),
    401: (N_("Please sign in"), N_("This page is for people who are signed in.")),
    403: (N_("This is not yours to open"), N_("Your role does not include this page.")),
    404: (
        N_("This page does not exist"),
        N_("It may have been moved, or the address may be mistyped."),
    ),
    405: (
        N_("This cannot be done here"),
        N_("The address exists, but not for this kind of request."),
    ),
    409: (
        N_("This has changed in the meantime"),
        N_("Someone else changed it, or it belongs to the directory. Load the page again."),
    ),
    413: (N_("This is too large"), N_("Send less at once.")),
    415: (N_("This kind of content is not accepted"), N_("Send what the page asks for.")),
    429: (N_("Too many requests"), N_("Please wait a little and then try again.")),
    500: (
        N_("Something went wrong on our side"),
        N_("It has been written down for the administrators. Please try again."),
    ),
    503: (
        N_("Kerauno cannot answer just now"),
        N_("You did nothing wrong. Please try again in a minute."),
    ),
}
_WAIT = N_("Please wait a little and then try again. Reference code: %(code)s")
_CROSS_SITE = (
    N_("This request came from another site"),
    N_("It was not carried out. Open Kerauno itself and try again from there."),
)


class CrossSite(Forbidden):
    """A request that would change something was caused by another site."""


def setup_errors(app: Flask) -> None:
    """Answer every error with a page, or with a problem document where a program asks."""
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(DatabaseUnavailable, _unavailable)
    app.register_error_handler(Unavailable, _unavailable)
    app.register_error_handler(Misconfigured, _unavailable)
    app.register_error_handler(Throttled, _throttled)
    app.register_error_handler(NotFound, _not_found)
    app.register_error_handler(ReadOnly, _conflict)
    app.register_error_handler(Stale, _conflict)
    app.register_error_handler(InvalidValue, _invalid)
    app.register_error_handler(Exception, _unexpected)


def is_api() -> bool:
    """Return whether this request is a program's: the API, or a client that asks for JSON alone."""
    if request.path.startswith("/api/"):
        return True
    accepted = request.accept_mimetypes
    return "json" in (accepted.best or "") and not accepted.accept_html


def problem(status: int, detail: str = "", **more: object) -> Response:
    """A problem document (RFC 9457). `more` are its extension members."""
    title = http.HTTPStatus(status).phrase
    body: dict[str, object] = {"type": "about:blank", "title": title, "status": status}
    if detail:
        body["detail"] = detail
    body.update(more)
    return Response(
        json.dumps(body, ensure_ascii=False), status, content_type="application/problem+json"
    )


def error_page(status: int, title: str = "", detail: str = "") -> Response:
    """The page for an error. Without words of its own it has those of the status."""
    usual = _WORDS.get(status) or _WORDS[500 if status >= 500 else 400]
    page = render_template(
        "error.html",
        status=status,
        heading=title or gettext(usual[0]),
        detail=detail or gettext(usual[1]),
    )
    return Response(page, status, content_type="text/html; charset=utf-8")


def answer(status: int, detail: str = "", title: str = "") -> Response:
    """The error in the form that the caller understands: programs read English, as it came."""
    if is_api():
        return problem(status, detail)
    return error_page(status, translate_sentence(title), translate_sentence(detail))


def _http(error: HTTPException) -> ResponseReturnValue:
    if error.response is not None:
        return cast("Response", error.response)
    status = error.code or 500
    if isinstance(error, CrossSite):
        title, detail = _CROSS_SITE
        response = answer(status, detail, title)
    else:
        response = answer(status)
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    if isinstance(error, TooManyRequests) and error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def _unavailable(error: Exception) -> Response:
    _log.error("unavailable", path=request.path, error=str(error))
    response = answer(503)
    response.headers["Retry-After"] = "10"
    return response


def _throttled(error: Throttled) -> Response:
    if error.code and not is_api():
        response = error_page(429, detail=gettext(_WAIT, code=error.code))
    else:
        response = answer(429)
    response.headers["Retry-After"] = str(error.retry_after)
    return response


def _not_found(error: NotFound) -> Response:
    return answer(404, str(error) if is_api() else "")


def _conflict(error: Exception) -> Response:
    return answer(409, str(error))


def _invalid(error: InvalidValue) -> Response:
    if is_api():
        return problem(400, f"{error} {error.remedy}", field=error.field)
    return error_page(400, detail=translate_sentence(str(error), error.remedy))


def _unexpected(error: Exception) -> Response:
    _log.error("unexpected", path=request.path, method=request.method, exc_info=error)
    return answer(500)
