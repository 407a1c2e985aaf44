"""Requests to the demo directory: searches, binds and changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from demo import ber, company, names, protocol
from demo.changes import Changes
from demo.domain import SERVER_NAME, SETTINGS_DN, Domain
from demo.filters import Filters
from demo.protocol import (
    NO_SUCH_ATTRIBUTE,
    OPERATIONS_ERROR,
    PROTOCOL_ERROR,
    SIZE_LIMIT,
    STRONG_AUTH_UNSUPPORTED,
    UNAVAILABLE_CRITICAL_EXTENSION,
    Failure,
    Request,
    Search,
)
from demo.store import Entry
from demo.view import View, time_text

MAX_PAGE = 1000  # MaxPageSize: how many entries AD gives at once
_CONFIGURATION = f"CN=Configuration,{company.BASE}"
_UNBOUND = (
    "000004DC: LdapErr: DSID-0C090A5C, comment: In order to perform this operation a successful "
    "bind must be completed on the connection., data 0, v4563"
)


@dataclass(slots=True)
class Session:
    """One connection: who is bound, whether it is encrypted, and its open paged searches."""

    encrypted: bool = False
    bound: Entry | None = None
    pages: dict[bytes, list[Entry]] = field(default_factory=dict)


class Operations:
    """Answers requests. Not thread-safe: the server calls it under a lock."""

    def __init__(self, domain: Domain) -> None:
        self._tree = domain.tree
        self._accounts = domain.accounts
        self._view = View(domain.tree)
        self._filters = Filters(domain.tree, self._view)
        self._changes = Changes(domain)
        self._cookies = 0

    def answer(self, session: Session, request: Request) -> Iterator[bytes]:
        """The responses to one request, in order. Never raises `Failure`."""
        operation, number = request.operation, request.message_id
        try:
            if unknown := request.critical - set(protocol.CONTROLS):
                raise Failure(UNAVAILABLE_CRITICAL_EXTENSION, f"00000057: {sorted(unknown)}")
            if operation == protocol.SEARCH:
                yield from self._search(session, request)
                return
            code = protocol.SUCCESS
            extra: tuple[bytes, ...] = ()
            if operation == protocol.BIND:
                self._bind(session, request)
            elif operation == protocol.COMPARE:
                code = self._compare(session, request)
            elif operation == protocol.EXTENDED:
                extra = self._extended(session, request)
            else:
                self._changes.apply(session.bound, session.encrypted, request)
            yield protocol.result(number, operation, code, extra=extra)
        except Failure as failure:
            yield protocol.result(
                number, operation, failure.code, failure.message, matched=failure.matched
            )

    def _bind(self, session: Session, request: Request) -> None:
        session.bound = None
        parts = request.parts()
        kind, secret = parts[2]
        if kind != 0x80:
            raise Failure(STRONG_AUTH_UNSUPPORTED, "this directory takes simple binds only")
        session.bound = self._accounts.bind(
            parts[1][1].decode(errors="replace"), secret.decode(errors="replace")
        )

    def _compare(self, session: Session, request: Request) -> int:
        self._must_be_bound(session)
        (_, dn), (_, assertion) = request.parts()
        (_, attribute), (_, value) = ber.children(assertion)
        entry = self._tree.resolve(dn.decode())
        if not self._view.values(entry, attribute.decode()):
            raise Failure(NO_SUCH_ATTRIBUTE, "00002080: AtrErr: DSID-03080155")
        same = self._filters.equal(attribute.decode(), value)(entry)
        return protocol.COMPARE_TRUE if same else protocol.COMPARE_FALSE

    def _extended(self, session: Session, request: Request) -> tuple[bytes, ...]:
        oid = request.parts()[0][1].decode()
        if oid != protocol.WHO_AM_I:
            raise Failure(PROTOCOL_ERROR, "0000203D: LdapErr: unknown extended request")
        account = session.bound.first("sAMAccountName") if session.bound else ""
        name = f"u:{company.NETBIOS}\\{account}" if account else ""
        return (ber.octets(name, 0x8B),)

    @staticmethod
    def _must_be_bound(session: Session) -> None:
        if session.bound is None:
            raise Failure(OPERATIONS_ERROR, _UNBOUND)

    # -- searching ----------------------------------------------------------------------------

    def _search(self, session: Session, request: Request) -> Iterator[bytes]:
        search = protocol.read_search(request)
        if not search.base and search.scope == 0:
            yield protocol.entry(request.message_id, "", self._root(search.attributes))
            yield protocol.result(request.message_id, request.operation)
            return
        self._must_be_bound(session)
        hits, controls, code = self._page(session, request, search)
        form = None
        if (value := request.controls.get(protocol.EXTENDED_DN)) is not None:
            form = ber.number(ber.children(ber.children(value)[0][1])[0][1]) if value else 0
        for one in hits:
            dn = one.dn
            if form is not None:
                dn = self._view.extended(dn.encode(), form).decode()
            shown = self._view.shown(one, search.attributes, form)
            if search.types_only:
                shown = ((name, []) for name, _ in shown)
            yield protocol.entry(request.message_id, dn, shown)
        message = "00002077: LdapErr: DSID-0C090A7D, size limit exceeded" if code else ""
        yield protocol.result(
            request.message_id, request.operation, code, message, controls=controls
        )

    def _page(
        self, session: Session, request: Request, search: Search
    ) -> tuple[list[Entry], tuple[bytes, ...], int]:
        """The entries to send, the controls to send with the result, and its code."""
        paging = request.controls.get(protocol.PAGED)
        if paging is None:
            hits = self._hits(session, request, search)
            limit = min(search.size_limit or MAX_PAGE, MAX_PAGE)
            return hits[:limit], (), SIZE_LIMIT if len(hits) > limit else protocol.SUCCESS
        (_, wanted), (_, cookie) = ber.children(ber.children(paging)[0][1])
        if cookie:
            if cookie not in session.pages:
                raise Failure(UNAVAILABLE_CRITICAL_EXTENSION, "00000057: unknown cookie")
            rest = session.pages.pop(cookie)
        else:
            rest = self._hits(session, request, search)
        size = min(ber.number(wanted) or MAX_PAGE, MAX_PAGE)
        page, rest = rest[:size], rest[size:]
        following = b""
        if rest:
            self._cookies += 1
            following = f"page-{self._cookies}".encode()
            session.pages[following] = rest
        return page, (protocol.paged_control(following),), protocol.SUCCESS

    def _hits(self, session: Session, request: Request, search: Search) -> list[Entry]:
        test = self._filters.compile(search.filter)
        base = self._tree.resolve(search.base)
        # Only administrators may look into Deleted Objects, as in a real AD.
        deleted = protocol.SHOW_DELETED in request.controls
        deleted = deleted and self._accounts.is_administrator(session.bound)
        return [
            one
            for one in self._tree.under(base, search.scope)
            if (deleted or not one.deleted) and test(one)
        ]

    def _root(self, wanted: list[str]) -> Iterator[tuple[str, list[bytes]]]:
        """The root DSE (MS-ADTS 3.1.1.3.2)."""
        asked = {one.lower() for one in wanted}
        level = self._tree.find(self._tree.base).first("msDS-Behavior-Version")
        everything: dict[str, tuple[str, ...]] = {
            "objectClass": ("top",),
            "currentTime": (time_text(datetime.now(UTC)).decode(),),
            "defaultNamingContext": (company.BASE,),
            "rootDomainNamingContext": (company.BASE,),
            "configurationNamingContext": (_CONFIGURATION,),
            "schemaNamingContext": (f"CN=Schema,{_CONFIGURATION}",),
            "namingContexts": (company.BASE, _CONFIGURATION),
            "dsServiceName": (SETTINGS_DN,),
            "serverName": (names.text_of(names.parse(SETTINGS_DN)[1:]),),
            "dnsHostName": (SERVER_NAME,),
            "ldapServiceName": (f"{company.DNS_DOMAIN}:dc1$@{company.DNS_DOMAIN.upper()}",),
            "highestCommittedUSN": (str(self._tree.usn),),
            "domainFunctionality": (level,),
            "forestFunctionality": (level,),
            "domainControllerFunctionality": (level,),
            "isGlobalCatalogReady": ("TRUE",),
            "isSynchronized": ("TRUE",),
            "supportedLDAPVersion": ("3",),
            "supportedControl": protocol.CONTROLS,
            "supportedExtension": (protocol.START_TLS, protocol.WHO_AM_I),
            "supportedCapabilities": (
                "1.2.840.113556.1.4.800",  # Active Directory
                "1.2.840.113556.1.4.1670",  # Windows Server 2003 and later
                "1.2.840.113556.1.4.1935",  # Windows Server 2008 and later
                "1.2.840.113556.1.4.2080",  # Windows Server 2008 R2 and later
            ),
        }
        for name, values in everything.items():
            if not asked or asked & {"*", "+", name.lower()}:
                yield name, [value.encode() for value in values]
