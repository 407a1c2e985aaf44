"""Errors as people and programs get them: a page, or `application/problem+json` (RFC 9457)."""

from __future__ import annotations

import http
import json
from typing import cast

import structlog
from flask import Flask, Response, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import Forbidden, HTTPException, TooManyRequests

from authsvc import texts
from dirclient.errors import Misconfigured, Unavailable
from kerauno.errors import DatabaseUnavailable, InvalidValue, NotFound, ReadOnly, Stale, Throttled

_log = structlog.get_logger(__name__)


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
    """Whether this request is a program's: the API, or a client that asks for JSON alone."""
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
    default = texts.errors.get(status) or texts.errors[500 if status >= 500 else 400]
    page = render_template(
        "error.html", status=status, heading=title or default[0], detail=detail or default[1]
    )
    return Response(page, status, content_type="text/html; charset=utf-8")


def answer(status: int, detail: str = "", title: str = "") -> Response:
    """The error in the form that the caller understands."""
    return problem(status, detail) if is_api() else error_page(status, title, detail)


def _http(error: HTTPException) -> ResponseReturnValue:
    if error.response is not None:
        return cast("Response", error.response)
    status = error.code or 500
    if isinstance(error, CrossSite):
        response = answer(status, texts.cross_site[1], texts.cross_site[0])
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
    return error_page(400, detail=f"{error} {error.remedy}")


def _unexpected(error: Exception) -> Response:
    _log.error("unexpected", path=request.path, method=request.method, exc_info=error)
    return answer(500)
