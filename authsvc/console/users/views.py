"""Users & Devices > Users: list, add, edit, roles, passwords, sessions, reservations."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from flask import redirect, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session
from werkzeug.exceptions import NotFound as PageNotFound

from authsvc.console import base, labels
from authsvc.console.users import queries, timeline
from authsvc.i18n.translate import gettext, translate_sentence
from authsvc.web.session import require_current_user
from kerauno.accounts import access_revocation, dial_plan, users
from kerauno.base.errors import InvalidValue, ReadOnly, RecordError, Stale
from kerauno.signin import sessions

bp = base.blueprint("users")
HERE = "/console/users"
FIELDS = ("first_name", "last_name", "email", "username", "extension")
_RESERVED_FOR = 30  # days, where no directory says otherwise


@bp.get("/users")
def table() -> ResponseReturnValue:
    """Every user of Kerauno."""
    text, state = request.args.get("q", "").strip(), request.args.get("state", "")
    backwards = "before" in request.args
    with base.reading() as s:
        rows = queries.page(
            s,
            text=text,
            state=state,
            cursor=request.args.get("before" if backwards else "after", ""),
            backwards=backwards,
        )
        reserved = len(queries.reservations(s))
    template = "_users.html" if base.part_only() else "users.html"
    return base.page(
        template,
        rows=rows,
        text=text,
        state=state,
        filters=labels.labels(queries.FILTERS),
        reserved=reserved,
    )


@bp.get("/users/new")
def blank() -> ResponseReturnValue:
    """The form for a new user."""
    return base.page("user_new.html", f=dict.fromkeys((*FIELDS, "role"), ""), errors={})


@bp.post("/users/new")
def add() -> ResponseReturnValue:
    """Make a user of Kerauno's own."""
    typed = _typed()
    try:
        with base.writing() as s:
            made = users.create(
                s,
                users.NewUser(
                    email=typed["email"],
                    first_name=typed["first_name"],
                    last_name=typed["last_name"],
                    username=typed["username"],
                    extension=typed["extension"] or None,
                    role=request.form.get("role", "user"),
                    password=request.form.get("password") or None,
                ),
                base.now(),
            )
            base.note(s, "user-created", outcome="ok", user_id=made.id)
            user_id = made.id
    except InvalidValue as refused:
        errors = {refused.field: _sentence(refused)}
        typed["role"] = request.form.get("role", "user")
        return base.page("user_new.html", 422, f=typed, errors=errors)
    return redirect(f"{HERE}/{user_id}?saved=1", 303)


@bp.get("/users/<int:user_id>")
def show(user_id: int) -> ResponseReturnValue:
    """One user's form."""
    with base.reading() as s:
        user = queries.one(s, user_id)
        return _form(s, user, _values(user), {})


@bp.post("/users/<int:user_id>")
def save(user_id: int) -> ResponseReturnValue:
    """Update User. Fields that AD owns are refused with 409, whatever the form sent."""
    typed = _typed()
    version = request.form.get("version", "")
    try:
        with base.writing() as s:
            changes = {name: typed[name] for name in FIELDS if name in request.form}
            before = queries.one(s, user_id)
            saved = users.change(
                s,
                user_id,
                changes,
                base.now(),
                version=int(version) if version.isdecimal() else None,
            )
            role = request.form.get("role", saved.role)
            if role != saved.role:
                users.set_role(s, user_id, role, base.now())
            base.note(s, "user-updated", outcome="ok", user_id=user_id, detail=_detail(before, s))
    except (InvalidValue, ReadOnly, Stale) as refused:
        with base.reading() as s:
            user = queries.one(s, user_id)
            field = refused.field if isinstance(refused, InvalidValue | ReadOnly) else ""
            errors = {field.replace(" ", "_"): _sentence(refused)}
            status = 422 if isinstance(refused, InvalidValue) else 409
            return _form(s, user, _values(user) | _sent(typed), errors, status)
    return redirect(f"{HERE}/{user_id}?saved=1", 303)


@bp.post("/users/<int:user_id>/password")
def password(user_id: int) -> ResponseReturnValue:
    """Set a local password; what the user was signed in with ends, but for this very session."""
    new = request.form.get("password", "")
    if new != request.form.get("again", ""):
        return _refused(user_id, "password", gettext("The two passwords are not the same."))

    person = require_current_user()
    keep = person.session_id if person.user_id == user_id else ""

    def work(s: Session) -> None:
        users.set_password(s, user_id, new, base.now(), keep=keep)

    return _do(user_id, "password-set", work, field="password")


@bp.post("/users/<int:user_id>/block")
def block(user_id: int) -> ResponseReturnValue:
    """An administrator's no, which wins over the directory's yes."""
    return _do(user_id, "user-blocked", lambda s: users.block(s, user_id, base.now()))


@bp.post("/users/<int:user_id>/unblock")
def unblock(user_id: int) -> ResponseReturnValue:
    """Take the no back."""
    return _do(user_id, "user-unblocked", lambda s: users.unblock(s, user_id, base.now()))


@bp.post("/users/<int:user_id>/deactivate")
def deactivate(user_id: int) -> ResponseReturnValue:
    """A local user leaves: access ends, the number is kept for them for a while."""

    def work(s: Session) -> None:
        if queries.one(s, user_id).link is not None:
            raise ReadOnly("active", gettext("Whether a synced user is active is AD's to say."))
        if queries.is_last_admin(s, user_id):
            remedy = gettext("Make somebody else an administrator first.")
            message = gettext("This is the last administrator.")
            raise InvalidValue(message, field="role", remedy=remedy)
        directory = base.directory_or_none(s)
        days = directory.reserve_days if directory else _RESERVED_FOR
        until = base.now() + timedelta(days=days)
        users.deactivate(s, [user_id], base.now(), reserve_until=until)

    return _do(user_id, "user-deactivated", work)


