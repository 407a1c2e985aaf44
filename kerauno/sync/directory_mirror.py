"""The mirror: what the directory was last seen to hold, for the console to page and search.

The sync service writes it. Paging is by where the last page ended, so that page 2,000 costs what
page 1 costs; searching 100,000 people stays well below what a person notices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    and_,
    exists,
    func,
    literal_column,
    select,
    tuple_,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.orm import Session

from kerauno.base.lookup_keys import search_words
from kerauno.tables.core import (
    EXTENSION_ORDER,
    LOGIN_ORDER,
    SeenDepartment,
    SeenMember,
    SeenPerson,
)

STATES = ("synced", "ready", "conflict", "left", "leaving", "held-out")
"""What `SeenPerson.state` says: linked; could be synced; could not, and why; had a user, and is
disabled or expired since; would be deactivated by a run that is held; not to be synced."""

SORTS: Mapping[str, ColumnElement[str]] = {
    "name": cast(ColumnElement[str], SeenPerson.sort_key),
    "login": literal_column(LOGIN_ORDER, String),
    "extension": literal_column(EXTENSION_ORDER, String),
}
"""By what people can be sorted; each has an index."""

_FEW = 2000  # matches up to which sorting them all is cheaper than walking the sorted index


@dataclass(frozen=True, slots=True)
class Filter:
    """Which people: every word of `search` occurs in what is searched; None does not narrow."""

    search: str = ""
    state: str | None = None
    conflict: str | None = None  # a conflict code
    department: str | None = None  # GUID of a directory department


@dataclass(frozen=True, slots=True)
class Place:
    """The end of a page: the sort value and GUID of its last (or first) row."""

    value: str
    guid: str


@dataclass(frozen=True, slots=True)
class Page:
    """Some people in order, and where the pages around begin (None: there is none).

    `counts` are of all people that match search, conflict and department, by state.
    """

    people: tuple[SeenPerson, ...]
    before: Place | None
    after: Place | None
    counts: Mapping[str, int]


def page(
    s: Session,
    directory_id: int,
    filter_: Filter,
    *,
    sort: str = "name",
    descending: bool = False,
    limit: int = 50,
    after: Place | None = None,
    before: Place | None = None,
) -> Page:
    """One page of people, after or before a place (of a page with the same sort and filter)."""
    by_state = counts(s, directory_id, filter_)
    matching = by_state.get(filter_.state, 0) if filter_.state else sum(by_state.values())
    if not matching:
        return Page((), None, None, by_state)
    column = SORTS[sort]
    backwards = before is not None
    falling = descending is not backwards
    statement = _people(directory_id, filter_, column, few=matching <= _FEW)
    if (place := before or after) is not None:
        row, edge = tuple_(column, SeenPerson.guid), tuple_(place.value, place.guid)
        statement = statement.where(row < edge if falling else row > edge)
    order = (column.desc(), SeenPerson.guid.desc()) if falling else (column, SeenPerson.guid)
    rows = list(s.execute(statement.order_by(*order).limit(limit + 1)))
    more, rows = len(rows) > limit, rows[:limit]
    if not rows:
        return Page((), None, None, by_state)
    if backwards:
        rows.reverse()
    first, last = (Place(row[1], row[0].guid) for row in (rows[0], rows[-1]))
    return Page(
        tuple(row[0] for row in rows),
        first if (more if backwards else after is not None) else None,
        last if backwards or more else None,
        by_state,
    )


def counts(s: Session, directory_id: int, filter_: Filter) -> dict[str, int]:
    """How many people match, by state; the filter's own state does not narrow this."""
    statement = (
        select(SeenPerson.state, func.count())
        .where(*_conditions(directory_id, filter_))
        .group_by(SeenPerson.state)
    )
    return {state: count for state, count in s.execute(statement)}  # noqa: C416 - Row is no pair


def conflict_counts(s: Session, directory_id: int) -> dict[str, int]:
    """How many people have a conflict of each code."""
    counts_by_code: dict[str, int] = {}
    for conflicts in s.execute(
        select(SeenPerson.conflicts).where(
            SeenPerson.directory_id == directory_id, SeenPerson.state == "conflict"
        )
    ).scalars():
        for code in {conflict["code"] for conflict in conflicts}:
            counts_by_code[code] = counts_by_code.get(code, 0) + 1
    return counts_by_code


def departments_of(
    s: Session, directory_id: int, guid: str
) -> list[tuple[SeenDepartment, list[str]]]:
    """The directory departments that the person is in, by name, each with the path to them."""
    rows = s.execute(
        select(SeenDepartment, SeenMember.via)
        .join(
            SeenMember,
            and_(
                SeenMember.directory_id == SeenDepartment.directory_id,
                SeenMember.department_guid == SeenDepartment.guid,
            ),
        )
        .where(SeenMember.directory_id == directory_id, SeenMember.person_guid == guid)
        .order_by(SeenDepartment.name, SeenDepartment.guid)
    )
    return [(row[0], list(row[1])) for row in rows]


def _people(
    directory_id: int, filter_: Filter, column: ColumnElement[str], *, few: bool
) -> Select[SeenPerson, str]:
    """People with their sort value. A few matches are found first, and then looked up."""
    conditions = _conditions(directory_id, filter_)
    if filter_.state:
        conditions.append(SeenPerson.state == filter_.state)
    statement = select(SeenPerson, column.label("place"))
    if not (few and filter_.search):
        return statement.where(*conditions)
    matches = select(SeenPerson.guid).where(*conditions).cte("found").prefix_with("MATERIALIZED")
    return statement.where(
        SeenPerson.directory_id == directory_id, SeenPerson.guid.in_(select(matches.c.guid))
    )


def _conditions(directory_id: int, filter_: Filter) -> list[ColumnElement[bool]]:
    conditions = [SeenPerson.directory_id == directory_id]
    for word in search_words(filter_.search):
        conditions.append(SeenPerson.search_text.contains(word, autoescape=True))
    if filter_.conflict:
        conditions.append(SeenPerson.state == "conflict")
        text = sql_cast(SeenPerson.conflicts, String)
        conditions.append(text.contains(f'"code": "{filter_.conflict}"', autoescape=True))
    if filter_.department:
        conditions.append(
            exists().where(
                SeenMember.directory_id == SeenPerson.directory_id,
                SeenMember.person_guid == SeenPerson.guid,
                SeenMember.department_guid == filter_.department,
            )
        )
    return conditions
