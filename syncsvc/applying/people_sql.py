"""Write people's actions: user, number, link, memberships, sessions and journal, together."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from dirclient.model.directory_objects import Guid
from kerauno.accounts import users
from kerauno.base.errors import Stale
from kerauno.database.bulk import insert_rows, parts, update_rows
from kerauno.tables.core import Link, Membership, Number, RunChange, User
from provisioning.actions import SHOWN_FIELDS, ActionKind, PersonAction

_JOURNAL = (
    RunChange.run_id,
    RunChange.action,
    RunChange.subject,
    RunChange.guid,
    RunChange.subject_id,
    RunChange.name,
    RunChange.before,
    RunChange.after,
    RunChange.error,
)
_USER = (
    User.username,
    User.username_key,
    User.email,
    User.email_key,
    User.first_name,
    User.last_name,
    User.role,
    User.active,
    User.updated_at,
    User.version,
)
_LINK = (Link.dn, Link.principal_key, Link.account_key, Link.scope, Link.origin)
_NUMBER = (Number.number, Number.user_id)
_MEMBER = (Membership.department_id, Membership.user_id, Membership.static)
_PARKED = "\x7f{}"  # no name or address can contain a control character


@dataclass(slots=True)
class Target:
    """The target of a plan. `user_ids` collects the people who became users in this run."""

    directory_id: int
    run_id: int
    now: datetime
    reserve_until: datetime
    user_ids: dict[str, int] = field(default_factory=dict)


def write_people(s: Session, target: Target, actions: Sequence[PersonAction]) -> None:
    """Write these actions, all or none by the caller's transaction or savepoint.

    Raises Stale when a record changed since it was planned on, and RowRefused or a DBAPIError
    when a constraint says no.
    """
    _check_unmoved(s, actions)
    leavers = [a for a in actions if a.kind is ActionKind.DEACTIVATE]
    creates = [a for a in actions if a.kind is ActionKind.CREATE]
    renamed = [a for a in actions if a.gives_up]
    changes = [a for a in actions if a.user is not None and a.want is not None and not a.gives_up]
    journal = _leave(s, target, leavers) if leavers else []
    journal += _give_up_names(s, target, renamed)
    _give_up_numbers(s, target, creates, changes)
    _change_users(s, target, changes)
    ids = {a.guid: a.user.id for a in changes if a.user is not None}
    ids.update(_create_users(s, target, creates))
    _number(s, ids, creates, changes)
    _link(s, target, ids, creates, changes)
    insert_rows(s, _MEMBER, [(d, ids[a.guid], True) for a in (*creates, *changes) for d in a.joins])
    journal += [_created(target, a, ids[a.guid]) for a in creates]
    journal += [_changed(target, a, ids[a.guid]) for a in changes]
    insert_rows(s, _JOURNAL, journal)
    target.user_ids.update((str(guid), user_id) for guid, user_id in ids.items())


def note_failure(s: Session, target: Target, action: PersonAction, reason: str) -> None:
    """Journal that this action was not done, and why."""
    shown = action.want or action.user
    assert shown is not None
    user_id = action.user.id if action.user is not None else None
    row = (
        *(target.run_id, action.kind.value, "user", str(action.guid), user_id, shown.username),
        *(None, None, reason),
    )
    insert_rows(s, _JOURNAL, [row])


def _check_unmoved(s: Session, actions: Iterable[PersonAction]) -> None:
    planned = {a.user.id: a for a in actions if a.user is not None}
    numbers: dict[int, tuple[int, str | None]] = {}
    for ids in parts(planned):
        rows = s.execute(
            select(User.id, User.version, Link.guid)
            .outerjoin(Link, Link.user_id == User.id)
            .where(User.id.in_(ids))
        )
        numbers.update({row[0]: (row[1], row[2]) for row in rows})
    for user_id, action in planned.items():
        assert action.user is not None
        if numbers.get(user_id) != (action.user.version, action.user.guid):
            raise Stale(f"{action.user.username} was changed in Kerauno meanwhile.")


def _leave(s: Session, target: Target, leavers: Sequence[PersonAction]) -> list[tuple[Any, ...]]:
    people = {a.user.id: a for a in leavers if a.user is not None}
    memberships: dict[int, list[list[Any]]] = {}
    for ids in parts(people):
        for user_id, department_id, static in s.execute(
            select(Membership.user_id, Membership.department_id, Membership.static)
            .where(Membership.user_id.in_(ids))
            .order_by(Membership.department_id)
        ):
            memberships.setdefault(user_id, []).append([department_id, static])
    users.deactivate(s, people.keys(), target.now, reserve_until=target.reserve_until)
    until = target.reserve_until.isoformat()
    rows = []
    for user_id, action in people.items():
        assert action.user is not None
        changes = action.changes
        before = {name: change["before"] for name, change in changes.items()} | {
            "reserved_until": None,
            "memberships": memberships.get(user_id, []),
        }
        after = {name: change["after"] for name, change in changes.items()} | {
            "reserved_until": until if action.user.extension else None,
            "memberships": [],
            "reason": action.reason,
        }
        rows.append(_row(target, action, user_id, action.user.username, before, after))
    return rows


def _give_up_names(
    s: Session, target: Target, renamed: Sequence[PersonAction]
) -> list[tuple[Any, ...]]:
    """Rename leavers out of the way; returns the journal of those who had left before."""
    rows, links, journal = [], [], []
    for action in renamed:
        user, want = action.user, action.want
        assert user is not None
        assert want is not None
        rows.append((*want[:4], target.now, user.version + 1, user.id))
        links.append((*_link_values(action), user.id))
        if action.kind is not ActionKind.DEACTIVATE:
            journal.append(_changed(target, action, user.id))
    update_rows(s, (*_USER[:4], User.updated_at, User.version), (User.id,), rows)
    update_rows(s, _LINK, (Link.user_id,), links)
    return journal


def _give_up_numbers(
    s: Session,
    target: Target,
    creates: Iterable[PersonAction],
    changes: Iterable[PersonAction],
) -> None:
    """Free what movers leave behind, and what was kept for somebody until now."""
    movers = [a for a in changes if _moves_number(a)]
    extensions = [a.want.extension for a in (*creates, *movers) if a.want and a.want.extension]
    for numbers in parts(extensions):
        s.execute(
            delete(Number).where(
                Number.number.in_(numbers),
                Number.user_id.is_not(None),
                Number.reserved_until <= target.now,
            )
        )
    for ids in parts(a.user.id for a in movers if a.user is not None):
        s.execute(delete(Number).where(Number.user_id.in_(ids)))


def _moves_number(action: PersonAction) -> bool:
    user, want = action.user, action.want
    if user is None or want is None:
        return False
    return user.extension != want.extension or user.reserved_until is not None


def _change_users(s: Session, target: Target, changes: Sequence[PersonAction]) -> None:
    if any(a.takes_from for a in changes):
        # Two people may swap names: unique keys are checked row by row, so they step aside first.
        parked = [(_PARKED.format(a.user.id),) * 2 + (a.user.id,) for a in changes if a.user]
        update_rows(s, (User.username_key, User.email_key), (User.id,), parked)
    rows = []
    for action in changes:
        user, want = action.user, action.want
        assert user is not None
        assert want is not None
        names = (want.username, want.username_key, want.email, want.email_key)
        rows.append(
            (
                *names,
                want.first_name,
                want.last_name,
                want.role,
                True,
                target.now,
                user.version + 1,
                user.id,
            )
        )
    update_rows(s, _USER, (User.id,), rows)
    back = [a.user.id for a in changes if a.kind is ActionKind.REACTIVATE and a.user]
    for ids in parts(back):
        s.execute(update(User).where(User.id.in_(ids)).values(deactivated_at=None))
    linked = [a.user.id for a in changes if a.kind is ActionKind.LINK and a.user]
    for ids in parts(linked):
        s.execute(update(User).where(User.id.in_(ids)).values(password_hash=None))


def _create_users(s: Session, target: Target, creates: Sequence[PersonAction]) -> dict[Guid, int]:
    if not creates:
        return {}
    last = s.scalar(select(func.max(User.id))) or 0
    rows = []
    for action in creates:
        want = action.want
        assert want is not None
        names = (want.username, want.username_key, want.email, want.email_key)
        rows.append(
            (
                *names,
                want.first_name,
                want.last_name,
                want.role,
                True,
                target.now,
                1,
                uuid.uuid4().hex,
                target.now,
                False,
            )
        )
    insert_rows(s, (*_USER, User.subject, User.created_at, User.blocked), rows)
    # Ids only grow, so the new ones are above the last; the key tells whose they are.
    by_key = dict(s.execute(select(User.username_key, User.id).where(User.id > last)).all())
    return {a.guid: by_key[a.want.username_key] for a in creates if a.want is not None}


def _number(
    s: Session,
    ids: dict[Guid, int],
    creates: Iterable[PersonAction],
    changes: Iterable[PersonAction],
) -> None:
    takers = [*creates, *(a for a in changes if _moves_number(a))]
    rows = [(a.want.extension, ids[a.guid]) for a in takers if a.want and a.want.extension]
    insert_rows(s, _NUMBER, rows)


def _link(
    s: Session,
    target: Target,
    ids: dict[Guid, int],
    creates: Sequence[PersonAction],
    changes: Sequence[PersonAction],
) -> None:
    tied = [*creates, *(a for a in changes if a.kind is ActionKind.LINK)]
    kept = [a for a in changes if a.kind is not ActionKind.LINK]
    identity = (Link.user_id, Link.directory_id, Link.guid, Link.linked_at)
    insert_rows(
        s,
        (*_LINK, *identity),
        [
            (*_link_values(a), ids[a.guid], target.directory_id, str(a.guid), target.now)
            for a in tied
        ],
    )
    update_rows(s, _LINK, (Link.user_id,), [(*_link_values(a), ids[a.guid]) for a in kept])


def _link_values(action: PersonAction) -> tuple[Any, ...]:
    want = action.want
    assert want is not None
    return (want.dn, want.principal_key, want.account_key, want.scope, want.origin)


def _created(target: Target, action: PersonAction, user_id: int) -> tuple[Any, ...]:
    want = action.want
    assert want is not None
    after: dict[str, Any] = {name: getattr(want, name) for name in SHOWN_FIELDS}
    if action.joins:
        after["joined"] = list(action.joins)
    return _row(target, action, user_id, want.username, None, after)


def _changed(target: Target, action: PersonAction, user_id: int) -> tuple[Any, ...]:
    assert action.user is not None
    assert action.want is not None
    changes = action.changes
    before = {name: change["before"] for name, change in changes.items()}
    after = {name: change["after"] for name, change in changes.items()}
    if action.kind is ActionKind.REACTIVATE:
        until = action.user.reserved_until
        before["reserved_until"] = until.isoformat() if until else None
        after["reserved_until"] = None
    if action.joins:
        after["joined"] = list(action.joins)
    return _row(target, action, user_id, action.want.username, before, after)


def _row(
    target: Target,
    action: PersonAction,
    user_id: int,
    name: str,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
) -> tuple[Any, ...]:
    identity = (target.run_id, action.kind.value, "user", str(action.guid), user_id, name)
    return (*identity, before, after, "")
