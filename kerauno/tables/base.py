"""The base of every table: instants, ordered text, and names for constraints."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import JSON, DateTime, Dialect, LargeBinary, MetaData, String, TypeDecorator
from sqlalchemy.orm import DeclarativeBase

LARGEST_ID = 2**31 - 1
"""What an id column can hold (PostgreSQL's integer); nothing has a larger number."""


class UtcDateTime(TypeDecorator[datetime]):
    """An instant, stored as UTC without a zone and given back aware.

    A naive instant is a ValueError: nobody knows which it is. SQLite keeps the text that
    SQLAlchemy's own DateTime would; writing and reading it here takes a tenth of the time.
    """

    impl = DateTime
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        """To what the driver stores."""
        return _to_text if dialect.name == "sqlite" else _to_naive

    def result_processor(self, dialect: Dialect, coltype: Any) -> Callable[[Any], Any]:
        """Back to an aware instant."""
        del coltype
        return _from_text if dialect.name == "sqlite" else _from_naive


def _to_naive(value: datetime | None) -> datetime | None:
    if value is None:
        return None
    if value.tzinfo is None:
        raise ValueError("a naive datetime is not an instant; use datetime.now(UTC)")
    return value.astimezone(UTC).replace(tzinfo=None)


@functools.lru_cache(maxsize=64)  # one moment goes into several columns and statements
def _to_text(value: datetime | None) -> str | None:
    if value is None:
        return None
    if value.tzinfo is not UTC:
        value = cast("datetime", _to_naive(value))
    return value.isoformat(" ", "microseconds")[:26]


def _from_naive(value: datetime | None) -> datetime | None:
    return None if value is None else value.replace(tzinfo=UTC)


def _from_text(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value).replace(tzinfo=UTC)


Sorted = String(512).with_variant(String(512, collation="C"), "postgresql")
"""Text in the order of its code points on both databases; PostgreSQL has a locale's otherwise."""


class Base(DeclarativeBase):
    """Names every constraint, so that migrations can speak of them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it off the class
        datetime: UtcDateTime,
        dict[str, Any]: JSON(none_as_null=True),
        list[Any]: JSON(none_as_null=True),
        bytes: LargeBinary,
    }