@bp.post("/users/<int:user_id>/reactivate")
def reactivate(user_id: int) -> ResponseReturnValue:
    """A local user comes back, with their number if it is still theirs."""

    def work(s: Session) -> None:
        if queries.one(s, user_id).link is not None:
            raise ReadOnly("active", gettext("Whether a synced user is active is AD's to say."))
        users.reactivate(s, user_id, base.now())

    return _do(user_id, "user-reactivated", work)


@bp.get("/users/<int:user_id>/sessions")
def sessions_of(user_id: int) -> ResponseReturnValue:
    """Return where the user is signed in."""
    with base.reading() as s:
        user = queries.one(s, user_id)
        rows = queries.sessions_of(s, user_id, base.now())
    return base.page("user_sessions.html", user=user, sessions=rows)


@bp.post("/users/<int:user_id>/sessions/end")
def end_sessions(user_id: int) -> ResponseReturnValue:
    """End one session, or all of them with what apps hold."""
    handle = request.form.get("handle", "").replace("\0", "")[:32]

    def work(s: Session) -> None:
        queries.one(s, user_id)
        if handle:
            sessions.end_own(s, user_id, handle)
        else:
            access_revocation.end_access(s, [user_id])

    return _do(user_id, "sessions-ended", work, back=f"{HERE}/{user_id}/sessions?ended=1")


@bp.get("/users/<int:user_id>/timeline")
def story(user_id: int) -> ResponseReturnValue:
    """Return what AD said, what the sync did, and every sign-in."""
    with base.reading() as s:
        user = queries.one(s, user_id)
        subject = timeline.of_user(s, user_id)
        assert subject is not None
        text = request.args.get("q", "").strip()
        moments = timeline.moments(s, subject, text=text, cursor=request.args.get("after", ""))
    return base.page("timeline.html", user=user, subject=subject, moments=moments, text=text)


@bp.get("/directory/users/<guid>/timeline")
def story_of_person(guid: str) -> ResponseReturnValue:
    """The same for a person in AD, linked or not."""
    with base.reading() as s:
        subject = timeline.of_person(s, guid)
        if subject is None:
            raise PageNotFound
        user = queries.one(s, subject.user_id) if subject.user_id is not None else None
        text = request.args.get("q", "").strip()
        moments = timeline.moments(s, subject, text=text, cursor=request.args.get("after", ""))
    return base.page("timeline.html", user=user, subject=subject, moments=moments, text=text)


@bp.get("/users/reservations")
def reservations() -> ResponseReturnValue:
    """Numbers kept for people who left."""
    with base.reading() as s:
        return base.page("reservations.html", rows=queries.reservations(s))


@bp.post("/users/<int:user_id>/release-number")
def release_number(user_id: int) -> ResponseReturnValue:
    """Give a leaver's number up before its time."""

    def work(s: Session) -> None:
        number = dial_plan.of_user(s, user_id)
        if number is None or number.reserved_until is None:
            raise PageNotFound
        dial_plan.free_user(s, user_id)

    return _do(user_id, "number-released", work, back=f"{HERE}/reservations?released=1")


def _typed() -> dict[str, str]:
    return {name: request.form.get(name, "").strip()[:2000] for name in FIELDS}


def _sent(typed: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in typed.items() if name in request.form}


def _values(user: queries.UserView) -> dict[str, str]:
    line = user.line
    return {name: str(getattr(line, name) or "") for name in FIELDS} | {"role": line.role}


def _detail(before: queries.UserView, s: Session) -> dict[str, Any]:
    old, new = _values(before), _values(queries.one(s, before.id))
    return {
        name: {"before": old[name], "after": new[name]} for name in old if old[name] != new[name]
    }


def _sentence(refused: RecordError) -> str:
    remedy = refused.remedy if isinstance(refused, InvalidValue) else ""
    return translate_sentence(str(refused), remedy)


def _form(
    s: Session,
    user: queries.UserView,
    values: dict[str, str],
    errors: dict[str, str],
    status: int = 200,
) -> ResponseReturnValue:
    return base.page(
        "user.html",
        status,
        user=user,
        f=values,
        errors=errors,
        saved=bool(request.args.get("saved")),
        only_admin=queries.is_last_admin(s, user.id),
    )


def _refused(user_id: int, field: str, sentence: str, status: int = 422) -> ResponseReturnValue:
    with base.reading() as s:
        user = queries.one(s, user_id)
        return _form(s, user, _values(user), {field: sentence}, status)


def _do(
    user_id: int,
    event: str,
    work: Callable[[Session], object],
    *,
    field: str = "",
    back: str = "",
) -> ResponseReturnValue:
    """Do it in one audited transaction; what the records refuse is said on the user's page."""
    try:
        with base.writing() as s:
            work(s)
            base.note(s, event, outcome="ok", user_id=user_id)
    except InvalidValue as refused:
        return _refused(user_id, field or refused.field, _sentence(refused))
    except ReadOnly as refused:
        return _refused(user_id, field or refused.field, _sentence(refused), 409)
    return redirect(back or f"{HERE}/{user_id}?saved=1", 303)
