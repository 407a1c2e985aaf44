"""One user's Active Directory tab: Sync with AD, De-Sync."""

from __future__ import annotations

from dirclient import login
from dirclient.errors import NotFound as NobodyFound
from dirclient.model import AccountState, Login, LoginForm, Person
from kerauno import audit, links, users
from kerauno.errors import InvalidValue
from kerauno.tables import User
from syncsvc.engine import Client, Engine
from syncsvc.rules import Conflict, desire


def sync_user(engine: Engine, email: str, *, by: str) -> str:
    """Link a user to the person found by username/email, for sign-in alone; says what was done.

    Names and extension stay Kerauno's. This is also how an administrator's account is linked:
    asking for it by hand is the confirmation. Raises RecordError, DirectoryError.
    """
    configured = engine.configured()
    with engine.db.read() as s:
        user = users.by_email(s, email)
        link = links.of_user(s, user.id)
    person = _find(engine.client(configured.profile), user)
    if link is not None and link.guid == person.guid:
        return f"{user.username} is synced with {person.dn} already."
    want = _wanted(person)
    with engine.db.write() as s:
        changes = {"username": want[0], "email": want[1]}
        if link is None:
            users.change(s, user.id, changes, engine.now())
        source = links.Person(
            configured.id,
            person.guid,
            person.dn,
            person.principal_name,
            person.account_name,
            person.password_set,
        )
        links.tie(s, user.id, source, scope="login", origin="admin", now=engine.now())
        if not user.active:
            users.reactivate(s, user.id, engine.now())
        audit.append(
            s,
            "user-synced",
            now=engine.now(),
            outcome="ok",
            actor=by,
            user_id=user.id,
            guid=person.guid,
            detail={"dn": person.dn},
        )
    return f"{want[0]} now signs in as {person.dn}."


def desync_user(engine: Engine, email: str, *, by: str) -> str:
    """Unlink a user: they stay, their AD sign-in and sessions end, the timer leaves them alone."""
    with engine.db.write() as s:
        user = users.by_email(s, email)
        link = links.untie(s, user.id, by=by, now=engine.now())
        audit.append(
            s,
            "user-desynced",
            now=engine.now(),
            outcome="ok",
            actor=by,
            user_id=user.id,
            guid=link.guid,
            detail={"dn": link.dn},
        )
        return f"{user.username} is no longer synced; AD sign-in and all sessions have ended."


def _find(client: Client, user: User) -> Person:
    """By email, and where AD knows none such, by username."""
    try:
        return client.find(login.parse(user.email))
    except NobodyFound:
        return client.find(Login(LoginForm.BARE, user.username))


def _wanted(person: Person) -> tuple[str, str]:
    if person.state is not AccountState.ACTIVE:
        raise InvalidValue(
            f"The AD account {person.dn} is {person.state.value}.",
            field="account",
            remedy="Enable it in AD first.",
        )
    want = desire(person, full=False)
    if not isinstance(want, tuple):
        return want.username, want.email
    fault: Conflict = want[0]
    raise InvalidValue(
        f"The AD account {person.dn} has no usable username/email.",
        field=fault.field,
        remedy=fault.remedy,
    )
