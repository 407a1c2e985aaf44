"""Finding one person by the name they sign in with, within the User Search DN."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from cachetools import TTLCache

from dirclient.config import presets
from dirclient.config.dn_input import domain_name
from dirclient.config.profile import Profile
from dirclient.connection import result_codes
from dirclient.connection.ldap_connection import Connection, Entry, SearchResult
from dirclient.connection.pool import Pool
from dirclient.mapping import person_mapping
from dirclient.mapping.replication_conflicts import in_conflict
from dirclient.model.directory_objects import Guid, Login, LoginForm, Person
from dirclient.model.errors import Ambiguous, Misconfigured, NotFound
from dirclient.model.login_name import fold, matching
from dirclient.operations.rootdse import Roots
from dirclient.operations.search_base import Base, BaseKind, DirectoryResolver
from dirclient.wire import dn_syntax
from dirclient.wire.filters import EVERYTHING, Filter, any_of, eq, in_chain, starts

_SCOPE_BELIEVED = 300.0  # seconds for which what the search DN is need not be asked again
_MOST = 50  # entries a look-up may bring; more of them are no look-up
_DEEPEST = 32  # levels of nested groups climbed

_NO_PLACE = frozenset(
    (result_codes.NO_SUCH_OBJECT, result_codes.INVALID_DN_SYNTAX, result_codes.REFERRAL)
)
_ANSWERS = _NO_PLACE | {result_codes.SIZE_LIMIT, result_codes.INSUFFICIENT_ACCESS}
"""Result codes by which a server answers a look-up, beside success."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The User Search DN as it was resolved: its kind and its place.

    People are searched below `base`: the place itself, or the naming context when the place is a
    group. `netbios` and `dns_domain` are the domain's names, folded, empty where unknown.
    """

    place: Base
    base: str
    netbios: str = ""
    dns_domain: str = ""

    @property
    def is_group(self) -> bool:
        """Return whether membership decides, not the place."""
        return self.place.kind is BaseKind.GROUP


class LdapFinder:
    """`Finder` over LDAP. `resolver` says what the profile's User Search DN is."""

    def __init__(
        self,
        profile: Profile,
        pool: Pool,
        roots: Roots,
        resolver: DirectoryResolver,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._profile = profile
        self._preset = presets.of(profile)
        self._reader = person_mapping.PersonReader.of(profile)
        self._pool = pool
        self._resolver = resolver
        self._now = now
        self._roots = roots
        self._lock = threading.Lock()
        self._scope: TTLCache[None, Scope] = TTLCache(1, _SCOPE_BELIEVED, timer=clock)

    def find(self, login: Login) -> Person:
        """See `Finder`.

        An email matches whose login value it is, a bare name also whose account name, a
        down-level name only whose account name in the named domain. Case and Unicode form do
        not count; what an attribute that is not the login value holds does not either.
        """
        scope = self.scope()
        if login.form is LoginForm.DOWN_LEVEL and not self._is_domain(login.domain, scope):
            raise NotFound("No account in this domain.")
        hits = self._search(scope, self._by_login(login))
        return self._only(matching(self._within(hits, scope), login))

    def find_guid(self, guid: Guid) -> Person:
        """See `Finder`."""
        scope = self.scope()
        hits = self._search(scope, self._preset.by_guid(guid))
        return self._only(self._within(hits, scope))

    def is_domain(self, name: str) -> bool:
        """See `Finder`."""
        return self._is_domain(name, self.scope())

    # -- who matches

    def _by_login(self, login: Login) -> Filter:
        account = eq(self._preset.account_name, login.name)
        names = self._reader.names.login
        if login.form is LoginForm.DOWN_LEVEL:
            return account
        if login.form is LoginForm.EMAIL:
            return any_of(eq(name, str(login)) for name in names)
        return any_of((*(starts(name, f"{login.name}@") for name in names), account))

    @staticmethod
    def _only(people: list[Person]) -> Person:
        if not people:
            raise NotFound("No account matches.")
        if len(people) > 1:
            dns = tuple(sorted(person.dn for person in people))
            raise Ambiguous(f"{len(people)} accounts match.", dns=dns)
        return people[0]

    def _search(self, scope: Scope, filter_: Filter) -> list[_Hit]:
        query = person_mapping.person_filter(self._profile) & filter_
        attributes = self._reader.attributes
        if scope.is_group and self._preset.is_ad:
            attributes += ("objectsid", "primarygroupid")

        def ask(connection: Connection) -> SearchResult:
            return connection.search(
                scope.base, query, attributes, size_limit=_MOST, expecting=_ANSWERS
            )

        answer = self._pool.ask(ask)
        if answer.code != result_codes.SUCCESS:
            self._forget()
            raise _search_fault(self._profile, answer)
        now = self._now()
        return [
            _Hit(person, entry)
            for entry in answer.entries
            if not (self._preset.is_ad and in_conflict(entry.dn))
            and (person := self._reader.person(entry, now)) is not None
        ]

    # -- where

    def scope(self) -> Scope:
        """Return what the User Search DN is. Asked of the directory now and then, not each time."""
        with self._lock:
            scope = self._scope.get(None)
        if scope is None:
            scope = self._find_scope()
            with self._lock:
                self._scope[None] = scope
        return scope

    def _forget(self) -> None:
        with self._lock:
            self._scope.clear()

    def _find_scope(self) -> Scope:
        def ask(connection: Connection) -> Scope:
            root = self._roots.look(connection)
            text = self._profile.user_search_dn
            place = self._resolver.locate(connection, root, text, "user_search_dn")
            is_group = place.kind is BaseKind.GROUP
            return Scope(
                place,
                base=root.context_of(place.dn) if is_group else place.dn,
                netbios=self._netbios(connection, root.domain) if self._preset.is_ad else "",
                dns_domain=fold(domain_name(root.domain)),
            )

        return self._pool.ask(ask)

    @staticmethod
    def _netbios(connection: Connection, domain: str) -> str:
        """The domain's NetBIOS name: of its crossRef object (MS-ADTS 6.1.1.2.1.1)."""
        answer = connection.search("", EVERYTHING, ("configurationNamingContext",), scope="base")
        configuration = (
            answer.entries[0].text("configurationNamingContext") if answer.entries else ""
        )
        if not configuration:
            return ""
        partitions = connection.search(
            f"CN=Partitions,{configuration}",
            eq("nCName", domain),
            ("nETBIOSName",),
            scope="one",
            expecting=result_codes.HIDDEN,
        )
        return fold(partitions.entries[0].text("nETBIOSName") or "") if partitions.entries else ""

    def _is_domain(self, typed: str, scope: Scope) -> bool:
        """Return whether this is the domain's own name; without one to compare (OpenLDAP) none
        is."""
        return fold(typed) in {scope.netbios, scope.dns_domain} - {""}

    def _within(self, hits: list[_Hit], scope: Scope) -> list[Person]:
        """Those of the people found below the base who are in scope."""
        if not scope.is_group:
            return [hit.person for hit in hits]
        belongs = self._in_ad_group if self._preset.is_ad else self._in_ldap_group

        def ask(connection: Connection) -> list[Person]:
            return [hit.person for hit in hits if belongs(connection, hit, scope)]

        return self._pool.ask(ask) if hits else []

    def _in_ad_group(self, connection: Connection, hit: _Hit, scope: Scope) -> bool:
        """Directly or nested, by `member` or by the primary group, which `member` leaves out."""
        chain = in_chain("memberOf", scope.place.dn)
        person = f"<GUID={hit.person.guid}>"
        gone = (result_codes.NO_SUCH_OBJECT,)
        if connection.search(person, chain, scope="base", expecting=gone).entries:
            return True
        sid, rid = hit.entry.octets("objectsid"), hit.entry.integer("primarygroupid")
        if sid is None or not rid:
            return False
        if rid == scope.place.rid:
            return True
        primary = sid[:-4] + rid.to_bytes(4, "little")  # a SID ends in its RID (MS-DTYP 2.4.2)
        nested = connection.search(scope.base, eq("objectSid", primary) & chain)
        return bool(nested.entries)

    def _in_ldap_group(self, connection: Connection, hit: _Hit, scope: Scope) -> bool:
        """Climb from the person through the groups that name them, level by level."""
        goal = scope.place.key
        level, seen = [hit.person.dn], {dn_syntax.key(hit.person.dn)}
        for _ in range(_DEEPEST):
            members = (eq(name, member) for name in self._preset.members for member in level)
            filter_ = self._preset.any_group_filter & any_of(members)
            answer = connection.search(scope.base, filter_, expecting=_ANSWERS)
            if answer.code != result_codes.SUCCESS:
                raise _search_fault(self._profile, answer)
            group_dns = {dn_syntax.key(entry.dn): entry.dn for entry in answer.entries}
            if goal in group_dns:
                return True
            level = [text for key, text in group_dns.items() if key not in seen]
            seen.update(group_dns)
            if not level:
                return False
        return False


@dataclass(frozen=True, slots=True)
class _Hit:
    person: Person
    entry: Entry


def _search_fault(profile: Profile, answer: SearchResult) -> Misconfigured | Ambiguous:
    """Return what a look-up means that ended with one of these."""
    if answer.code == result_codes.SIZE_LIMIT:
        return Ambiguous(f"More than {_MOST} accounts or groups match.")
    if answer.code in _NO_PLACE:
        return Misconfigured(
            f"AD User Search DN does not exist: {profile.user_search_dn!r}.",
            field="user_search_dn",
            remedy="Enter the DN of a group, OU or domain that the service account may read.",
        )
    return Misconfigured(
        "The service account may not read the User Search DN.",
        field="username",
        remedy="Give the service account the right to read it, or enter another one.",
    )
