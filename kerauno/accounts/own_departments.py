"""Departments of one person, as their own pages show them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from kerauno.tables.core import Department, Membership, Number, RingGroup


@dataclass(frozen=True, slots=True)
class OwnDepartment:
    """A department somebody is in, with its ring group's number."""

    name: str
    number: str | None


def departments_of(s: Session, user_id: int) -> list[OwnDepartment]:
    """The departments of one person, by name."""
    rows = s.execute(
        select(Department.label, Number.number)
        .join(Membership, Membership.department_id == Department.id)
        .outerjoin(RingGroup, RingGroup.department_id == Department.id)
        .outerjoin(Number, Number.ring_group_id == RingGroup.id)
        .where(Membership.user_id == user_id)
        .order_by(Department.label)
    )
    return [OwnDepartment(name, number) for name, number in rows]
