"""The API for other components: JSON in, JSON out, errors as problem documents (RFC 9457)."""

from __future__ import annotations

from flask import Flask, Response, jsonify, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from authsvc import metrics
from authsvc.login.login_post import attempt_from_environ
from authsvc.services import current_services
from authsvc.signin.outcomes import (
    METRIC_LABELS,
    Authenticated,
    DirectoryUnavailable,
    MustChange,
    NameIncomplete,
    Outcome,
    RateLimited,
)
from authsvc.web import authorization_header
from authsvc.web.csrf import csrf_exempt
from authsvc.web.errors import problem
from authsvc.web.json_reader import json_body
from authsvc.web.session import current_user
from kerauno.accounts import dial_plan, own_departments
from kerauno.base.errors import InvalidValue, NotFound
from kerauno.oauth import clients
from kerauno.oauth.clients import ClientInfo
from kerauno.signin.user_lookup import SignInUser

_CHALLENGE = 'Basic realm="Kerauno", charset="UTF-8"'
_LONGEST = 16 * 1024  # octets of a request


def setup_api(app: Flask) -> None:
    """Register the API."""
    app.add_url_rule("/api/v1/me", view_func=own_account)
    app.add_url_rule("/api/v1/authenticate", view_func=authenticate, methods=["POST"])


def own_account() -> ResponseReturnValue:
    """The user of this session."""
    person = current_user()
    if person is None:
        return problem(401, "There is no session.")
    with current_services().database.read() as s:
        more = _extension_and_departments(s, person.user_id)
    return jsonify(
        id=person.user_id,
        username=person.username,
        email=person.email,
        first_name=person.first_name,
        last_name=person.last_name,
        role=person.role,
        session={"id": person.handle, "method": person.method},
        **more,
    )


@csrf_exempt
def authenticate() -> ResponseReturnValue:
    """Check a person's name and password for a trusted component. Opens no session."""
    client = calling_client()
    if client is None:
        response = problem(401, "Client credentials are missing or wrong.")
        response.headers["WWW-Authenticate"] = _CHALLENGE
        return response
    if (request.content_length or 0) > _LONGEST:
        return problem(413, "The request is too large.")
    body = json_body()
    if not isinstance(body, dict):
        return problem(400, "Send a JSON object with username and password.")
    name, password = body.get("username"), body.get("password")
    if not isinstance(name, str) or not isinstance(password, str):
        return problem(400, "username and password must both be texts.")
    services = current_services()
    attempt = attempt_from_environ(request.environ, "", name, password)
    outcome = services.sign_in.decide(attempt)
    metrics.signins.labels(METRIC_LABELS[type(outcome)]).inc()
    if not isinstance(outcome, Authenticated):
        return _refusal(outcome)
    try:
        services.records.admit(attempt, outcome, session=False)
    except (InvalidValue, NotFound):
        return problem(401, _WRONG)
    with services.database.read() as s:
        more = _extension_and_departments(s, outcome.user.user_id)
    return jsonify(**_user(outcome.user), method=outcome.method, **more)


def calling_client() -> ClientInfo | None:
    """The app whose credentials the request carries by HTTP Basic (RFC 7617), if they are right."""
    given = authorization_header.basic(request.headers.get("Authorization", ""))
    if given is None:
        return None
    client_id, secret = given
    with current_services().database.read() as s:
        client = clients.find(s, client_id[:64])
    if client is None or not client.first_party or not client.secret_is(secret):
        return None  # people's passwords are for the company's own components alone
    return client


_WRONG = "The name or the password is wrong, or this account has no access."


def _refusal(outcome: Outcome) -> Response:
    match outcome:
        case RateLimited():
            response = problem(
                429, "Too many attempts.", retry_after=outcome.retry_after, code=outcome.code
            )
            response.headers["Retry-After"] = str(outcome.retry_after)
            return response
        case DirectoryUnavailable():
            response = problem(503, "No directory server can be asked.", code=outcome.code)
            response.headers["Retry-After"] = "10"
            return response
        case NameIncomplete():
            return problem(401, "The full email address is needed.", reason="name_incomplete")
        case MustChange():
            reason = "password_expired" if outcome.expired else "must_change_password"
            detail = "The password is right and must be changed first."
            return problem(401, detail, reason=reason, code=outcome.code)
        case _:
            return problem(401, _WRONG, code=getattr(outcome, "code", ""))


def _user(user: SignInUser) -> dict[str, object]:
    return {
        "id": user.user_id,
        "username": user.username,
        "email": user.email,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "role": user.role,
    }


def _extension_and_departments(s: Session, user_id: int) -> dict[str, object]:
    number = dial_plan.of_user(s, user_id)
    return {
        "extension": number.number if number and number.reserved_until is None else None,
        "departments": [
            department.name for department in own_departments.departments_of(s, user_id)
        ],
    }
