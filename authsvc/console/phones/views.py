"""Users & Devices > Phone access: the addresses under which desk phones read the phone book."""

from __future__ import annotations

from flask import redirect, request
from flask.typing import ResponseReturnValue

from authsvc.console import base as console_base
from authsvc.i18n.translate import translate_sentence
from authsvc.portal.phonebook_export import PHONES
from authsvc.services import current_services
from authsvc.web.session import require_current_user
from kerauno.accounts import phones
from kerauno.base.errors import InvalidValue

bp = console_base.blueprint("phones")
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
        with console_base.writing() as s:
            made, token = phones.add(
                s, name, kind, by=require_current_user().email, now=console_base.now()
            )
            detail = {"name": made.name, "kind": made.kind}
            console_base.note(s, "phone-access-added", outcome="ok", detail=detail)
    except InvalidValue as refused:
        return _page(
            422, error=translate_sentence(str(refused), refused.remedy), name=name, kind=kind
        )
    base = current_services().settings.public_url.rstrip("/")
    folder = f"{base}{PHONES}/{token}"
    # A Grandstream phone is given the folder and asks for phonebook.xml itself.
    address = folder if kind == "grandstream" else f"{folder}/phonebook.xml"
    return _page(made=made, address=address)


@bp.post("/phones/<int:access_id>/remove")
def remove(access_id: int) -> ResponseReturnValue:
    """Withdraw an access."""
    with console_base.writing() as s:
        gone = phones.remove(s, access_id)
        console_base.note(s, "phone-access-removed", outcome="ok", detail={"name": gone.name})
    return redirect("/console/phones?removed=1", 303)


def _page(status: int = 200, **values: object) -> ResponseReturnValue:
    with console_base.reading() as s:
        rows = phones.listing(s)
    return console_base.page("phones.html", status, rows=rows, makes=MAKES, **values)
