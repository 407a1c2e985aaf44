"""The AD Users tab: recognized people as the mirror has them, searched, sorted, filtered, paged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from authsvc.console import labels
from authsvc.console.ad_users import powershell
from authsvc.console.pagination import Page, pack, unpack
from authsvc.i18n.translate import gettext
from dirclient.config.profile import PresetName, Profile
from kerauno.accounts import dial_plan
from kerauno.base.errors import InvalidValue
from kerauno.sync import directory_mirror
from kerauno.tables.core import (
    Department,
    Directory,
    Link,
    LinkProposal,
    SeenPerson,
    SyncExclusion,
    User,
)

PAGE = 50
STATES = directory_mirror.STATES
_FIRST_EXTENSION, _LAST_EXTENSION = "100", "999"


@dataclass(frozen=True, slots=True)
class Sort:
    """Which column orders the table, and whether downwards."""

    key: str = "name"
    down: bool = False

    @classmethod
    def parse(cls, text: str) -> Sort:
        """From `name` or `-name`; an unknown column is the name."""
        key = text.lstrip("-")
        return cls(key if key in directory_mirror.SORTS else "name", text.startswith("-"))

    def toward(self, key: str) -> str:
        """The text for a click on this column's heading."""
        return f"-{key}" if key == self.key and not self.down else key


@dataclass(frozen=True, slots=True)
class ConflictView:
    """An import conflict for people: the sentence, the remedy, the line to paste into AD."""

    code: str
    sentence: str
    remedy: str
    line: str
    other_guid: str = ""


