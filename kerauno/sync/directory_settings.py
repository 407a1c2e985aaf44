"""Directory settings, and the state that the sync service last wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.orm import Session

from kerauno.accounts.dial_plan import parse_range
from kerauno.base.clock import elapsed
from kerauno.base.errors import InvalidValue, Stale
from kerauno.base.validation import ROLES
from kerauno.database.prepared import PreparedConnection, Statement, from_session
from kerauno.tables.core import Directory, DirectoryState

SETTINGS = frozenset(
    {
        "profile",
        "sealed_password",
        "auto_sync",
        "login_without_domain",
        "ring_group_first",
        "ring_group_last",
        "sync_interval",
        "reserve_days",
        "guard_count",
        "guard_percent",
        "role_groups",
    }
)
"""The columns of `Directory` that an administrator sets."""

_BOUNDS = {
    "sync_interval": (60, 86400, "seconds"),
    "reserve_days": (0, 3650, "days"),
    "guard_count": (0, 1_000_000, "people"),
    "guard_percent": (0, 100, "percent"),
}
_STATE = frozenset(column.name for column in DirectoryState.__table__.columns) - {"directory_id"}


@dataclass(frozen=True, slots=True)
class Lockout:
    """The domain's lockout rule as last read. `threshold` 0: it never locks."""

    threshold: int
    window: int  # seconds
    read_at: datetime


def load(s: Session) -> Directory | None:
    """The configured directory, or None while there is none."""
    return s.execute(select(Directory).order_by(Directory.id).limit(1)).scalar_one_or_none()


_VERSION = Statement(select(Directory.id, Directory.version).order_by(Directory.id).limit(1))


def version(s: Session | PreparedConnection) -> tuple[int, int] | None:
    """Id and version of the configured directory: cheap enough to ask at every sign-in."""
    row = from_session(s).one(_VERSION)
    return None if row is None else (row[0], row[1])


def save(
    s: Session,
    changes: Mapping[str, Any],
    *,
    by: str,
    now: datetime,
    version: int | None = None,
    name: str = "default",
) -> Directory:
    """Store some of SETTINGS; what is not given keeps its value. Makes the directory if needed.

    Raises Stale when `version` is given and is no longer the stored one (0: none was stored),
    InvalidValue for a number out of bounds, half a ring group range or an unknown role.
    """
    unknown = changes.keys() - SETTINGS
    if unknown:
        raise KeyError(f"a directory has no setting {sorted(unknown)}")
    directory = load(s)
    if version is not None and version != (directory.version if directory else 0):
        who = f" by {directory.updated_by}" if directory and directory.updated_by else ""
        raise Stale(f"The AD credentials were saved{who} since you opened them.")
    if directory is None:
        directory = Directory(name=name, profile={}, version=0, updated_at=now)
        s.add(directory)
    for field, value in changes.items():
        setattr(directory, field, value)
    _check(directory, changes)
    directory.version += 1
    directory.updated_at = now
    directory.updated_by = by
    s.flush()
    if s.get(DirectoryState, directory.id) is None:
        s.add(DirectoryState(directory_id=directory.id))
        s.flush()
    return directory


def state(s: Session, directory_id: int) -> DirectoryState:
    """Return what the sync service last knew; an empty state where it never ran."""
    return s.get(DirectoryState, directory_id) or DirectoryState(
        directory_id=directory_id,
        server_id="",
        usn=0,
        cookie=b"",
        people=0,
        error="",
        unread="",
        acted_on={},
        lagging="",
    )


def set_state(s: Session, directory_id: int, **values: Any) -> None:
    """Store some columns of the directory's state, in one statement."""
    unknown = values.keys() - _STATE
    if unknown:
        raise KeyError(f"a directory's state has no {sorted(unknown)}")
    statement = update(DirectoryState).where(DirectoryState.directory_id == directory_id)
    result = s.execute(statement.values(**values).returning(DirectoryState.directory_id))
    if result.first() is None:
        s.add(DirectoryState(directory_id=directory_id, **values))
        s.flush()


_HEARD = Statement(
    update(DirectoryState)
    .where(DirectoryState.directory_id == bindparam("of"))
    .values(
        heard_at=bindparam("now"),
        looked_at=func.coalesce(bindparam("looked"), DirectoryState.looked_at),
    )
)

DEAF_AFTER = timedelta(seconds=60)
"""Without a look at the directory that succeeded for so long, the sync service is deaf."""
_TIMER_AFTER = timedelta(hours=2)
"""The same where runs are started by a timer and no service runs."""


def heartbeat(
    s: Session | PreparedConnection,
    directory_id: int,
    now: datetime,
    looked: datetime | None = None,
) -> None:
    """Note that the sync service is alive, and when it last looked at the directory."""
    from_session(s).run(_HEARD, of=directory_id, now=now, looked=looked)


def is_deaf(state: DirectoryState, now: datetime) -> bool:
    """Return whether the sync service has run, but has not looked at the directory of late."""
    if state.heard_at is None:
        return False
    if state.looked_at is None:
        return bool(state.error)  # without one, the first read is under way
    by_timer = state.looked_at - state.heard_at > DEAF_AFTER
    return elapsed(state.looked_at, now) > (_TIMER_AFTER if by_timer else DEAF_AFTER)


_LOCKOUT = Statement(
    select(
        DirectoryState.lockout_threshold,
        DirectoryState.lockout_window,
        DirectoryState.lockout_read_at,
    ).where(DirectoryState.directory_id == bindparam("of"))
)


def lockout(s: Session | PreparedConnection, directory_id: int) -> Lockout | None:
    """The domain's lockout rule as last read, or None when it never was."""
    row = from_session(s).one(_LOCKOUT, of=directory_id)
    if row is None or row[0] is None or row[1] is None or row[2] is None:
        return None
    return Lockout(row[0], row[1], row[2])


def set_lockout(s: Session, directory_id: int, threshold: int, window: int, now: datetime) -> None:
    """Store the strictest lockout rule the domain applies; `window` in seconds."""
    set_state(
        s,
        directory_id,
        lockout_threshold=threshold,
        lockout_window=window,
        lockout_read_at=now,
    )


def _check(directory: Directory, changes: Mapping[str, Any]) -> None:
    for field, (lowest, highest, unit) in _BOUNDS.items():
        if field in changes and not lowest <= changes[field] <= highest:
            raise InvalidValue(
                f"{field.replace('_', ' ')} cannot be {changes[field]} {unit}.",
                field=field,
                remedy=f"Use {lowest} to {highest} {unit}.",
            )
    ends = (directory.ring_group_first, directory.ring_group_last)
    if any(ends) and {"ring_group_first", "ring_group_last"} & changes.keys():
        parse_range(f"{ends[0] or ''}-{ends[1] or ''}")
    for guid, role in (directory.role_groups or {}).items():
        if role not in ROLES:
            raise InvalidValue(
                f"“{role}” (for group {guid}) is not a role.",
                field="role_groups",
                remedy=f"Use one of {', '.join(ROLES)}.",
            )
