"""Finds what a search DN means in the directory: exactly, loosely, or the nearest there is."""

from __future__ import annotations

import difflib
import enum
import time
from collections.abc import Iterable
from dataclasses import dataclass

from dirclient.config import presets
from dirclient.config.dn_input import DnInput, NameInput, PathInput, domain_dn, parse_dn_input
from dirclient.config.profile import Profile
from dirclient.connection import result_codes
from dirclient.connection.ldap_connection import Connection
from dirclient.connection.pool import Pool
from dirclient.mapping.groups import rid_of
from dirclient.mapping.replication_conflicts import in_conflict
from dirclient.model.directory_objects import Guid
from dirclient.model.errors import Misconfigured
from dirclient.operations.rootdse import RootDse, Roots
from dirclient.wire import decode, dn_syntax
from dirclient.wire.decode import Control, Entry
from dirclient.wire.filters import EVERYTHING, Filter, all_of, any_of, contains, eq

GROUP_IS_SECURITY = 0x80000000  # GROUP_TYPE_SECURITY_ENABLED, MS-ADTS 2.2.12
SUGGEST_SECONDS = 3.0
"""Longest time one suggestion may take: somebody is typing."""
_LOOKED_AT = 500  # candidates among which the nearest name is sought

_NOT_THERE = frozenset(
    (result_codes.NO_SUCH_OBJECT, result_codes.INVALID_DN_SYNTAX, result_codes.REFERRAL)
)
_SOME = _NOT_THERE | {result_codes.SIZE_LIMIT}
"""Result codes by which a server answers, beside success."""


class BaseKind(enum.StrEnum):
    """The kind of a search DN. It is read from the directory, not asked for."""

    GROUP = "group"
    OU = "ou"
    CONTAINER = "container"
    DOMAIN = "domain"


@dataclass(frozen=True, slots=True)
class Base:
    """The object that a search DN names. `security` tells a security group from a distribution
    group (always true outside AD); `rid` is a group's RID within its domain, 0 where it has none.
    """

    dn: str
    guid: Guid
    kind: BaseKind
    security: bool = True
    rid: int = 0

    @property
    def key(self) -> str:
        """The DN for comparisons."""
        return dn_syntax.key(self.dn)


_KINDS = (
    ({"group", "groupofnames", "groupofuniquenames"}, BaseKind.GROUP),
    ({"organizationalunit"}, BaseKind.OU),
    ({"domaindns", "domain", "dcobject"}, BaseKind.DOMAIN),
)
_LEAVES = {"person", "user", "inetorgperson", "computer", "contact", "account"}


def kind_of(entry: Entry) -> BaseKind | None:
    """Return what an entry is; None for people, computers and whatever else nothing lies below."""
    classes = {name.lower() for name in entry.texts("objectClass")}
    for names, kind in _KINDS:
        if classes & names:
            return kind
    return None if classes & _LEAVES or not classes else BaseKind.CONTAINER


class _Absent(Exception):
    """Nothing is there. `current_user_or_none` is the place in words; empty for a bare `name`."""

    def __init__(self, shown: str, name: str, parent: str) -> None:
        super().__init__(shown or name)
        self.shown, self.name, self.parent = shown, name, parent


