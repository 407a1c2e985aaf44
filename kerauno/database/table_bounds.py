"""How much of a table strangers may fill: so many rows of one owner, and so many in all.

An owner is what a stranger cannot multiply at will: the network of an address (an IPv6 /64 is
one), a session, or an app that has proven who it is. Where a table is full, the owner with the most
rows loses the oldest of them, so that a flood from some places does not keep people of other places
out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, delete, func, select
from sqlalchemy.orm import aliased

from kerauno.base.errors import Throttled
from kerauno.database.prepared import PreparedConnection, Statement


@dataclass(frozen=True, slots=True)
class Bound:
    """The most rows of one owner, and of all owners together."""

    of_owner: int
    in_all: int


class Room:
    """Keeps a table within its bound.

    The table has the columns `id`, `owner`, `created_at` and `expires_at`. Rows without an owner do
    not count, nor do those whose `status` is not the given one, where one is given. Where
    owners of several kinds share a table, `counting` tells whose room this is.
    """

    def __init__(
        self,
        table: Any,
        bound: Bound,
        status: str = "",
        *,
        counting: Callable[[Any], ColumnElement[bool]] | None = None,
    ) -> None:
        self.bound = bound
        self._scope = table.__tablename__

        def counted(rows: Any) -> list[ColumnElement[bool]]:
            conditions = [rows.owner != "", *([rows.status == status] if status else [])]
            return conditions if counting is None else [*conditions, counting(rows)]

        other, oldest = aliased(table), aliased(table)
        own = [table.owner == bindparam("of"), *counted(table)]
        largest = (
            select(other.owner)
            .where(*counted(other))
            .group_by(other.owner)
            .order_by(func.count().desc())
            .limit(1)
            .scalar_subquery()
        )
        of_largest = select(oldest.id).where(oldest.owner == largest, *counted(oldest))
        of_owner = select(oldest.id).where(oldest.owner == bindparam("of"), *counted(oldest))
        self._own = Statement(
            select(func.count(), func.min(table.expires_at)).where(
                *own, table.expires_at > bindparam("now")
            )
        )
        self._all = Statement(select(func.count()).where(*counted(table)))
        self._evict_largest, self._evict_own = (
            Statement(
                delete(table).where(
                    table.id == rows.order_by(oldest.created_at).limit(1).scalar_subquery()
                )
            )
            for rows in (of_largest, of_owner)
        )

    def take(self, h: PreparedConnection, now: datetime, owner: str) -> None:
        """Make sure that the owner may add a row. Raises Throttled where theirs are used up."""
        if not owner:
            return
        count, until = self._count(h, now, owner)
        if count >= self.bound.of_owner:
            wait = max(1, math.ceil((until - now).total_seconds()))
            raise Throttled(wait, scope="address", key=f"{self._scope} {owner}")
        self._make_room(h)

    def take_over(self, h: PreparedConnection, now: datetime, owner: str) -> None:
        """Make sure that the owner may add a row; their own oldest makes room for it."""
        if self._count(h, now, owner)[0] >= self.bound.of_owner:
            h.run(self._evict_own, of=owner)
        self._make_room(h)

    def _count(self, h: PreparedConnection, now: datetime, owner: str) -> tuple[int, datetime]:
        row = h.one(self._own, of=owner, now=now)
        assert row is not None
        return row[0], row[1] or now

    def _make_room(self, h: PreparedConnection) -> None:
        row = h.one(self._all)
        if row is not None and row[0] >= self.bound.in_all:
            h.run(self._evict_largest)
