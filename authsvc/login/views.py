"""The forms by which people come in, leave, and change a password."""

from __future__ import annotations

from dataclasses import dataclass, replace

import structlog
from flask import Flask, Response, current_app, redirect, render_template, request
from flask.typing import ResponseReturnValue

from authsvc import metrics
from authsvc.i18n.formatting import waiting
from authsvc.i18n.translate import gettext as _
from authsvc.i18n.translate import translate_sentence
from authsvc.login.login_post import attempt_from_environ, complete_sign_in, tried
from authsvc.services import current_services
from authsvc.signin.outcomes import (
    METRIC_LABELS,
    Attempt,
    Authenticated,
    Denied,
    DirectoryUnavailable,
    Failure,
    MustChange,
    NameIncomplete,
    RateLimited,
)
from authsvc.signin.store import Admitted
from authsvc.web.redirects import safe_redirect_path
from authsvc.web.security_headers import csp_form_action_for
from authsvc.web.session import clear_session_cookie, cookie_name, current_user, set_session_cookies
from kerauno import audit
from kerauno.accounts import users
from kerauno.base.errors import InvalidValue
from kerauno.signin import sessions

_log = structlog.get_logger(__name__)
_RETRY_SECONDS = 10  # when no directory can be asked


@dataclass(frozen=True, slots=True)
class Notice:
    """A message above a form. `kind` as in the `alert` macro."""

    kind: str
    title: str
    text: str = ""
    code: str = ""


def setup_accounts(app: Flask) -> None:
    """Register the forms."""
    app.add_url_rule("/login", view_func=sign_in_form, methods=["GET"])
    app.add_url_rule("/login", view_func=sign_in, methods=["POST"])
    app.add_url_rule("/logout", view_func=sign_out, methods=["POST"])
    app.add_url_rule("/password", view_func=password_form, methods=["GET"])
    app.add_url_rule("/password", view_func=change_password, methods=["POST"])


def sign_in_form() -> ResponseReturnValue:
    """The empty form. Who is signed in already goes on, unless `again` asks for a fresh sign-in."""
    target = safe_redirect_path(request.args.get("next"))
    if (
        "again" not in request.args
        and cookie_name() in request.cookies
        and current_user() is not None
    ):
        return redirect(target, 303)
    notice = Notice("ok", _("You are signed out.")) if "signed-out" in request.args else None
    return _form_page(target, notice=notice, username=request.args.get("username", "")[:320])


def sign_in() -> ResponseReturnValue:
    """Return what an attempt came to that opened no session, see `authsvc.login.login_post`."""
    attempt_made = tried(request.environ)
    return _answer(attempt_made.result, attempt_made.attempt, attempt_made.target)


def sign_out() -> ResponseReturnValue:
    """End this session, here and for every app that was opened with it."""
    person = current_user()
    if person is not None:
        services = current_services()
        with services.database.write() as s:
            sessions.end(s, person.session_id, services.now())
            audit.append(
                s,
                "sign-out",
                now=services.now(),
                outcome="ok",
                actor=person.email,
                user_id=person.user_id,
                address=request.remote_addr or "",
            )
    return clear_session_cookie(redirect("/login?signed-out", 303))  # type: ignore[arg-type]


def password_form() -> ResponseReturnValue:
    """The form to change a password, for whoever knows the present one."""
    person = current_user()
    username = person.email if person else request.args.get("username", "")[:320]
    target = safe_redirect_path(request.args.get("next"))
    return _password_page(target, username)


def change_password() -> ResponseReturnValue:
    """Change a password, then sign in with the new one."""
    form = request.form
    target = safe_redirect_path(form.get("next"))
    name, password = form.get("username", ""), form.get("password", "")
    attempt = attempt_from_environ(request.environ, cookie_name(), name, password)
    new = form.get("new_password", "")
    faults = new_password_faults(attempt.password, new, form.get("new_password_again", ""))
    if faults:
        return _password_page(target, attempt.name, faults=faults, status=400)
    outcome = current_services().sign_in.change_directory_password(attempt, new)
    if isinstance(outcome, MustChange) and outcome.rejected:
        return _password_page(target, attempt.name, faults=_rejected(outcome.rejected), status=400)
    if isinstance(outcome, Authenticated) and outcome.method == "local":
        refused = _replace_local(outcome, new)
        if refused:
            return _password_page(target, attempt.name, faults=refused, status=400)
        # What browsers were known by ended with the old password.
        outcome = replace(outcome, user=outcome.user._replace(browser_key=None))
    metrics.signins.labels(METRIC_LABELS[type(outcome)]).inc()
    return _answer(
        complete_sign_in(current_services(), attempt, outcome), attempt, target, changing=True
    )


