"""Revoke codes, tokens and confirmed devices of a person, and tell the apps.

Runs in the transaction that ends the sign-in itself, so that no moment exists in which a person
is gone and an app still holds a living token. Being told (back-channel logout) cannot be part of
a transaction: it is queued in it, and delivered as soon as it is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    String,
    and_,
    bindparam,
    delete,
    insert,
    literal,
    null,
    select,
    union,
)
from sqlalchemy.orm import Session

from kerauno.database.prepared import PreparedConnection, Statement, from_session
from kerauno.tables.core import User, UtcDateTime
from kerauno.tables.oauth import (
    AppSession,
    AuthorizationCode,
    Client,
    DeviceGrant,
    LogoutDelivery,
    TokenFamily,
)

_BATCH = 500
_Whose = Callable[[Any], ColumnElement[bool]]


def end_for_users(s: Session, user_ids: Collection[int], now: datetime | None = None) -> int:
    """End everything apps hold of these people, and queue the word to the apps.

    Gives how many token families ended. `now` is this instant unless a test says otherwise.
    Most leavers of a large run use no app: one statement finds those who do.
    """
    ids = list(user_ids)
    concerned: list[int] = []
    for start in range(0, len(ids), _BATCH):
        part = ids[start : start + _BATCH]
        concerned += s.scalars(
            union(
                *(
                    select(table.user_id).where(table.user_id.in_(part))
                    for table in (AppSession, TokenFamily, AuthorizationCode, DeviceGrant)
                )
            )
        )
    hot = from_session(s)
    return sum(_OF_USER.end(hot, now, user=user_id) for user_id in concerned)


def end_for_session(
    s: Session | PreparedConnection, handle: str, now: datetime | None = None
) -> int:
    """The same for what came of one browser session. Devices the person confirmed stay."""
    return _OF_SESSION.end(from_session(s), now, handle=handle)


def end_for_user_before(
    s: Session | PreparedConnection, user_id: int, before: datetime, now: datetime | None = None
) -> int:
    """The same for what came of sign-ins of one person before that moment."""
    return _OF_USER_BEFORE.end(from_session(s), now, user=user_id, before=before)


def end_for_app(
    s: Session | PreparedConnection, user_id: int, client_id: str, now: datetime | None = None
) -> bool:
    """The same for one person in one app. Return whether there was anything to end."""
    hot = from_session(s)
    known = hot.one(_KNOWN, user=user_id, client=client_id) is not None
    return _OF_APP.end(hot, now, user=user_id, client=client_id) > 0 or known


class _Ending:
    """The statements that end what matches a condition."""

    def __init__(self, whose: _Whose, *, devices: bool) -> None:
        self._tell = [Statement(_tell_sessions(whose))]
        doomed: list[Any] = [AuthorizationCode, AppSession]
        if devices:  # a device stands behind no browser session
            self._tell.append(Statement(_tell_devices(whose)))
            doomed.append(DeviceGrant)
        self._delete = [Statement(delete(table).where(whose(table))) for table in doomed]
        self._families = Statement(delete(TokenFamily).where(whose(TokenFamily)))

    def end(self, hot: PreparedConnection, now: datetime | None, **values: Any) -> int:
        """Queue, then delete; access tokens go with their families, by the foreign key."""
        for statement in self._tell:
            hot.run(statement, now=now or datetime.now(UTC), **values)
        for statement in self._delete:
            hot.run(statement, **values)
        return hot.run(self._families, **values)


def _tell_sessions(whose: _Whose) -> Any:
    """One word for each app and session."""
    return insert(LogoutDelivery).from_select(
        _COLUMNS,
        select(
            AppSession.client_id,
            AppSession.user_id,
            User.subject,
            AppSession.session_handle,
            *_QUEUED,
        )
        .join(Client, Client.id == AppSession.client_id)
        .join(User, User.id == AppSession.user_id)
        .where(whose(AppSession), Client.backchannel_logout_uri != ""),
    )


def _tell_devices(whose: _Whose) -> Any:
    """One word for each app and person that a device is signed in for."""
    return insert(LogoutDelivery).from_select(
        _COLUMNS,
        select(
            TokenFamily.client_id,
            TokenFamily.user_id,
            User.subject,
            null().cast(String),
            *_QUEUED,
        )
        .distinct()
        .join(Client, Client.id == TokenFamily.client_id)
        .join(User, User.id == TokenFamily.user_id)
        .where(
            whose(TokenFamily),
            TokenFamily.session_handle.is_(None),
            Client.backchannel_logout_uri != "",
        ),
    )


_COLUMNS = ["client_id", "user_id", "subject", "sid", "queued_at", "due_at", "attempts", "error"]
_QUEUED: tuple[ColumnElement[Any], ...] = (
    bindparam("now", type_=UtcDateTime()),
    bindparam("now", type_=UtcDateTime()),
    literal(0),
    literal(""),
)


def _both(table: Any) -> ColumnElement[bool]:
    return and_(table.user_id == bindparam("user"), table.client_id == bindparam("client"))


def _earlier(table: Any) -> ColumnElement[bool]:
    signed_in = table.first_at if table is AppSession else table.auth_time
    return and_(table.user_id == bindparam("user"), signed_in < bindparam("before"))


_OF_USER_BEFORE = _Ending(_earlier, devices=True)
_OF_USER = _Ending(lambda table: table.user_id == bindparam("user"), devices=True)
_OF_SESSION = _Ending(lambda table: table.session_handle == bindparam("handle"), devices=False)
_OF_APP = _Ending(_both, devices=True)
_KNOWN = Statement(select(AppSession.client_id).where(_both(AppSession)).limit(1))
