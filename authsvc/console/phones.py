"""Users & Devices > Phone access: the addresses under which desk phones read the phone book."""

from __future__ import annotations

from flask import redirect, request
from flask.typing import ResponseReturnValue

from authsvc.console import site
from authsvc.phonebook import PHONES
from authsvc.services import services
from authsvc.sessions import me
from authsvc.texts import retold
from kerauno import phones
from kerauno.errors import InvalidValue

bp = site.blueprint("phones")
MAKES = {"yealink": "Yealink", "grandstream": "Grandstream", "cisco": "Cisco"}


@bp.get("/phones")
def table() -> ResponseReturnValue:
    """Every access, and the form for a new one."""
    return _page()


@bp.post("/phones")
def add() -> ResponseReturnValue:
    """Make an access; its address is shown this once."""
    name, kind = request.form.get("name", "").strip()[:500], request.form.get("kind", "")
    try:
        with site.writing() as s:
            made, token = phones.add(s, name, kind, by=me().email, now=site.now())
            detail = {"name": made.name, "kind": made.kind}
            site.note(s, "phone-access-added", outcome="ok", detail=detail)
    except InvalidValue as refused:
        return _page(422, error=retold(str(refused), refused.remedy), name=name, kind=kind)
    base = services().settings.public_url.rstrip("/")
    folder = f"{base}{PHONES}/{token}"
    # A Grandstream phone is given the folder and asks for phonebook.xml itself.
    address = folder if kind == "grandstream" else f"{folder}/phonebook.xml"
    return _page(made=made, address=address)


@bp.post("/phones/<int:access_id>/remove")
def remove(access_id: int) -> ResponseReturnValue:
    """Withdraw an access."""
    with site.writing() as s:
        gone = phones.remove(s, access_id)
        site.note(s, "phone-access-removed", outcome="ok", detail={"name": gone.name})
    return redirect("/console/phones?removed=1", 303)


def _page(status: int = 200, **values: object) -> ResponseReturnValue:
    with site.reading() as s:
        rows = phones.listing(s)
    return site.page("phones.html", status, rows=rows, makes=MAKES, **values)
