"""Labels that tell departments apart where only a name can be given: headers, claims, lists.

A label is the department's name as it may be shown (`kerauno.base.visible_text`). No two
departments have labels that a person could take for one: who comes second has the beginning of its
GUID behind the name, `Sales [3f2504e0]`. A label changes with the department's own name alone, so
that no app's rule for a name comes to mean another department because the first was renamed or
removed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

from sqlalchemy import select
from sqlalchemy.orm import Session

from kerauno.base.errors import InvalidValue, NotFound
from kerauno.base.lookup_keys import label_key
from kerauno.base.visible_text import folded, visible
from kerauno.tables.core import Department


class Labels:
    """Gives labels that no other department has."""

    def __init__(self, taken: set[str]) -> None:
        self._taken = taken

    @classmethod
    def of(cls, s: Session, but: int | None = None) -> Labels:
        """Of the departments that there are, without one that is to have another name."""
        rows = s.execute(select(Department.id, Department.label_key))
        return cls({taken for id, taken in rows if id != but})

    def give(self, name: str, guid: str | None) -> tuple[str, str]:
        """Return a label for a department of this name, and the label's key."""
        for label in _candidates(visible(name), guid or ""):
            made = label_key(label)
            if made not in self._taken:
                self._taken.add(made)
                return label, made
        raise AssertionError("there is always another number")


def _candidates(shown: str, guid: str) -> Iterator[str]:
    yield shown
    if guid:
        yield f"{shown} [{guid[:8]}]"
        yield f"{shown} [{guid}]"
    for number in count(2):
        yield f"{shown} [{guid or 'no GUID'}, {number}]"


def chosen(s: Session, which: str) -> Department:
    """Return the department that is meant by a GUID, or by a name that could mean no other.

    Raises NotFound; InvalidValue that lists the departments that the name could mean.
    """
    departments = s.scalars(select(Department).order_by(Department.id)).all()
    guid = which.strip().strip("{}").lower()
    same = [row for row in departments if row.guid == guid]
    alike = same or _alike(departments, which)
    if not alike:
        raise NotFound(f"There is no department {which}.")
    if len(alike) == 1 and (same or alike[0].label_key == label_key(which)):
        return alike[0]
    choice = (f"{row.label}: {row.guid or '–'} ({visible(row.dn)})" for row in alike)
    raise InvalidValue(
        f"The name {which} does not say for certain which department is meant.",
        field="department",
        remedy=f"Give the GUID of the one that you mean: {', '.join(choice)}.",
    )


def _alike(departments: Sequence[Department], which: str) -> list[Department]:
    """Return the departments whose name or label a person could take for this one."""
    name, label = folded(which), label_key(which)
    return [row for row in departments if row.label_key == label or folded(row.name) == name]
