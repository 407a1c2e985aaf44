"""Workflow Tools > Active Directory > AD Departments: numbers, Import, Unimport, members."""

from __future__ import annotations

from flask import redirect, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session
from werkzeug.exceptions import NotFound

from authsvc.console import base
from authsvc.console.ad_departments import queries
from authsvc.console.runs import requests
from authsvc.i18n.translate import translate_sentence
from authsvc.web.session import require_current_user
from kerauno.accounts import departments as accounts_departments
from kerauno.base.errors import InvalidValue
from kerauno.tables.core import Directory

bp = base.blueprint("departments")
HERE = "/console/directory/departments"


@bp.get("/directory/departments")
def table() -> ResponseReturnValue:
    """Directory departments, imported or available."""
    text, state = request.args.get("q", "").strip(), request.args.get("state", "")
    with base.reading() as s:
        directory = base.directory_or_none(s)
        if directory is None:
            return base.page("people_unset.html", tab="departments")
        rows, counts = queries.rows(s, directory, text=text, state=state)
        return base.page(
            "_departments.html" if base.part_only() else "departments.html",
            rows=rows,
            counts=counts,
            text=text,
            state=state,
            offered=queries.offered_number(s, directory, base.now()),
            service=requests.service(s, directory.id, base.now()),
            directory=directory,
        )


@bp.get("/directory/departments/number")
def number() -> ResponseReturnValue:
    """Return what is to be said of a number while it is typed."""
    with base.reading() as s:
        check = queries.check_number(s, request.args.get("number", "")[:20], base.now())
    return base.page("_number.html", number_said=check)


@bp.get("/directory/departments/<guid>")
def details(guid: str) -> ResponseReturnValue:
    """One department: its place, its number, its members and what they are."""
    state = request.args.get("state", "")
    with base.reading() as s:
        directory, row = _found(s, guid)
        return base.page(
            "department.html",
            row=row,
            state=state,
            members=queries.members(
                s, directory, guid, state=state, cursor=request.args.get("after", "")
            ),
            effect=queries.import_effect(s, directory, guid),
            offered=queries.offered_number(s, directory, base.now()),
        )


@bp.get("/directory/departments/<guid>/import")
def before_import(guid: str) -> ResponseReturnValue:
    """Return what importing would do, said before it is done."""
    number = request.args.get("number", "").strip()[:20]
    with base.reading() as s:
        directory, row = _found(s, guid)
        if row.imported:
            return redirect(f"{HERE}/{guid}", 303)
        offered = queries.offered_number(s, directory, base.now())
        return base.page(
            "department_import.html",
            row=row,
            number=number or offered,
            number_said=queries.check_number(s, number or offered, base.now()),
            effect=queries.import_effect(s, directory, guid),
            offered=offered,
        )


@bp.post("/directory/departments/<guid>/import")
def import_(guid: str) -> ResponseReturnValue:
    """Ask for the import, with the number that was chosen."""
    number = request.form.get("number", "").strip()[:20]
    with base.writing() as s:
        directory, row = _found(s, guid)
        check = queries.check_number(s, number, base.now())
        if row.imported or not check.good:
            return redirect(f"{HERE}/{guid}/import?number={number}", 303)
        payload = {"guid": guid, "dn": row.dn, "number": number}
        request_id = requests.ask(
            s, directory, "import", payload, by=require_current_user().email, now=base.now()
        )
        base.note(s, "department-import", outcome="requested", guid=guid, detail={"number": number})
    return redirect(f"/console/runs/requests/{request_id}", 303)


@bp.get("/directory/departments/<guid>/unimport")
def before_unimport(guid: str) -> ResponseReturnValue:
    """Return what unimporting would do, said before it is done."""
    with base.reading() as s:
        _, row = _found(s, guid)
        if row.department_id is None:
            return redirect(f"{HERE}/{guid}", 303)
        effect = queries.unimport_effect(s, row.department_id)
        return base.page("department_unimport.html", row=row, effect=effect)


@bp.post("/directory/departments/<guid>/unimport")
def unimport(guid: str) -> ResponseReturnValue:
    """Ask for the unimport."""
    with base.writing() as s:
        directory, row = _found(s, guid)
        if not row.imported:
            return redirect(f"{HERE}/{guid}", 303)
        payload = {"guid": guid, "dn": row.dn}
        request_id = requests.ask(
            s, directory, "unimport", payload, by=require_current_user().email, now=base.now()
        )
        base.note(s, "department-unimport", outcome="requested", guid=guid)
    return redirect(f"/console/runs/requests/{request_id}", 303)


@bp.post("/directory/departments/<guid>/number")
def set_number(guid: str) -> ResponseReturnValue:
    """Give the ring group of an imported department another number, at once."""
    number = request.form.get("number", "").strip()[:20]
    try:
        with base.writing() as s:
            _, row = _found(s, guid)
            if row.department_id is None:
                raise NotFound
            accounts_departments.set_number(s, row.department_id, number, base.now())
            detail = {"before": row.number, "after": number}
            base.note(s, "department-number", outcome="ok", guid=guid, detail=detail)
    except InvalidValue as refused:
        with base.reading() as s:
            directory, row = _found(s, guid)
            return base.page(
                "department.html",
                422,
                row=row,
                state="",
                members=queries.members(s, directory, guid),
                effect=queries.import_effect(s, directory, guid),
                offered=queries.offered_number(s, directory, base.now()),
                refused=translate_sentence(str(refused), refused.remedy),
                number=number,
            )
    return redirect(f"{HERE}/{guid}", 303)


def _found(s: Session, guid: str) -> tuple[Directory, queries.DepartmentRow]:
    directory = base.directory_or_none(s)
    row = queries.one(s, directory, guid) if directory else None
    if directory is None or row is None:
        raise NotFound
    return directory, row
