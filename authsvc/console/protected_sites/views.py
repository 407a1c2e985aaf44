"""Security > Protected sites: what stands behind a reverse proxy, and who may enter it."""

from __future__ import annotations

from flask import redirect, request
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from authsvc.console import base
from authsvc.i18n.translate import translate_sentence
from kerauno.base.errors import InvalidValue, NotFound
from kerauno.signin import protected_sites
from kerauno.tables.core import Department

bp = base.blueprint("hosts")


@bp.get("/hosts")
def table() -> ResponseReturnValue:
    """Every site, and the form for another."""
    return _page()


@bp.post("/hosts")
def save() -> ResponseReturnValue:
    """Protect a site, or say again who may enter it."""
    host = request.form.get("host", "")[:300]
    chosen = request.form.getlist("departments")
    try:
        with base.writing() as s:
            row = protected_sites.put(s, host, chosen, base.now())
            detail = {"host": row.host, "departments": protected_sites.labels_of(s, row)}
            base.note(s, "protected-host", outcome="saved", detail=detail)
    except (InvalidValue, NotFound) as refused:
        remedy = refused.remedy if isinstance(refused, InvalidValue) else ""
        return _page(422, error=translate_sentence(str(refused), remedy), host=host, chosen=chosen)
    return redirect("/console/hosts?saved=1", 303)


@bp.post("/hosts/remove")
def remove() -> ResponseReturnValue:
    """Protect a site no longer: nobody is let in to it."""
    host = request.form.get("host", "")
    with base.writing() as s:
        protected_sites.remove(s, host)
        base.note(s, "protected-host", outcome="removed", detail={"host": host})
    return redirect("/console/hosts?removed=1", 303)


def _page(status: int = 200, **values: object) -> ResponseReturnValue:
    with base.reading() as s:
        rows = protected_sites.everything(s)
        departments = s.execute(
            select(Department.guid, Department.label).order_by(Department.label)
        ).all()
    return base.page("hosts.html", status, rows=rows, departments=departments, **values)
