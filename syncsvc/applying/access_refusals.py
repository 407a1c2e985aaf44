"""People whom the directory calls disabled or expired lose their access as soon as it is read.

That is the directory's own word about one person, so that no plan and no guard stands between: a
held run keeps only the deactivation, the number and the ring groups waiting. `Link.refused_since`
refuses sign-in until the directory says that the account is active again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple

import structlog
from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from dirclient.config.ports import Locator
from dirclient.model.directory_objects import AccountState, Guid, Person, Snapshot
from kerauno import audit
from kerauno.accounts.access_revocation import end_access
from kerauno.database.bulk import parts
from kerauno.database.engine import Database
from kerauno.tables.core import Link, User
from provisioning.records import UserRecord

_log = structlog.get_logger(__name__)
EVENT = "access-ended"


class Leaver(NamedTuple):
    """Somebody whose access ends; `outcome` says why, for the audit."""

    guid: Guid
    outcome: str
    dn: str = ""

    @classmethod
    def of(cls, person: Person) -> Leaver:
        """Return whom the directory calls disabled or expired."""
        return cls(person.guid, f"account_{person.state}", person.dn)


def follow_refusals(
    db: Database,
    directory_id: int,
    snapshot: Snapshot,
    linked: Mapping[str, UserRecord],
    *,
    fence: Callable[[Session], None],
    now: datetime,
    readmit: bool = True,
) -> int:
    """End the access of linked people who are disabled or expired; return how many they are.

    Let in who is active again, with `readmit`: a server that may be older than the refusal cannot
    lift it.
    """
    with db.read() as s:
        refused = _users(s, directory_id, Link.refused_since.is_not(None))
    leavers: dict[int, Leaver] = {}
    returned = []
    for guid, person in snapshot.people.items():
        active = person.state is AccountState.ACTIVE
        if active and guid in refused and readmit:
            returned.append(refused[guid])
        elif not active and guid in linked and guid not in refused:
            leavers[linked[guid].id] = Leaver.of(person)
    _end_access(db, leavers, fence, now)
    for part in parts(returned):
        with db.write() as s:
            fence(s)
            let_in(s, part)
    if leavers or returned:
        _log.info("access follows the directory", ended=len(leavers), returned=len(returned))
    return len(leavers)


def follow_refusals_by_identity(
    db: Database,
    directory_id: int,
    directory: Locator,
    *,
    fence: Callable[[Session], None],
    now: datetime,
) -> None:
    """End access as `follow_refusals` does, while the User Search DN is gone and nobody is found.

    Each linked person is asked for by identity, wherever they are in the domain. Whoever left a
    tombstone loses access, too; whoever is not found does not: they may only be hidden. Nobody is
    let in before a read comes to its end. Raises DirectoryError.
    """
    with db.read() as s:
        unrefused = Link.refused_since.is_(None) & Link.user_id.in_(
            select(User.id).where(User.active)
        )
        users = _users(s, directory_id, unrefused)
    leavers: dict[int, Leaver] = {}
    for part in parts(sorted(users)):
        for guid, whereabouts in directory.locate(part).items():
            if whereabouts.deleted and whereabouts.changed is not None:
                leavers[users[guid]] = Leaver(guid, "account_deleted")
            elif whereabouts.state in (AccountState.DISABLED, AccountState.EXPIRED):
                leavers[users[guid]] = Leaver(guid, f"account_{whereabouts.state}")
    _end_access(db, leavers, fence, now)
    if leavers:
        _log.info("access follows the directory", ended=len(leavers), returned=0)


def _users(s: Session, directory_id: int, condition: ColumnElement[bool]) -> dict[Guid, int]:
    """Return the linked users that meet the condition, by the identity of their person."""
    rows = s.execute(
        select(Link.guid, Link.user_id).where(Link.directory_id == directory_id, condition)
    )
    return {Guid(guid): user_id for guid, user_id in rows}


def _end_access(
    db: Database,
    leavers: Mapping[int, Leaver],
    fence: Callable[[Session], None],
    now: datetime,
) -> None:
    for part in parts(leavers):
        with db.write() as s:
            fence(s)
            refuse(s, {user_id: leavers[user_id] for user_id in part}, now)


def refused_since(s: Session, directory_id: int) -> dict[str, datetime]:
    """Return since when each refused person is known to be disabled or expired."""
    rows = s.execute(
        select(Link.guid, Link.refused_since).where(
            Link.directory_id == directory_id, Link.refused_since.is_not(None)
        )
    )
    return {guid: since for guid, since in rows if since is not None}


def refuse(
    s: Session, leavers: Mapping[int, Leaver], now: datetime, *, actor: str = "sync service"
) -> None:
    """End all access of these users, and say so."""
    _set(s, list(leavers), now)
    end_access(s, list(leavers), now)
    for user_id, leaver in leavers.items():
        audit.append(
            s,
            EVENT,
            now=now,
            outcome=leaver.outcome,
            actor=actor,
            user_id=user_id,
            guid=leaver.guid,
            detail={"dn": leaver.dn} if leaver.dn else {},
        )


def let_in(s: Session, user_ids: list[int]) -> None:
    """Allow sign-in again: the directory says that these accounts are active."""
    _set(s, user_ids, None)


def _set(s: Session, user_ids: list[int], since: datetime | None) -> None:
    s.execute(
        update(Link).where(Link.user_id.in_(user_ids)).values(refused_since=since),
        execution_options={"synchronize_session": False},
    )
