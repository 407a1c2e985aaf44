"""People whom the directory calls disabled or expired lose their access as soon as it is read.

That is the directory's own word about one person, so that no plan and no guard stands between: a
held run keeps only the deactivation, the number and the ring groups waiting. `Link.refused_since`
refuses sign-in until the directory says that the account is active again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from dirclient.model import AccountState, Person, Snapshot
from kerauno import audit
from kerauno.bulk import parts
from kerauno.db import Database
from kerauno.leaving import end_access
from kerauno.tables import Link
from syncsvc.records import UserRecord

_log = structlog.get_logger(__name__)
EVENT = "access-ended"


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
        refused = dict(
            s.execute(
                select(Link.guid, Link.user_id).where(
                    Link.directory_id == directory_id, Link.refused_since.is_not(None)
                )
            ).all()
        )
    leavers: dict[int, Person] = {}
    returned = []
    for guid, person in snapshot.people.items():
        active = person.state is AccountState.ACTIVE
        if active and guid in refused and readmit:
            returned.append(refused[guid])
        elif not active and guid in linked and guid not in refused:
            leavers[linked[guid].id] = person
    for part in parts(leavers):
        with db.write() as s:
            fence(s)
            refuse(s, {user_id: leavers[user_id] for user_id in part}, now)
    for part in parts(returned):
        with db.write() as s:
            fence(s)
            let_in(s, part)
    if leavers or returned:
        _log.info("access follows the directory", ended=len(leavers), returned=len(returned))
    return len(leavers)


def refused_since(s: Session, directory_id: int) -> dict[str, datetime]:
    """Return since when each refused person is known to be disabled or expired."""
    rows = s.execute(
        select(Link.guid, Link.refused_since).where(
            Link.directory_id == directory_id, Link.refused_since.is_not(None)
        )
    )
    return {guid: since for guid, since in rows if since is not None}


def refuse(
    s: Session, people: Mapping[int, Person], now: datetime, *, actor: str = "sync service"
) -> None:
    """End all access of these users, whose people are disabled or expired, and say so."""
    _set(s, list(people), now)
    end_access(s, list(people), now)
    for user_id, person in people.items():
        audit.append(
            s,
            EVENT,
            now=now,
            outcome=f"account_{person.state.value}",
            actor=actor,
            user_id=user_id,
            guid=person.guid,
            detail={"dn": person.dn},
        )


def let_in(s: Session, user_ids: list[int]) -> None:
    """Allow sign-in again: the directory says that these accounts are active."""
    _set(s, user_ids, None)


def _set(s: Session, user_ids: list[int], since: datetime | None) -> None:
    s.execute(
        update(Link).where(Link.user_id.in_(user_ids)).values(refused_since=since),
        execution_options={"synchronize_session": False},
    )
