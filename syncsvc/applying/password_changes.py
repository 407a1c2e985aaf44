"""Passwords that were changed in the directory: what was signed in with the old one ends.

`Link.password_set` is when the directory last said that the password was set, and the first such
word only becomes known. A change that was made on Kerauno's own page is noted there, so that the
session in which it was made goes on. No plan and no guard stands between: nobody loses more than
having to sign in again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from dirclient.model.directory_objects import NO_PASSWORD_SET, Guid, Person, Snapshot
from kerauno import audit
from kerauno.accounts.access_revocation import end_access_before
from kerauno.database.bulk import parts, update_rows
from kerauno.database.engine import Database
from kerauno.tables.core import Link
from provisioning.records import UserRecord

_log = structlog.get_logger(__name__)
EVENT = "password-changed"


def follow_passwords(
    db: Database,
    snapshot: Snapshot,
    linked: Mapping[str, UserRecord],
    *,
    fence: Callable[[Session], None],
    now: datetime,
) -> int:
    """Note what is new, end what was signed in before it; return how many passwords changed."""
    news = list(_news(snapshot, linked))
    first = [(person.password_set, user.id) for user, person in news if user.password_set is None]
    for part in parts(first, 2000):
        with db.write() as s:
            fence(s)
            update_rows(s, (Link.password_set,), (Link.user_id,), part)
    count = 0
    for part in parts([item for item in news if item[0].password_set is not None], 100):
        with db.write() as s:
            fence(s)
            count += _end(s, part, timedelta(seconds=snapshot.clock_offset), now)
    if count:
        _log.info("passwords were changed in the directory", count=count)
    return count


def note_first_passwords(s: Session, snapshot: Snapshot, user_ids: Mapping[str, int]) -> None:
    """Note when the passwords were set of people who were linked just now."""
    rows = [
        (person.password_set, user_id)
        for guid, user_id in user_ids.items()
        if (person := snapshot.people.get(Guid(guid))) is not None and person.password_set
    ]
    update_rows(s, (Link.password_set,), (Link.user_id,), rows)


def _news(
    snapshot: Snapshot, linked: Mapping[str, UserRecord]
) -> Iterator[tuple[UserRecord, Person]]:
    people = snapshot.people
    for guid, user in linked.items():
        person = people.get(guid)  # type: ignore[call-overload]  # a GUID is its text
        if person is not None and _is_newer(person.password_set, user.password_set):
            yield user, person


def _is_newer(seen: datetime | None, known: datetime | None) -> bool:
    """Tell a change from a server that lags behind. A password that must be replaced is one."""
    if seen is None or seen == known:
        return False
    return known is None or seen > known or seen == NO_PASSWORD_SET


def _end(
    s: Session, news: Iterable[tuple[UserRecord, Person]], offset: timedelta, now: datetime
) -> int:
    """End it, except where the change was noted since the records were read."""
    by_user = {user.id: person for user, person in news}
    query = select(Link).where(Link.user_id.in_(by_user)).with_for_update()
    count = 0
    for link in s.scalars(query):
        person = by_user[link.user_id]
        if link.guid != person.guid or not _is_newer(person.password_set, link.password_set):
            continue
        assert person.password_set is not None
        link.password_set = person.password_set
        replaced = person.password_set == NO_PASSWORD_SET
        before = now if replaced else min(person.password_set - offset, now)
        ended = end_access_before(s, link.user_id, before, now)
        audit.append(
            s,
            EVENT,
            now=now,
            outcome="seen",
            actor="sync service",
            user_id=link.user_id,
            guid=link.guid,
            detail={"sessions": ended.sessions, "apps": ended.apps},
        )
        count += 1
    s.flush()
    return count
