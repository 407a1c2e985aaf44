"""A department manager's own departments, read only; an administrator sees all of them."""

from __future__ import annotations

from flask import Flask, render_template
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.exceptions import NotFound

from authsvc.i18n.translate import N_
from authsvc.services import current_services
from authsvc.web.layout import NavGroup, NavItem, add_navigation
from authsvc.web.request_bounds import refuse_impossible
from authsvc.web.session import ADMIN, MANAGER, require_current_user, require_role
from kerauno.accounts import departments
from kerauno.tables.core import Membership


def setup_departments(app: Flask) -> None:
    """Register the pages, and their entry for managers."""
    app.add_url_rule("/departments", "own_departments", own)
    app.add_url_rule("/departments/<int:department_id>", "own_department", one)
    entry = NavItem(N_("My departments"), "/departments", "department", frozenset({MANAGER}))
    add_navigation(app, NavGroup("", (entry,)))


@require_role(MANAGER, ADMIN)
def own() -> ResponseReturnValue:
    """The departments that the manager is in, with their ring groups' numbers."""
    with current_services().database.read() as s:
        mine = _mine(s)
        rows = [row for row in departments.listing(s) if mine is None or row.id in mine]
    return render_template("departments.html", rows=rows)


@require_role(MANAGER, ADMIN)
def one(department_id: int) -> ResponseReturnValue:
    """The members of one of them. A department that is not the manager's does not exist."""
    refuse_impossible()
    with current_services().database.read() as s:
        mine = _mine(s)
        if mine is not None and department_id not in mine:
            raise NotFound
        row = departments.listed(s, department_id)
        members = departments.members(s, department_id)
    return render_template("department.html", row=row, members=members)


def _mine(s: Session) -> set[int] | None:
    """The ids of the departments that the person may see; None means all."""
    person = require_current_user()
    if person.role == ADMIN:
        return None
    query = select(Membership.department_id).where(Membership.user_id == person.user_id)
    return set(s.scalars(query))