@dataclass(frozen=True, slots=True)
class PersonRow:
    """One recognized person in the table."""

    guid: str
    name: str
    login: str
    extension: str
    state: str
    account_state: str
    user_id: int | None
    conflicts: tuple[ConflictView, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """How many people match the search, in all and by state."""

    total: int
    by_state: Mapping[str, int]


def name_of(person: SeenPerson) -> str:
    """The best name there is for a person: given names, display name, login, account."""
    parts = [part for part in (person.first_name, person.last_name) if part]
    if len(parts) == 2:
        return " ".join(parts)
    return (
        person.display_name
        or " ".join(parts)
        or person.login
        or person.account_name
        or person.dn.partition(",")[0].partition("=")[2]
    )


@dataclass(frozen=True, slots=True)
class Table:
    """A page of the table, and how many people match the search in all and by state."""

    page: Page[PersonRow]
    counts: Counts


def table(
    s: Session,
    directory: Directory,
    *,
    text: str = "",
    state: str = "",
    code: str = "",
    sort: Sort | None = None,
    cursor: str = "",
    backwards: bool = False,
) -> Table:
    """One page of the table, after (or, `backwards`, before) the cursor."""
    sort = sort or Sort()
    filter_ = directory_mirror.Filter(
        search=text,
        state=state if state in STATES else None,
        conflict=code if code in labels.CONFLICTS else None,
    )
    start = unpack(cursor, (str, str))
    place = directory_mirror.Place(str(start[0]), str(start[1])) if start is not None else None
    page = directory_mirror.page(
        s,
        directory.id,
        filter_,
        sort=sort.key,
        descending=sort.down,
        limit=PAGE,
        after=None if backwards else place,
        before=place if backwards else None,
    )
    profile = Profile.from_stored(directory.profile, "")
    rows = Page(
        tuple(_row(person, profile) for person in page.people),
        before=pack([page.before.value, page.before.guid]) if page.before else "",
        after=pack([page.after.value, page.after.guid]) if page.after else "",
    )
    by_state = {name: int(page.counts.get(name, 0)) for name in STATES}
    return Table(rows, Counts(sum(by_state.values()), by_state))


def counts(s: Session, directory_id: int) -> Counts:
    """How many people there are, in all and by state."""
    counts_by_state = directory_mirror.counts(s, directory_id, directory_mirror.Filter())
    by_state = {name: int(counts_by_state.get(name, 0)) for name in STATES}
    return Counts(sum(by_state.values()), by_state)


def conflict_counts(s: Session, directory_id: int) -> dict[str, int]:
    """How many people have each kind of conflict, in the order of the words."""
    counts_by_code = directory_mirror.conflict_counts(s, directory_id)
    return {code: counts_by_code[code] for code in labels.CONFLICTS if code in counts_by_code}


def _row(person: SeenPerson, profile: Profile) -> PersonRow:
    return PersonRow(
        guid=person.guid,
        name=name_of(person),
        login=person.login or "",
        extension=person.extension or "",
        state=person.state,
        account_state=person.account_state,
        user_id=person.user_id,
        conflicts=conflicts_of(person.conflicts, person.guid, profile),
    )


def conflicts_of(
    stored: Sequence[Mapping[str, Any]], guid: str, profile: Profile, *, free: str | None = None
) -> tuple[ConflictView, ...]:
    """The stored conflicts for people. `free` is a number to offer for an extension."""
    active_directory = profile.preset is PresetName.ACTIVE_DIRECTORY
    login = next(iter(profile.attributes.login), "mail")
    extension = next(iter(profile.attributes.extension), "ipPhone")
    return tuple(
        ConflictView(
            code=str(conflict.get("code", "")),
            sentence=labels.conflict_sentence(conflict),
            remedy=labels.remedy_of(conflict),
            line=powershell.remedy_line(
                str(conflict.get("code", "")),
                guid,
                login_attribute=login,
                extension_attribute=extension,
                free_extension=free,
            )
            if active_directory
            else "",
        )
        for conflict in stored
    )


@dataclass(frozen=True, slots=True)
class Value:
    """A value that would be stored, with the attribute it came from."""

    label: str
    value: str
    attribute: str
    raw: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """A directory department that this person is in, and the way there if not direct."""

    guid: str
    name: str
    kind: str
    via: tuple[str, ...]
    imported: bool


@dataclass(frozen=True, slots=True)
class PersonDetails:
    """View Details: what would be stored, the state of the account, what brought them in."""

    guid: str
    name: str
    dn: str
    state: str
    values: tuple[Value, ...]
    account: tuple[str, ...]
    changed: datetime | None
    conflicts: tuple[ConflictView, ...]
    places: tuple[Place, ...]
    user: User | None
    link: Link | None
    exclusion: SyncExclusion | None
    proposed: User | None


def details(s: Session, directory: Directory, guid: str, now: datetime) -> PersonDetails | None:
    """Everything known of one recognized person, or None where nobody recognized has this GUID."""
    person = s.get(SeenPerson, (directory.id, guid))
    if person is None:
        return None
    profile = Profile.from_stored(directory.profile, "")
    free = next_extension(s, now)
    link = s.scalar(select(Link).where(Link.directory_id == directory.id, Link.guid == guid))
    proposal = s.get(LinkProposal, (directory.id, guid))
    return PersonDetails(
        guid=guid,
        name=name_of(person),
        dn=person.dn,
        state=person.state,
        values=_values(person, profile),
        account=_account(person),
        changed=person.changed,
        conflicts=conflicts_of(person.conflicts, guid, profile, free=free),
        places=_places(s, directory.id, guid),
        user=s.get(User, link.user_id) if link is not None else None,
        link=link,
        exclusion=s.get(SyncExclusion, (directory.id, guid)),
        proposed=s.get(User, proposal.user_id) if proposal is not None else None,
    )


def next_extension(s: Session, now: datetime) -> str | None:
    """A free three-digit extension to suggest."""
    return dial_plan.next_free(s, _FIRST_EXTENSION, _LAST_EXTENSION, now)


def _values(person: SeenPerson, profile: Profile) -> tuple[Value, ...]:
    active_directory = profile.preset is PresetName.ACTIVE_DIRECTORY
    first = next(iter(profile.attributes.first_name), "givenName")
    last = next(iter(profile.attributes.last_name), "sn")
    login, raw = person.login or "", person.extension or ""
    extension = raw
    if raw:
        try:
            extension = dial_plan.parse_extension(raw)
        except InvalidValue:
            extension = ""
    account = "sAMAccountName" if active_directory else "uid"
    rows = [
        Value(gettext("First name"), person.first_name or "", first),
        Value(gettext("Last name"), person.last_name or "", last),
        Value(gettext("Username"), login.partition("@")[0], person.login_attribute),
        Value(gettext("Email"), login, person.login_attribute),
        Value(
            gettext("Extension"),
            extension,
            person.extension_attribute,
            raw if raw != extension else "",
        ),
        Value(gettext("AD account"), person.account_name or "", account),
    ]
    if person.principal_name:
        rows.append(Value(gettext("User logon name"), person.principal_name, "userPrincipalName"))
    return tuple(rows)


def _account(person: SeenPerson) -> tuple[str, ...]:
    states = [labels.label(labels.ACCOUNT_STATES, person.account_state)]
    if person.locked:
        states.append(gettext("Locked after too many wrong passwords"))
    if person.must_change_password:
        states.append(gettext("Must change the password at the next sign-in"))
    return tuple(states)


def _places(s: Session, directory_id: int, guid: str) -> tuple[Place, ...]:
    imported = set(
        s.scalars(select(Department.guid).where(Department.directory_id == directory_id))
    )
    return tuple(
        Place(seen.guid, seen.name, seen.kind, tuple(map(str, via)), seen.guid in imported)
        for seen, via in directory_mirror.departments_of(s, directory_id, guid)
    )