class DirectoryResolver:
    """`dirclient.config.ports.Resolver` over LDAP."""

    def __init__(self, profile: Profile, pool: Pool, roots: Roots) -> None:
        self._profile = profile
        self._pool = pool
        self._roots = roots
        self._preset = presets.of(profile)
        self._within = (Control(decode.DOMAIN_SCOPE),) if self._preset.is_ad else ()
        self._known: dict[str, Guid] = {}  # what search DNs were once, to tell where they went

    # -- for people

    def resolve(self, text: str, field: str = "user_search_dn") -> str:
        """The exact DN, written as the directory writes it. `field` is named in errors."""

        def ask(connection: Connection) -> str:
            return self.locate(connection, self._roots.look(connection), text, field).dn

        return self._pool.ask(ask)

    def suggest(self, text: str, limit: int = 8) -> tuple[str, ...]:
        """DNs of groups, OUs and containers whose name contains the text, best first.

        Of an empty text: what lies directly below the domain.
        """
        try:
            place = parse_dn_input(text)
        except dn_syntax.InvalidDn:
            if text.strip():
                return ()
            place = NameInput("")
        match place:
            case DnInput(dn):
                name = dn_syntax.name(dn)
            case PathInput(_, names):
                name = names[-1] if names else ""
            case NameInput(name):
                pass

        def ask(connection: Connection) -> list[str]:
            return self._candidates(connection, self._roots.look(connection), name)

        return tuple(_ranked(self._pool.ask(ask), name))[:limit]

    # -- for the other readers of the directory

    def locate(self, connection: Connection, root: RootDse, text: str, field: str) -> Base:
        """The object that a search DN means. Raises `Misconfigured` naming the field.

        With Advanced Search DN the text is taken as the DN; else it is understood loosely below
        the domain. An exact DN costs one operation.
        """
        try:
            return self._locate(connection, root, text, field)
        except _Absent as absent:
            raise self._missing(connection, root, absent, field) from None

    def exists(self, connection: Connection, root: RootDse, text: str, field: str) -> bool:
        """Return whether `locate` would find it, without looking for what else may be meant."""
        try:
            self._locate(connection, root, text, field)
        except (_Absent, Misconfigured):
            return False
        return True

    def _locate(self, connection: Connection, root: RootDse, text: str, field: str) -> Base:
        if not text.strip():
            raise Misconfigured(
                "No search DN is entered.",
                field=field,
                remedy="Enter a group, an OU or the domain.",
            )
        try:
            place = DnInput(text.strip()) if self._profile.advanced else parse_dn_input(text)
            if isinstance(place, DnInput):
                dn_syntax.parse(place.dn)
        except dn_syntax.InvalidDn as odd:
            raise Misconfigured(
                f"{text[:200]!r} is not a DN: {odd}.",
                field=field,
                remedy="Enter it as CN=…,OU=…,DC=…, or the group's name alone.",
            ) from odd
        match place:
            case DnInput(dn, partial) if partial and root.domain:
                return self._below(connection, root, dn, field)
            case DnInput(dn):
                return self._at(connection, dn, field)
            case PathInput():
                return self._walk(connection, root, place, text, field)
            case NameInput(name):
                return self._named(connection, root, name, field)

    def _read(self, connection: Connection, dn: str) -> Entry | None:
        attributes = ("objectClass", self._preset.identity_attribute, "groupType", "objectSid")
        answer = connection.search(dn, EVERYTHING, attributes, scope="base", expecting=_NOT_THERE)
        return answer.entries[0] if answer.entries else None

    def _at(self, connection: Connection, dn: str, field: str) -> Base:
        entry = self._read(connection, dn)
        if entry is None:
            raise _Absent(dn, dn_syntax.name(dn), dn_syntax.split(dn)[1])
        return self._base(entry, field)

    def _below(self, connection: Connection, root: RootDse, part: str, field: str) -> Base:
        """A DN without the domain: right below it, or else wherever exactly one begins so."""
        whole = f"{part},{root.domain}"
        entry = self._read(connection, whole)
        if entry is not None:
            return self._base(entry, field)
        begun = f"{dn_syntax.key(part)},"
        matches = self._all_called(connection, root, dn_syntax.name(part))
        matches = [dn for dn in matches if dn_syntax.key(dn).startswith(begun)]
        if len(matches) > 1:
            raise _several(part, matches, field)
        return self._at(connection, matches[0] if matches else whole, field)

    def _base(self, entry: Entry, field: str) -> Base:
        guid = self._preset.guid(entry)
        classes = entry.attributes.get("objectclass")
        if guid is None or not classes:
            raise Misconfigured(
                f"The service account may not read {entry.dn}.",
                field=field,
                remedy="Give the service account the right to read it and what is below it.",
            )
        if self._preset.is_ad and in_conflict(entry.dn):
            raise Misconfigured(
                f"{entry.dn} is a replication-conflict object, or lies below one.",
                field=field,
                remedy="Enter the object that it is a copy of, and clear the copy away in AD.",
            )
        kind = kind_of(entry)
        if kind is None:
            raise Misconfigured(
                f"{entry.dn} is neither a group nor a place that people lie in.",
                field=field,
                remedy="Enter a group, an OU, a container or the domain.",
            )
        self._known[dn_syntax.key(entry.dn)] = guid
        security = not self._preset.is_ad or bool(entry.integer("groupType") & GROUP_IS_SECURITY)
        return Base(entry.dn, guid, kind, security, rid_of(entry.octets("objectSid")))

    def _walk(
        self, connection: Connection, root: RootDse, place: PathInput, text: str, field: str
    ) -> Base:
        """Follow a canonical path name by name. One name may have a slash in it, too."""
        if not place.domain and (same := self._all_called(connection, root, text.strip())):
            if len(same) > 1:
                raise _several(text.strip(), same, field)
            return self._at(connection, same[0], field)
        base = domain_dn(place.domain) if place.domain else root.domain
        for name in place.names:
            answer = connection.search(
                base,
                self._called(name),
                (),
                "one",
                self._within,
                size_limit=20,
                expecting=_SOME,
            )
            matches = [entry.dn for entry in answer.entries]
            if not matches:
                shown = "/".join(filter(None, (place.domain, *place.names)))
                raise _Absent(shown, name, base)
            if len(matches) > 1:
                raise _several(name, matches, field)
            base = matches[0]
        return self._at(connection, base, field)

    def _named(self, connection: Connection, root: RootDse, name: str, field: str) -> Base:
        """The one thing of this name anywhere in the domain, or the domain itself."""
        if "." in name and dn_syntax.key(domain_dn(name)) == dn_syntax.key(root.domain):
            return self._at(connection, root.domain, field)
        matches = self._all_called(connection, root, name)
        if len(matches) > 1:
            raise _several(name, matches, field)
        if not matches:
            raise _Absent("", name, "")
        return self._at(connection, matches[0], field)

    # -- what might be meant

    def _holders(self) -> Filter:
        """Whatever a search DN may name."""
        preset = self._preset
        others = [eq("objectClass", name) for name in ("container", "builtinDomain")]
        if not preset.is_ad:
            others = [eq("objectClass", "organization"), eq("objectClass", "dcObject")]
        return any_of((preset.any_group_filter, preset.ou_filter, *others))

    def _called(self, name: str) -> Filter:
        names = ("name", "sAMAccountName") if self._preset.is_ad else ("cn", "ou", "o")
        return all_of((self._holders(), any_of(eq(attribute, name) for attribute in names)))

    def _all_called(self, connection: Connection, root: RootDse, name: str) -> list[str]:
        """DNs of everything in the domain that has this name, and that a search DN may name."""
        answer = connection.search(
            root.domain,
            self._called(name),
            (),
            "subtree",
            self._within,
            size_limit=_LOOKED_AT,
            expecting=_SOME,
        )
        return [entry.dn for entry in answer.entries if self._may_be_meant(entry.dn)]

    def _candidates(self, connection: Connection, root: RootDse, part: str) -> list[str]:
        """DNs of what may be named and contains the part; of no part, what is near the top."""
        filter_ = self._holders()
        if part:
            names = ("name", "sAMAccountName") if self._preset.is_ad else ("cn", "ou")
            filter_ = all_of((filter_, any_of(contains(attribute, part) for attribute in names)))
        answer = connection.search(
            root.domain,
            filter_,
            (),
            controls=self._within,
            deadline=time.monotonic() + SUGGEST_SECONDS,
            size_limit=_LOOKED_AT,
            expecting=_SOME,
        )
        return [entry.dn for entry in answer.entries if self._may_be_meant(entry.dn)]

    def _may_be_meant(self, dn: str) -> bool:
        return not (_is_internal(dn) or (self._preset.is_ad and in_conflict(dn)))

    def _nearest(self, candidates: Iterable[str], name: str) -> list[str]:
        by_name: dict[str, list[str]] = {}
        for dn in candidates:
            by_name.setdefault(dn_syntax.name(dn).casefold(), []).append(dn)
        close = difflib.get_close_matches(name.casefold(), by_name, n=3, cutoff=0.6)
        return [dn for name in close for dn in by_name[name]][:3]

    def _moved_to(self, connection: Connection, root: RootDse, dn: str) -> str:
        """Return where what once had this DN is now; empty where that is not known or nowhere."""
        guid = self._known.get(dn_syntax.key(dn))
        if guid is None:
            return ""
        answer = connection.search(
            root.context_of(dn),
            self._preset.by_guid(guid),
            (),
            "subtree",
            self._within,
            expecting=_NOT_THERE,
        )
        return answer.entries[0].dn if len(answer.entries) == 1 else ""

    def _missing(
        self, connection: Connection, root: RootDse, absent: _Absent, field: str
    ) -> Misconfigured:
        """Says what is not there, what the nearest existing place is, and what may be meant."""
        shown, name, parent = absent.shown, absent.name, absent.parent
        if not shown:
            near = self._nearest(self._candidates(connection, root, ""), name)
            return Misconfigured(
                f"No group, OU or container is called {name!r}.",
                field=field,
                remedy=_did_you_mean(near) or "Enter its whole DN.",
            )
        moved = self._moved_to(connection, root, shown)
        if moved:
            return Misconfigured(
                f"{shown} is now {moved}: it was renamed or moved.",
                field=field,
                remedy=f"Enter {moved}.",
            )
        while parent and self._read(connection, parent) is None:
            parent = dn_syntax.split(parent)[1]
        near = self._all_called(connection, root, name)[:3]
        near = near or self._nearest(self._candidates(connection, root, ""), name)
        exists = f" The nearest that exists is {parent}." if parent else ""
        return Misconfigured(
            f"{shown} does not exist, or the service account may not see it.{exists}",
            field=field,
            remedy=_did_you_mean(near) or f"Choose something below {parent or root.domain}.",
        )


