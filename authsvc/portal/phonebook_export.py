"""The phone book beside its page: as vCard and CSV for people, as XML for desk phones.

A desk phone cannot sign in. It reads the phone book under an address that holds a token of its
own, which an administrator makes and may withdraw; as a password of HTTP Basic it is taken, too.
"""

from __future__ import annotations

from flask import Flask, Response, request
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import NotFound, Unauthorized

from authsvc.i18n.translate import PRODUCT
from authsvc.portal import phonebook_formats
from authsvc.portal.phonebook_formats import PhonebookEntry
from authsvc.services import current_services
from authsvc.web import authorization_header
from authsvc.web.request_bounds import refuse_impossible
from authsvc.web.session import require_user
from kerauno.accounts import phones
from kerauno.accounts import queries as accounts

PHONES = "/phonebook/phones"


def setup_phonebook(app: Flask) -> None:
    """Register the downloads and the phones' addresses."""
    app.add_url_rule("/phonebook.csv", "phonebook_csv", as_csv)
    app.add_url_rule("/phonebook.vcf", "phonebook_vcards", as_vcards)
    app.add_url_rule("/phonebook/user-<int:user_id>.vcf", "phonebook_card", card)
    app.add_url_rule(f"{PHONES}/directory.xml", "phonebook_phone_basic", for_phone)
    app.add_url_rule(f"{PHONES}/<token>/phonebook.xml", "phonebook_phone", for_phone)


@require_user
def as_csv() -> ResponseReturnValue:
    """Return what the search finds, as a table for spreadsheets."""
    return _download(phonebook_formats.as_csv(_found()), "text/csv; charset=utf-8", "phonebook.csv")


@require_user
def as_vcards() -> ResponseReturnValue:
    """Return what the search finds, for address books."""
    cards = phonebook_formats.as_vcards(_found())
    return _download(cards, "text/vcard; charset=utf-8", "phonebook.vcf")


@require_user
def card(user_id: int) -> ResponseReturnValue:
    """One person's card. Whoever is not in the phone book has none."""
    refuse_impossible()
    with current_services().database.read() as s:
        line = accounts.user(s, user_id)
    if line is None or not line.active or line.blocked or not line.extension or line.reserved_until:
        raise NotFound
    entry = PhonebookEntry(
        f"user-{line.id}",
        f"{line.first_name} {line.last_name}",
        line.extension,
        line.first_name,
        line.last_name,
        line.email,
        line.departments,
    )
    name = f"{line.username if line.username.isascii() else 'card'}.vcf".replace('"', "")
    return _download(phonebook_formats.as_vcards([entry]), "text/vcard; charset=utf-8", name)


def for_phone(token: str = "") -> ResponseReturnValue:
    """The whole phone book in the XML of the phone's make, under the token of its access."""
    given = (
        token
        or (authorization_header.basic(request.headers.get("Authorization", "")) or ("", ""))[1]
    )
    services = current_services()
    with services.database.read() as s:
        access = phones.by_token(s, given) if given else None
        if access is None:
            # A wrong address is not there; without one, phones that can ask for a password do.
            if token:
                raise NotFound
            challenge = WWWAuthenticate("basic", {"realm": PRODUCT})
            raise Unauthorized(www_authenticate=challenge)
        entries = [_entry(entry) for entry in accounts.phonebook(s)]
    now = services.now()
    if access.used_at is None or now - access.used_at >= phones.NOTED_EVERY:
        with services.database.write() as s:
            phones.note_use(s, access.id, request.remote_addr or "", now)
    return Response(_xml(access.kind, entries, token), content_type="text/xml; charset=utf-8")


def _xml(kind: str, entries: list[PhonebookEntry], token: str) -> bytes:
    if kind == "yealink":
        return phonebook_formats.as_yealink(entries, PRODUCT)
    if kind == "grandstream":
        return phonebook_formats.as_grandstream(entries)
    text = request.args.get("start", "0")
    start = min(int(text), len(entries)) if text.isdecimal() and len(text) < 8 else 0
    place = f"{token}/phonebook.xml" if token else "directory.xml"
    base = current_services().settings.public_url.rstrip("/")
    following = f"{base}{PHONES}/{place}?start={start + phonebook_formats.CISCO_PAGE}"
    return phonebook_formats.as_cisco(entries, PRODUCT, start, following)


def _found() -> list[PhonebookEntry]:
    query = request.args.get("q", "").replace("\0", "").strip()[:100]
    with current_services().database.read() as s:
        return [_entry(entry) for entry in accounts.phonebook(s, query)]


def _entry(entry: accounts.DirectoryEntry) -> PhonebookEntry:
    group = entry.user_id is None
    return PhonebookEntry(
        key=f"department-{entry.department_id}" if group else f"user-{entry.user_id}",
        name=entry.name,
        number=entry.number,
        first_name=entry.first_name,
        last_name=entry.last_name,
        email=entry.email,
        departments=entry.departments,
        group=group,
    )


def _download(body: str, content_type: str, name: str) -> Response:
    response = Response(body.encode("utf-8", "replace"), content_type=content_type)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