def _replace_local(right: Authenticated, new: str) -> dict[str, str]:
    """Replace a Kerauno password, which ends the user's other sessions; returns what is wrong."""
    services = current_services()
    try:
        with services.database.write() as s:
            users.set_password(s, right.user.user_id, new, services.now())
    except InvalidValue as error:
        services.records.give_back(right.slot)
        return {"new_password": translate_sentence(str(error), error.remedy)}
    return {}


def new_password_faults(old: str, new: str, again: str) -> dict[str, str]:
    """Return what is wrong with a new password before anybody is asked, by field."""
    if not new.strip():
        return {"new_password": _("Type a new password.")}
    if new != again:
        return {"new_password_again": _("The two new passwords are not the same.")}
    if new == old:
        return {"new_password": _("The new password is the same as the current one.")}
    return {}


def _answer(
    result: Admitted | Failure, attempt: Attempt, target: str, *, changing: bool = False
) -> ResponseReturnValue:
    """The page or the redirect for what a sign-in came to."""
    page = _password_page if changing else _form_page
    match result:
        case Admitted():
            return set_session_cookies(Response(status=303, headers={"Location": target}), result)
        case MustChange():
            notice = _must_change(expired=result.expired)
            return _password_page(target, attempt.name, notice=notice, status=401)
        case NameIncomplete():
            return page(target, attempt.name, notice=_incomplete(), status=401)
        case Denied():
            return page(target, attempt.name, notice=_refused(result.code), status=401)
        case RateLimited():
            notice = _throttled(result.retry_after, result.code)
            response = page(target, attempt.name, notice=notice, status=429)
            response.headers["Retry-After"] = str(result.retry_after)
            return response
        case DirectoryUnavailable():
            _log.error("sign-in cannot ask", reason=result.reason.value, why=result.why)
            notice = _unavailable(result.code)
            response = page(target, attempt.name, notice=notice, status=503)
            response.headers["Retry-After"] = str(_RETRY_SECONDS)
            return response


def _form_page(
    target: str, username: str = "", *, notice: Notice | None = None, status: int = 200
) -> Response:
    csp_form_action_for(target)
    bare_names = current_services().directories.bare_names()
    page = _render_form(target, username[:320], notice, bare_names)
    return Response(page, status, content_type="text/html; charset=utf-8")


def _render_form(target: str, username: str, notice: Notice | None, bare_names: bool) -> str:
    # Without the app's context processors: nobody is signed in here, so nothing is looked up.
    template = current_app.jinja_env.get_template("login.html")
    return template.render(next=target, username=username, notice=notice, bare_names=bare_names)


def _password_page(
    target: str,
    username: str,
    *,
    notice: Notice | None = None,
    faults: dict[str, str] | None = None,
    status: int = 200,
) -> Response:
    csp_form_action_for(target)
    page = render_template(
        "password.html", next=target, username=username[:320], notice=notice, errors=faults or {}
    )
    return Response(page, status, content_type="text/html; charset=utf-8")


def _rejected(reason: str) -> dict[str, str]:
    if reason == "policy":
        words = _(
            "Your company's password rules do not allow this password: it may be too short, too "
            "simple, used before, or the last change may be too recent."
        )
    elif reason == "insecure":
        words = _(
            "The password cannot be changed here, because the connection to the directory is not "
            "encrypted. Please ask your company's help desk."
        )
    else:
        words = _("The directory did not change the password. Please ask your company's help desk.")
    return {"new_password": words}


def _must_change(*, expired: bool) -> Notice:
    if expired:
        return Notice(
            "warn",
            _("Your password has expired"),
            _("It was right, but it is too old. Choose a new one to sign in."),
        )
    return Notice(
        "warn",
        _("Your password must be changed"),
        _("It was right, but it must be changed before you sign in. Choose a new one."),
    )


def _incomplete() -> Notice:
    return Notice(
        "warn",
        _("Please type your full email address"),
        _("Sign in with your email address, such as john.doe@company.com."),
    )


def _refused(code: str) -> Notice:
    """The same for unknown, wrong and without access."""
    return Notice(
        "danger",
        _("You could not be signed in"),
        _("The name or the password is wrong, or this account has no access to Kerauno."),
        code,
    )


def _throttled(length: int, code: str) -> Notice:
    return Notice(
        "warn",
        _("Too many attempts"),
        _(
            "To protect your account, please wait %(time)s and then try again.",
            time=waiting(length),
        ),
        code,
    )


def _unavailable(code: str) -> Notice:
    return Notice(
        "warn",
        _("Sign-in is not possible just now"),
        _(
            "The company directory cannot be reached, so nobody's password can be checked. "
            "You did nothing wrong. Please try again in a minute."
        ),
        code,
    )