def _several(name: str, dns_found: list[str], field: str) -> Misconfigured:
    shown = "; ".join(sorted(dns_found)[:5])
    return Misconfigured(
        f"{len(dns_found)} are called {name!r}: {shown}.", field=field, remedy="Enter the whole DN."
    )


def _did_you_mean(candidates: list[str]) -> str:
    return f"Did you mean {' or '.join(candidates)}?" if candidates else ""


_INTERNAL = (
    *("cn=system,dc=", "cn=program data,dc=", "cn=configuration,", "cn=deleted objects,"),
    "cn=builtin,dc=",  # groups of permissions on servers, whose names are those of better places
)


def _is_internal(dn: str) -> bool:
    """Return whether AD keeps its own things there."""
    key = dn_syntax.key(dn)
    return any(place in key for place in _INTERNAL)


def _ranked(candidates: Iterable[str], name: str) -> list[str]:
    """Nearest first: the name itself, then what begins with it, then short and shallow ones."""
    text = name.casefold()

    def rank(dn: str) -> tuple[bool, bool, int, bool, str]:
        name, key = dn_syntax.name(dn).casefold(), dn.casefold()
        return (
            *(name != text, not name.startswith(text)),
            *(dn.count(","), not key.startswith("ou="), key),
        )

    return sorted(candidates, key=rank)
