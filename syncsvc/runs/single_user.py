"""One user's Active Directory tab: Sync with AD, De-Sync."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from dirclient.model import login_name
from dirclient.model.directory_objects import AccountState, Guid, Login, LoginForm, Person
from dirclient.model.errors import NotFound as NobodyFound
from kerauno import audit
from kerauno.accounts import links, users
from kerauno.base.errors import EmailTaken, InvalidValue, UsernameTaken
from kerauno.base.lookup_keys import lookup_key
from kerauno.tables.core import Link, User
from provisioning.mapping_rules import Conflict, desire
from syncsvc.applying.access_refusals import Leaver, refuse
from syncsvc.runs.engine import Client, Engine


def sync_user(engine: Engine, email: str, *, by: str) -> str:
    """Link a user to the person found by username/email, for sign-in alone; says what was done.

    Names and extension stay Kerauno's. This is also how an administrator's account is linked:
    asking for it by hand is the confirmation. Raises RecordError, DirectoryError.
    """
    configured = engine.configured()
    with engine.db.read() as s:
        user = users.by_email(s, email)
        link = links.of_user(s, user.id)
    client = engine.client(configured.profile)
    if link is not None:
        return _look_again(engine, client, user, link, by)
    person = _find(client, user)
    want = _wanted(person)
    try:
        _link(engine, configured.id, user, person, want, by)
    except (EmailTaken, UsernameTaken) as taken:
        with engine.db.read() as s:
            raise _names_taken(s, person, want, taken) from None
    return f"{want[0]} now signs in as {person.dn}."


def desync_user(engine: Engine, email: str, *, by: str) -> str:
    """Unlink a user: they stay, their AD sign-in and sessions end, the timer leaves them alone."""
    with engine.db.write() as s:
        user = users.by_email(s, email)
        link = links.unlink(s, user.id, by=by, now=engine.now())
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


def _link(
    engine: Engine,
    directory_id: int,
    user: User,
    person: Person,
    want: tuple[str, str],
    by: str,
) -> None:
    with engine.db.write() as s:
        users.change(s, user.id, {"username": want[0], "email": want[1]}, engine.now())
        source = links.LinkedAccount(
            directory_id,
            person.guid,
            person.dn,
            person.principal_name,
            person.account_name,
            person.password_set,
        )
        links.link(s, user.id, source, scope="login", origin="admin", now=engine.now())
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


def _look_again(engine: Engine, client: Client, user: User, link: Link, by: str) -> str:
    """Act at once on what AD says of a linked person now, as a run does."""
    try:
        person = client.find_guid(Guid(link.guid))
    except NobodyFound:
        raise _gone(client, user, link) from None
    active = person.state is AccountState.ACTIVE
    if not active:
        with engine.db.write() as s:
            refuse(s, {user.id: Leaver.of(person)}, engine.now(), actor=by)
    if active:  # who was refused is let in by a run, which knows whether a server lags behind
        return f"{user.username} is synced with {person.dn} already."
    return (
        f"The AD account {person.dn} is {person.state.value}: all sessions of {user.username} "
        "have ended, and sign-in is refused until AD lets them in again."
    )


def _gone(client: Client, user: User, link: Link) -> InvalidValue:
    """Say what became of a link whose person is not found, and of its email."""
    message = f"{user.username} is linked to {link.dn}, which is no longer found in AD."
    remedy = "The next run deactivates this user. To keep them, De-Sync."
    try:
        heir = client.find(login_name.parse(user.email))
    except NobodyFound:
        pass
    else:
        message += f" AD has given {user.email} to {heir.dn}."
        remedy = (
            "If both are the same person, who came back with a new account: De-Sync, then Sync "
            "with AD. Otherwise leave this user: Synchronize Users gives the names to the other."
        )
    return InvalidValue(message, field="link", remedy=remedy)


def _names_taken(
    s: Session, person: Person, want: tuple[str, str], taken: EmailTaken | UsernameTaken
) -> InvalidValue:
    """Say whose names stand in the way, and how these become free."""
    own, value = (
        (User.email_key, want[1]) if taken.field == "email" else (User.username_key, want[0])
    )
    holder = s.scalars(select(User).where(own == lookup_key(value))).one()
    free = f"give {holder.username} another username and email on their page, then sync again."
    if links.of_user(s, holder.id) is not None:
        free = f"De-Sync {holder.username}, {free}"
    left = "" if holder.active else ", who left"
    return InvalidValue(
        f"In AD the {taken.field} of {person.dn} is {value}, which is still that of "
        f"{holder.username}{left}.",
        field=taken.field,
        remedy=free[0].upper() + free[1:],
    )


def _find(client: Client, user: User) -> Person:
    """By email, and where AD knows none such, by username."""
    try:
        return client.find(login_name.parse(user.email))
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
