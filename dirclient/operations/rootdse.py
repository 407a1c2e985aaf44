"""The root DSE: what a server says about itself, and how far its changes have gone."""

from __future__ import annotations

import uuid
import weakref
from dataclasses import dataclass
from datetime import UTC, datetime

from dirclient.connection import result_codes
from dirclient.connection.ldap_connection import Connection, Entry
from dirclient.connection.outages import Declined
from dirclient.mapping.person_mapping import generalized_time
from dirclient.model.directory_objects import Cursor
from dirclient.wire import dn_syntax
from dirclient.wire.filters import EVERYTHING

_ATTRIBUTES = (
    "defaultNamingContext",
    "namingContexts",
    "dsServiceName",
    "highestCommittedUSN",
    "currentTime",
    "domainFunctionality",
    "supportedControl",
    "supportedSASLMechanisms",
    "vendorName",
    "supportedCapabilities",
)

_PARTIAL_SECRETS = "1.2.840.113556.1.4.1920"
"""The capability of a read-only domain controller (MS-ADTS 3.1.1.3.4.3)."""


@dataclass(frozen=True, slots=True)
class RootDse:
    """One look at a server (MS-ADTS 3.1.1.3.2; RFC 4512 5.1).

    `server_id` and `usn` are meant as in `Cursor`; `csn` is OpenLDAP's contextCSN, empty where
    there is none; `offset` is the directory's clock minus ours in seconds, None where it does not
    tell; `level` the domain's functional level, -1 where there is none. `samba` tells Samba's DCs
    from Windows', which limit an answer to a page (MaxPageSize) where Samba does not. `read_only`
    DCs only have what others wrote.
    """

    server_id: str
    usn: int
    csn: bytes
    offset: float | None
    level: int
    domain: str
    contexts: tuple[str, ...]
    controls: frozenset[str]
    samba: bool
    read_only: bool

    @property
    def trackable(self) -> bool:
        """Return whether the server counts its changes."""
        return self.usn > 0 or bool(self.csn)

    @property
    def cursor(self) -> Cursor:
        """Return where this server's changes stood."""
        return Cursor(self.server_id, self.usn, self.csn)

    def cursor_at(self, now: datetime) -> Cursor:
        """The cursor; for a server that does not count, `usn` is the time in seconds instead."""
        return self.cursor if self.trackable else Cursor(self.server_id, int(now.timestamp()))

    def context_of(self, dn: str) -> str:
        """The naming context that a DN lies in; the domain when it lies in none."""
        key = dn_syntax.key(dn)
        fitting = [
            context for context in self.contexts if dn_syntax.is_under(key, dn_syntax.key(context))
        ]
        return max(fitting, key=len, default=self.domain)


class Roots:
    """Looks at root DSEs. A DC's invocationId is read once for each connection.

    A restored DC gets a new one, but never within a connection: restoring takes a restart.
    """

    def __init__(self) -> None:
        self._ids: weakref.WeakKeyDictionary[Connection, str] = weakref.WeakKeyDictionary()
        self._suffixes: weakref.WeakKeyDictionary[Connection, str] = weakref.WeakKeyDictionary()

    def read_cursor(self, connection: Connection) -> Cursor:
        """How far the server's changes are now: one base read on a connection looked at before."""
        suffix = self._suffixes.get(connection)
        if suffix is not None:
            return Cursor(connection.server, 0, _context_csn(connection, suffix))
        if connection not in self._ids:
            return self.look(connection).cursor
        usn = _root(connection, ("highestCommittedUSN",)).integer("highestCommittedUSN")
        return Cursor(self._ids[connection], usn)

    def look(self, connection: Connection) -> RootDse:
        """One base read; on a connection's first look one more (AD) or always one more (csn).

        Raises `Unavailable`, also where the server does not answer as a directory.
        """
        asked_at = datetime.now(UTC)
        entry = _root(connection, _ATTRIBUTES)
        answered = datetime.now(UTC)
        contexts = tuple(entry.texts("namingContexts"))
        domain = entry.text("defaultNamingContext") or _first_domain(contexts)
        service = entry.text("dsServiceName")
        if not service:
            self._suffixes[connection] = domain
        offset = _offset(entry, asked_at, answered)
        return RootDse(
            server_id=self._server_id(connection, service),
            usn=entry.integer("highestCommittedUSN"),
            csn=b"" if service else _context_csn(connection, domain),
            offset=offset,
            level=entry.integer("domainFunctionality", -1),
            domain=domain,
            contexts=contexts,
            controls=frozenset(entry.texts("supportedControl")),
            samba=(entry.text("vendorName") or "").startswith("Samba"),
            read_only=_PARTIAL_SECRETS in entry.texts("supportedCapabilities"),
        )

    def _server_id(self, connection: Connection, service: str | None) -> str:
        """AD's invocationId (MS-ADTS 3.1.1.1.9), else the server's address."""
        if not service:
            return connection.server
        known = self._ids.get(connection)
        if known is None:
            answer = connection.search(
                service, EVERYTHING, ("invocationId",), scope="base", expecting=result_codes.HIDDEN
            )
            raw = answer.entries[0].octets("invocationId") if answer.entries else None
            if raw is None or len(raw) != 16:
                return connection.server  # what emulates AD need not have one
            known = self._ids[connection] = str(uuid.UUID(bytes_le=raw))
        return known


def clock_offset(connection: Connection) -> float:
    """How many seconds the server's clock is ahead of ours; 0 where it does not tell. One read.

    A server tells whole seconds: less than one is no difference.
    """
    asked_at = datetime.now(UTC)
    entry = _root(connection, ("currentTime",))
    offset = _offset(entry, asked_at, datetime.now(UTC)) or 0.0
    return offset if abs(offset) > 1.0 else 0.0


def _offset(entry: Entry, asked_at: datetime, answered: datetime) -> float | None:
    """The same by `currentTime`, of a moment between these two; None where it is not told."""
    clock = generalized_time(entry.text("currentTime"))
    if clock is None:
        return None
    offset = (clock - asked_at - (answered - asked_at) / 2).total_seconds()
    return offset + (0.5 if clock.microsecond == 0 else 0.0)  # told in whole seconds, cut off


def _root(connection: Connection, attributes: tuple[str, ...]) -> Entry:
    """The root DSE, which every server that is well shows to everybody."""
    answer = connection.search("", EVERYTHING, attributes, scope="base")
    if not answer.entries:
        words = f"{connection.server} does not show its root DSE."
        raise Declined(words, code=answer.code, unwell=True)
    return answer.entries[0]


def _first_domain(contexts: tuple[str, ...]) -> str:
    """The first naming context that is no server's own business."""
    usable = [
        context
        for context in contexts
        if not context.lower().startswith(("cn=config", "cn=monitor"))
    ]
    return usable[0] if usable else ""


def _context_csn(connection: Connection, suffix: str) -> bytes:
    """OpenLDAP's contextCSN, which moves with each change (RFC 4533 2.2 as slapd does it)."""
    if not suffix:
        return b""
    answer = connection.search(
        suffix, EVERYTHING, ("contextCSN",), scope="base", expecting=result_codes.HIDDEN
    )
    values = answer.entries[0].attributes.get("contextcsn", []) if answer.entries else []
    return b" ".join(sorted(values))
