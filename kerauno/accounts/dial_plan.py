"""The number space: extensions and ring group numbers are one kind of thing.

2 to 10 digits, each held once across users and ring groups; the database holds that true. A
leaver's number stays theirs until its reservation ends; then whoever wants it may take it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import phonenumbers
from sqlalchemy import Select, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from kerauno.base.errors import InvalidValue, NumberTaken
from kerauno.tables.core import Number, RingGroup, User

_PLAIN = re.compile(r"[0-9]{2,10}\Z")
# A phone number, or nothing, and then a way people write "extension" (RFC 3966 5.3 for ;ext=).
_WRITTEN = re.compile(
    r"\s*(?:tel:)?[\s+0-9()./–-]*(?:;\s*ext\s*=|,?\s*(?:extension|extn?|x)|#)\s*[.:]{0,2}\s*"
    r"([0-9]{2,10})\s*\Z",
    re.IGNORECASE,
)
# After one such sign a second number stands as often as an extension; `,,` is a pause in dialling.
_SECOND_NUMBER = re.compile(r"(?<!,)[;,~]\s*[0-9]+\Z")
_REMEDY = "Use 2 to 10 digits, or a phone number with its extension, such as +1 317 555 0100 x1234."


@dataclass(frozen=True, slots=True)
class NumberHolder:
    """The holder of a number. Exactly one of the ids is set; `words` is fit for a sentence."""

    number: str
    words: str
    user_id: int | None = None
    ring_group_id: int | None = None
    reserved_until: datetime | None = None


def parse_extension(text: str, *, field: str = "extension") -> str:
    """The 2 to 10 digits that the text means as an extension.

    Either they are all there is, or they are the extension part of a phone number, written
    `x1234`, `ext. 1234`, `#1234`, `;ext=1234` or another way that phone numbers know. Full-width
    digits count (NFKC), footnotes do not, and what cannot be seen does not: Windows copies a
    number between marks of direction. Raises InvalidValue for anything else, a whole phone number
    without an extension and two numbers included: which digits are dialled nobody knows.
    """
    plain = text.strip() if text.isascii() else _plain(text)
    if _PLAIN.match(plain):
        return plain
    if len(plain) <= 100:
        written = _WRITTEN.match(plain)
        if written:
            return written[1]
        try:
            extension = phonenumbers.parse(plain, "US").extension
        except phonenumbers.NumberParseException:
            extension = None
        if extension and _PLAIN.match(extension) and not _SECOND_NUMBER.search(plain):
            return str(extension)
    shown = plain if len(plain) <= 40 else plain[:40] + "…"
    raise InvalidValue(f"“{shown}” is not an extension.", field=field, remedy=_REMEDY)


def _plain(text: str) -> str:
    """Without what cannot be seen, and with a phone's digits for those of full width."""
    seen = (c for c in text if unicodedata.category(c) != "Cf")
    wide = (
        c if unicodedata.category(c) == "No" else unicodedata.normalize("NFKC", c) for c in seen
    )
    return "".join(wide).strip()


def holder(s: Session, number: str) -> NumberHolder | None:
    """Return who has the number, a leaver's reservation included; None when it was never given."""
    return holders(s, [number]).get(number)


def holders(s: Session, numbers: Iterable[str]) -> dict[str, NumberHolder]:
    """Return who has each of these numbers; those that nobody has are left out."""
    numbers_asked = list(numbers)
    holders: dict[str, NumberHolder] = {}
    for start in range(0, len(numbers_asked), 500):
        for row in s.execute(
            _holding().where(Number.number.in_(numbers_asked[start : start + 500]))
        ):
            holders[row.number] = NumberHolder(
                row.number,
                f"ring group {row.name}"
                if row.ring_group_id is not None
                else f"{row.first_name} {row.last_name} ({row.username})"
                + (", who left" if row.reserved_until is not None else ""),
                row.user_id,
                row.ring_group_id,
                row.reserved_until,
            )
    return holders


def of_user(s: Session, user_id: int) -> Number | None:
    """The user's number, kept or in use."""
    return s.execute(select(Number).where(Number.user_id == user_id)).scalar_one_or_none()


def is_free(s: Session, number: str, now: datetime, *, user_id: int | None = None) -> bool:
    """Return whether this user (or anyone) could take the number now."""
    current = holder(s, number)
    return current is None or _may_replace(current, now, user_id=user_id)


def give_user(
    s: Session, user_id: int, number: str, now: datetime, *, field: str = "extension"
) -> None:
    """Make this the user's only number. Raises InvalidValue, NumberTaken."""
    _claim(s, parse_extension(number, field=field), now, field, user_id=user_id)


