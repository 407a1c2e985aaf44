"""What apps hold of a person ends here: codes, tokens, confirmed devices; and the apps are told.

Runs in the transaction that ends the sign-in itself, so that no moment exists in which a person
is gone and an app still holds a living token. Being told (back-channel logout) cannot be part of
a transaction: it is queued in it, and delivered as soon as it is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, String, and_, delete, insert, literal, null, select
from sqlalchemy.orm import Session

from kerauno.tables import User, UtcDateTime
from kerauno.tables_oidc import (
    AppSession,
    AuthorizationCode,
    Client,
    DeviceGrant,
    LogoutDelivery,
    TokenFamily,
)

_Whose = Callable[[Any], ColumnElement[bool]]


def end_for_users(s: Session, user_ids: Collection[int], now: datetime | None = None) -> int:
    """End everything apps hold of these people, and queue the word to the apps.

    Gives how many token families ended. `now` is this instant unless a test says otherwise.
    """
    ids = list(user_ids)
    return _end(s, lambda table: table.user_id.in_(ids), now, devices=True)


def end_for_session(s: Session, handle: str, now: datetime | None = None) -> int:
    """The same for what came of one browser session. Devices the person confirmed stay."""
    return _end(s, lambda table: table.session_handle == handle, now, devices=False)


def end_for_app(s: Session, user_id: int, client_id: str, now: datetime | None = None) -> bool:
    """The same for one person in one app. Gives whether there was anything to end."""

    def both(table: Any) -> ColumnElement[bool]:
        return and_(table.user_id == user_id, table.client_id == client_id)

    known = s.scalar(select(AppSession.client_id).where(both(AppSession)).limit(1))
    return _end(s, both, now, devices=True) > 0 or known is not None


def _end(s: Session, whose: _Whose, now: datetime | None, *, devices: bool) -> int:
    _queue(s, whose, now or datetime.now(UTC))
    doomed: list[Any] = [AuthorizationCode, AppSession]
    if devices:
        doomed.append(DeviceGrant)
    for table in doomed:
        s.execute(delete(table).where(whose(table)), execution_options=_BLIND)
    gone = s.execute(
        delete(TokenFamily).where(whose(TokenFamily)).returning(TokenFamily.id),
        execution_options=_BLIND,
    )
    return len(gone.all())  # their access tokens went with them, by the foreign key


def _queue(s: Session, whose: _Whose, now: datetime) -> None:
    """One word for each app and session; for devices, one for each app and person."""
    s.execute(
        insert(LogoutDelivery).from_select(
            _COLUMNS,
            select(
                AppSession.client_id,
                AppSession.user_id,
                User.subject,
                AppSession.session_handle,
                literal(now, UtcDateTime),
                literal(now, UtcDateTime),
            )
            .join(Client, Client.id == AppSession.client_id)
            .join(User, User.id == AppSession.user_id)
            .where(whose(AppSession), Client.backchannel_logout_uri != ""),
        )
    )
    s.execute(
        insert(LogoutDelivery).from_select(
            _COLUMNS,
            select(
                TokenFamily.client_id,
                TokenFamily.user_id,
                User.subject,
                null().cast(String),
                literal(now, UtcDateTime),
                literal(now, UtcDateTime),
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
    )


_COLUMNS = ["client_id", "user_id", "subject", "sid", "queued_at", "due_at"]
_BLIND: Any = {"synchronize_session": False}  # nobody holds these rows as objects
