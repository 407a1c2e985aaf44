"""Searches with the filters and attributes of one profile, and complete answers.

Anything but a clean end raises `Incomplete`; an identity that may not be read does so too where it
matters whose it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TypeVar

from dirclient.config import presets
from dirclient.config.profile import Profile
from dirclient.connection import paged_search
from dirclient.connection.ldap_connection import Connection
from dirclient.mapping.groups import plain_dn
from dirclient.mapping.person_mapping import PersonReader, department_filter, person_filter
from dirclient.mapping.replication_conflicts import in_conflict
from dirclient.model.directory_objects import Guid
from dirclient.model.errors import Incomplete, Misconfigured
from dirclient.operations.rootdse import RootDse
from dirclient.snapshot.read_state import Picture
from dirclient.wire import decode
from dirclient.wire.decode import Control, Entry
from dirclient.wire.filters import Filter, InvalidFilter, any_of, eq

PEOPLE_PAGE = 1000
"""People asked for at once: what Windows gives at most (MaxPageSize)."""
IDENTITY_CHUNK = 500
"""Objects whose existence alone is asked for in one filter."""

EXTENDED_DN = Control(decode.EXTENDED_DN, decode.tlv(0x30, decode.integer(1)))
"""Members come with their GUIDs. Not critical: without it their DNs serve as well."""

DOMAIN_SCOPE = Control(decode.DOMAIN_SCOPE)
"""For questions about this domain alone: without references to others."""

_T = TypeVar("_T")


class Searches:
    """Searches of one profile on one connection. `now` decides who has expired."""

    def __init__(
        self, profile: Profile, connection: Connection, root: RootDse, now: datetime
    ) -> None:
        self.profile = profile
        self.connection = connection
        self.root = root
        self.now = now
        self.preset = presets.of(profile)
        self.reader = PersonReader.of(profile)
        self.conflicts: set[str] = set()  # DNs of replication-conflict objects that were left out

    # -- filters and attributes

    @property
    def controls(self) -> tuple[Control, ...]:
        """Return what group searches carry."""
        return (EXTENDED_DN,) if self.preset.is_ad else ()

    @property
    def within(self) -> tuple[Control, ...]:
        """Return what questions about the domain alone carry."""
        return (DOMAIN_SCOPE,) if self.preset.is_ad else ()

    @property
    def identity_alone(self) -> tuple[str, ...]:
        """The attribute that is the identity, and no other."""
        return (self.preset.identity_attribute,)

    @property
    def person_attributes(self) -> tuple[str, ...]:
        """Return what a person is made of, and the primary group."""
        return (*self.reader.bulk_attributes, *(("primarygroupid",) if self.preset.is_ad else ()))

    @property
    def group_attributes(self) -> tuple[str, ...]:
        """Return what a group or an OU is made of."""
        preset = self.preset
        ad = ("objectsid", "grouptype") if preset.is_ad else ()
        return ("objectclass", preset.identity_attribute, *preset.members, preset.changed, *ad)

    def person_filter(self) -> Filter:
        """Return who counts as a person. Raises `Misconfigured` for an administrator's bad
        filter."""
        try:
            return person_filter(self.profile)
        except InvalidFilter as odd:
            raise _bad_filter("user_filter", odd) from odd

    def department_filter(self) -> Filter:
        """Return what counts as a directory department. Raises `Misconfigured` likewise."""
        try:
            return department_filter(self.profile)
        except InvalidFilter as odd:
            raise _bad_filter("department_filter", odd) from odd

    def place_filter(self) -> Filter:
        """Return what people and groups may lie in."""
        others = (
            ("container", "builtinDomain") if self.preset.is_ad else ("organization", "locality")
        )
        return any_of((self.preset.ou_filter, *(eq("objectClass", name) for name in others)))

    # -- answers, whole

    def contexts(self, picture: Picture) -> tuple[str, ...]:
        """The naming contexts that the search DNs lie in: one, unless somebody wants it so."""
        bases = [base.dn for base in (picture.users, picture.departments) if base is not None]
        return tuple(dict.fromkeys(map(self.root.context_of, bases)))

    def everywhere(
        self,
        picture: Picture,
        filter_: Filter,
        attributes: Sequence[str],
        size: int = 0,
        controls: Sequence[Control] = (),
        *,
        all_there_is: bool = False,
    ) -> Iterator[Entry]:
        """Entries of the whole domain, wherever the search DNs are; `size` as for `pages`.

        `all_there_is`: replication-conflict objects too.
        """
        pages = self._pages if all_there_is else self.pages
        for context in self.contexts(picture):
            for entries in pages(context, filter_, attributes, size, (*controls, *self.within)):
                yield from entries

    def identities(self, picture: Picture, filter_: Filter) -> set[str]:
        """GUIDs of all there is in the domain that fits; what hides its GUID is passed over."""
        entries = self.everywhere(picture, filter_, self.identity_alone, all_there_is=True)
        identities = map(self.preset.guid, entries)
        return {guid for guid in identities if guid is not None}

    def still_there(self, picture: Picture, guids: Iterable[str]) -> set[str]:
        """Which of these objects can be seen somewhere in the domain."""
        identities: set[str] = set()
        for part in chunks(sorted(guids), IDENTITY_CHUNK):
            search = any_of(self.preset.by_guid(Guid(guid)) for guid in part)
            identities |= self.identities(picture, search)
        return identities

    def pages(
        self,
        base: str,
        filter_: Filter,
        attributes: Sequence[str],
        size: int = 0,
        controls: Sequence[Control] = (),
    ) -> Iterator[list[Entry]]:
        """Every entry of a subtree, in pages of this size. Raises `Incomplete`.

        Replication-conflict objects are left out.

        Size 0: what is fastest; nothing else may be asked on the connection meanwhile. Each page
        is then asked for ahead; and Samba, which for pages reads every entry twice, is asked for
        one whole answer. Where that is too large, entries already told come again in pages.
        """
        for entries in self._pages(base, filter_, attributes, size, controls):
            if self.preset.is_ad:
                twins = {entry.dn for entry in entries if in_conflict(entry.dn)}
                if twins:
                    self.conflicts.update(map(plain_dn, twins))
                    entries = [entry for entry in entries if entry.dn not in twins]
            yield entries

    def _pages(
        self,
        base: str,
        filter_: Filter,
        attributes: Sequence[str],
        size: int = 0,
        controls: Sequence[Control] = (),
    ) -> Iterator[list[Entry]]:
        """The same with all there is."""
        if not size and self.root.samba:
            with contextlib.suppress(paged_search.TooLarge):
                yield from paged_search.whole(
                    self.connection, base, filter_, attributes, controls, PEOPLE_PAGE
                )
                return
        yield from paged_search.paged(
            self.connection,
            base,
            filter_,
            attributes,
            controls,
            size or PEOPLE_PAGE,
            ahead=not size,
        )

    def identity(self, entry: Entry) -> Guid:
        """The GUID of an entry. Raises `Incomplete` where the service account may not read it."""
        guid = self.preset.guid(entry)
        if guid is None:
            raise self.unreadable(entry, self.preset.identity_attribute)
        return guid

    def unreadable(self, entry: Entry, attribute: str) -> Incomplete:
        """Return what to raise where the service account may not read what it must."""
        return Incomplete(
            f"The service account may not read {attribute} of {plain_dn(entry.dn)}: "
            "give it the right to read all properties of people and groups."
        )


def _bad_filter(field: str, odd: InvalidFilter) -> Misconfigured:
    return Misconfigured(
        f"The filter is not valid: {odd}.", field=field, remedy="Write it as (attribute=value)."
    )


def chunks(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    """The items in parts of this size."""
    return (items[at : at + size] for at in range(0, len(items), size))