def give_ring_group(s: Session, ring_group_id: int, number: str, now: datetime) -> None:
    """Make this the ring group's only number. Raises InvalidValue, NumberTaken."""
    field = "ring group number"
    plain = unicodedata.normalize("NFKC", number).strip()
    if not _PLAIN.match(plain):
        raise InvalidValue(
            f"“{plain[:40]}” is not a ring group number.", field=field, remedy="Use 2 to 10 digits."
        )
    _claim(s, plain, now, field, ring_group_id=ring_group_id)


def free_user(s: Session, user_id: int) -> None:
    """Give up the user's number, kept or in use."""
    s.execute(delete(Number).where(Number.user_id == user_id))


def take_back(s: Session, user_id: int) -> str | None:
    """Somebody came back: their number is theirs again. None when it is no longer there."""
    s.execute(update(Number).where(Number.user_id == user_id).values(reserved_until=None))
    row = of_user(s, user_id)
    return None if row is None else row.number


def reservations(s: Session) -> list[tuple[Number, User]]:
    """The numbers that are kept for leavers, the ones that free up first first."""
    rows = s.execute(
        select(Number, User)
        .join(User, User.id == Number.user_id)
        .where(Number.reserved_until.is_not(None))
        .order_by(Number.reserved_until, Number.number)
    )
    return [(row[0], row[1]) for row in rows]


def next_free(s: Session, first: str, last: str, now: datetime) -> str | None:
    """The lowest number from `first` to `last` that nobody has, or None when all are taken.

    Both ends have the same count of digits; leading zeros are kept. Costs one statement.
    """
    width, begin, end = len(first), int(first), int(last)
    statement = select(Number.number).where(
        func.length(Number.number) == width,
        Number.number >= first,
        Number.number <= last,
        or_(Number.reserved_until.is_(None), Number.reserved_until > now),
    )
    taken = set(s.execute(statement).scalars())
    for value in range(begin, end + 1):
        if (number := f"{value:0{width}d}") not in taken:
            return number
    return None


def parse_range(text: str) -> tuple[str, str]:
    """`600-699` as its two ends. Raises InvalidValue naming what is wrong with it."""
    remedy = "Write two numbers of equal length, the lower one first, such as 600-699."
    ends = re.fullmatch(r"\s*([0-9]{2,10})\s*[-–]\s*([0-9]{2,10})\s*", text)
    if not ends:
        raise InvalidValue(
            f"“{text[:40]}” is not a range.", field="ring_group_range", remedy=remedy
        )
    first, last = ends.groups()
    if len(first) != len(last) or first > last:
        raise InvalidValue(
            f"{first}-{last} is not a range that can be counted through.",
            field="ring_group_range",
            remedy=remedy,
        )
    return first, last


def _holding() -> Select[*tuple[Any, ...]]:
    return (
        select(
            Number.number,
            Number.user_id,
            Number.ring_group_id,
            Number.reserved_until,
            RingGroup.name,
            User.first_name,
            User.last_name,
            User.username,
        )
        .outerjoin(User, User.id == Number.user_id)
        .outerjoin(RingGroup, RingGroup.id == Number.ring_group_id)
    )


def _may_replace(
    current: NumberHolder,
    now: datetime,
    *,
    user_id: int | None = None,
    ring_group_id: int | None = None,
) -> bool:
    if user_id is not None and current.user_id == user_id:
        return True
    if ring_group_id is not None and current.ring_group_id == ring_group_id:
        return True
    return current.reserved_until is not None and current.reserved_until <= now


def _claim(
    s: Session,
    number: str,
    now: datetime,
    field: str,
    *,
    user_id: int | None = None,
    ring_group_id: int | None = None,
) -> None:
    """Give the number to this holder instead of the one they have, if it may be had."""
    current = holder(s, number)
    if current is not None:
        if not _may_replace(current, now, user_id=user_id, ring_group_id=ring_group_id):
            raise NumberTaken(number, current.words, field=field)
        s.execute(delete(Number).where(Number.number == number))
    mine = (
        Number.user_id == user_id if user_id is not None else Number.ring_group_id == ring_group_id
    )
    s.execute(delete(Number).where(mine))
    insert = postgresql.insert if s.get_bind().dialect.name == "postgresql" else sqlite.insert
    done = s.execute(
        insert(Number)
        .values(number=number, user_id=user_id, ring_group_id=ring_group_id)
        .on_conflict_do_nothing()
        .returning(Number.number)
    ).first()
    if done is None:  # PostgreSQL: another transaction took it since we looked
        taken = holder(s, number)
        raise NumberTaken(number, taken.words if taken else "somebody else", field=field)
