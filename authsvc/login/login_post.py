"""The sign-in form as it is sent in, tried in front of Flask.

Nearly every attempt proves its password, and is answered by a redirect and a cookie: that needs
nothing of what Flask prepares for a page. What else an attempt comes to goes on to the view
`authsvc.login.views.sign_in`, which shows it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request

from authsvc import metrics
from authsvc.services import Services
from authsvc.signin.outcomes import (
    METRIC_LABELS,
    Attempt,
    Authenticated,
    Denied,
    Failure,
    Outcome,
    Reason,
    Verdict,
)
from authsvc.signin.store import Admitted
from authsvc.web.csrf import is_cross_site
from authsvc.web.form_parser import parse_form
from authsvc.web.redirect_location import location
from authsvc.web.redirects import safe_redirect_path
from authsvc.web.session_cookie import known_browser_cookie_name, session_cookie_headers
from kerauno.base.errors import AccessEnded, InvalidValue, NotFound
from kerauno.signin.throttle import Reservation

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

LOGIN_PATH = "/login"
_TRIED = "kerauno.tried"


@dataclass(frozen=True, slots=True)
class Tried:
    """An attempt, where it was to lead, and what it came to."""

    attempt: Attempt
    target: str
    result: Admitted | Failure


class LoginEndpoint:
    """Tries what is posted to `/login`; everything else it passes on.

    `cookie` is the session cookie's name, `max_length` the octets that a form may have.
    """

    def __init__(
        self, behind: WSGIApplication, services: Services, *, cookie: str, max_length: int
    ) -> None:
        self._behind = behind
        self._held = services
        self._cookie = cookie
        self._public_url = services.settings.public_url
        self._secure = services.settings.secure
        self._max_length = max_length

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """WSGI."""
        if environ["PATH_INFO"] != LOGIN_PATH or environ["REQUEST_METHOD"] != "POST":
            return self._behind(environ, start_response)
        if is_cross_site(environ, self._public_url):
            return self._behind(environ, start_response)  # which refuses it
        result: Tried | Exception
        try:
            result = self._try(environ)
        except Exception as error:  # the view raises it, where errors get their page
            result = error
        if isinstance(result, Tried) and isinstance(result.result, Admitted):
            cookies = session_cookie_headers(self._cookie, result.result, secure=self._secure)
            headers = [("Location", location(result.target)), ("Content-Length", "0"), *cookies]
            start_response("303 See Other", headers)
            return ()
        environ[_TRIED] = result
        return self._behind(environ, start_response)

    def _try(self, environ: WSGIEnvironment) -> Tried:
        began = time.perf_counter()
        form = parse_form(environ, self._max_length)
        attempt = attempt_from_environ(
            environ, self._cookie, form.get("username", ""), form.get("password", "")
        )
        outcome = self._held.sign_in.decide(attempt)
        metrics.signins.labels(METRIC_LABELS[type(outcome)]).inc()
        result = complete_sign_in(self._held, attempt, outcome)
        metrics.signin_seconds.observe(time.perf_counter() - began)
        return Tried(attempt, safe_redirect_path(form.get("next")), result)


def tried(environ: dict[str, Any]) -> Tried:
    """Return what the attempt of this request came to, for the view. Raises what it raised."""
    result: Tried | Exception = environ[_TRIED]
    if isinstance(result, Exception):
        raise result
    return result


def attempt_from_environ(
    environ: WSGIEnvironment, cookie: str, name: str, password: str
) -> Attempt:
    """Return what this request tries; `cookie` is the session cookie's name, empty to read none."""
    session_token = known = ""
    if cookie and "HTTP_COOKIE" in environ:
        cookies = Request(environ, populate_request=False).cookies
        session_token, known = (
            cookies.get(cookie, ""),
            cookies.get(known_browser_cookie_name(cookie), ""),
        )
    address = environ.get("REMOTE_ADDR") or ""
    return Attempt(
        name, password, address, environ.get("HTTP_USER_AGENT", "")[:255], session_token, known
    )


def complete_sign_in(services: Services, attempt: Attempt, outcome: Outcome) -> Admitted | Failure:
    """Act on a proven password: a session. What else an attempt came to stays as it is."""
    if not isinstance(outcome, Authenticated):
        return outcome
    try:
        made = services.records.admit(attempt, outcome)
    except AccessEnded:
        return _not_let_in(
            services, attempt, outcome, Reason.INACTIVE, outcome.slot, Verdict.CORRECT
        )
    except (InvalidValue, NotFound):
        # The account or the user was linked to somebody else in this very moment.
        return _not_let_in(services, attempt, outcome, Reason.NO_MATCH, None, Verdict.NOT_CHECKED)
    assert made is not None
    return made


def _not_let_in(
    services: Services,
    attempt: Attempt,
    outcome: Authenticated,
    reason: Reason,
    slot: Reservation | None,
    settled: Verdict,
) -> Denied:
    note = "access ended meanwhile" if reason is Reason.INACTIVE else "the link could not be made"
    code = services.records.refuse(
        attempt, reason, slot, settled, user=outcome.user, guid=outcome.user.guid, note=note
    )
    return Denied(reason, code)
