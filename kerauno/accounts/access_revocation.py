"""The one place where a person's access ends, whatever the reason."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete
from sqlalchemy.orm import Session

from kerauno.accounts import known_browsers
from kerauno.oauth.token_revocation import end_for_session, end_for_user_before, end_for_users
from kerauno.tables.core import WebSession


@dataclass(frozen=True, slots=True)
class Ended:
    """The counts of ended browser sessions and of ended sign-ins to apps."""

    sessions: int = 0
    apps: int = 0

    def __add__(self, other: Ended) -> Ended:
        return Ended(self.sessions + other.sessions, self.apps + other.apps)


def end_access(
    s: Session, user_ids: Collection[int], now: datetime | None = None, *, keep: str = ""
) -> Ended:
    """End everything by which these users are signed in, in the caller's transaction.

    Sessions of browsers, what browsers are known by, and every token that apps hold for them; the
    apps that want to be told are queued for it. Called for leavers, de-synced, blocked and
    deactivated users, and when a password is replaced: `keep` is the id of the session in which
    that is done. `now` is this instant unless a test says otherwise.
    """
    ids = list(user_ids)
    sessions = 0
    for start in range(0, len(ids), 500):
        part = ids[start : start + 500]
        gone = s.execute(
            delete(WebSession)
            .where(WebSession.user_id.in_(part), WebSession.id != keep)
            .returning(WebSession.id),
            execution_options={"synchronize_session": False},
        )
        sessions += len(gone.all())
        known_browsers.end_all(s, part)
    return Ended(sessions, end_for_users(s, ids, now))


def end_access_before(s: Session, user_id: int, before: datetime, now: datetime) -> Ended:
    """End what the user was signed in by before that moment; what came later stays.

    No browser is known any more. Called when the directory says that the password was changed.
    """
    gone = s.execute(
        delete(WebSession)
        .where(WebSession.user_id == user_id, WebSession.created_at < before)
        .returning(WebSession.handle),
        execution_options={"synchronize_session": False},
    )
    handles = list(gone.scalars())
    known_browsers.end_all(s, [user_id])
    apps = sum(end_for_session(s, handle, now) for handle in handles)
    return Ended(len(handles), apps + end_for_user_before(s, user_id, before, now))
