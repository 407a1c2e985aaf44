"""The tie between a user and a person in a directory. Identity is the GUID, nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from kerauno.accounts.access_revocation import end_access
from kerauno.base.errors import InvalidValue, NotFound
from kerauno.base.lookup_keys import lookup_key
from kerauno.tables.core import Link, LinkProposal, SyncExclusion, User


@dataclass(frozen=True, slots=True)
class LinkedAccount:
    """The identity of a person that a link keeps: enough to find and bind as them after a
    rename."""

    directory_id: int
    guid: str
    dn: str
    principal_name: str | None = None  # userPrincipalName
    account_name: str | None = None  # sAMAccountName
    password_set: datetime | None = None


def of_user(s: Session, user_id: int) -> Link | None:
    """The user's link, or None for a user whom no directory knows."""
    return s.get(Link, user_id)


def of_person(s: Session, directory_id: int, guid: str) -> Link | None:
    """The link of this person, or None while nobody is linked to them."""
    return s.execute(
        select(Link).where(Link.directory_id == directory_id, Link.guid == guid)
    ).scalar_one_or_none()


def link(
    s: Session, user_id: int, person: LinkedAccount, *, scope: str, origin: str, now: datetime
) -> Link:
    """Link the user to the person. Clears a local password, a hold and a waiting proposal.

    `scope` and `origin` as in `tables.Link`. A user already linked to this person gets the new
    scope. Raises InvalidValue when either of them is tied to somebody else, NotFound.
    """
    user = s.get(User, user_id, with_for_update=True)
    if user is None:
        raise NotFound("There is no such user.")
    remedy = "De-sync the present link first."
    mine = s.get(Link, user_id)
    if mine is not None and (mine.directory_id, mine.guid) != (person.directory_id, person.guid):
        raise InvalidValue(
            f"{user.username} is linked to another AD account, {mine.dn}.",
            field="link",
            remedy=remedy,
        )
    theirs = of_person(s, person.directory_id, person.guid)
    if theirs is not None and theirs.user_id != user_id:
        other = s.get(User, theirs.user_id)
        raise InvalidValue(
            f"The AD account {person.dn} is linked to {other.username if other else 'a user'}.",
            field="link",
            remedy=remedy,
        )
    link = mine or Link(
        user_id=user_id, directory_id=person.directory_id, guid=person.guid, linked_at=now
    )
    link.dn = person.dn
    link.principal_key = lookup_key(person.principal_name) if person.principal_name else None
    link.account_key = lookup_key(person.account_name) if person.account_name else None
    link.scope = scope
    link.origin = origin
    link.password_set = person.password_set or link.password_set
    s.add(link)
    user.password_hash = None
    user.updated_at = now
    user.version += 1
    for table in (SyncExclusion, LinkProposal):
        s.execute(
            delete(table).where(
                table.directory_id == person.directory_id, table.guid == person.guid
            )
        )
    s.flush()
    return link


def unlink(s: Session, user_id: int, *, by: str, now: datetime, hold: bool = True) -> Link:
    """De-sync: the link and all access end, the user stays. Return the link that was.

    With `hold`, the timer does not link the person again until an administrator does or they
    leave the directory's scope. Raises NotFound for a user who is not linked.
    """
    link = s.get(Link, user_id)
    if link is None:
        raise NotFound("This user is not synced with Active Directory.")
    s.delete(link)
    if hold:
        s.merge(
            SyncExclusion(
                directory_id=link.directory_id,
                guid=link.guid,
                user_id=user_id,
                held_at=now,
                held_by=by,
            )
        )
    user = s.get(User, user_id)
    if user is not None:
        user.updated_at = now
        user.version += 1
    end_access(s, [user_id])
    s.flush()
    return link


def propose(s: Session, user_id: int, directory_id: int, guid: str, now: datetime) -> None:
    """Note that an administrator must confirm this link; the same proposal is noted once."""
    s.merge(LinkProposal(directory_id=directory_id, guid=guid, user_id=user_id, proposed_at=now))


def held_out(s: Session, directory_id: int) -> dict[str, SyncExclusion]:
    """The people whom an administrator keeps from being linked, by GUID."""
    rows = s.execute(
        select(SyncExclusion).where(SyncExclusion.directory_id == directory_id)
    ).scalars()
    return {row.guid: row for row in rows}


def release(s: Session, directory_id: int, guid: str) -> None:
    """Let the person be linked again; nothing happens if nobody held them."""
    s.execute(
        delete(SyncExclusion).where(
            SyncExclusion.directory_id == directory_id, SyncExclusion.guid == guid
        )
    )
