"""How many people are free of conflicts, as the next build would find it.

The connection test counts them before anybody is built. What Kerauno itself has counts as it does
in a plan: who is linked, whose users, numbers and ring groups are in the way, who is held out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from sqlalchemy import select

from dirclient.model.assess import Assessment, ConflictCounter, own_faults
from dirclient.model.directory_objects import AccountState, Guid, Person
from kerauno.accounts.dial_plan import parse_extension
from kerauno.base.errors import InvalidValue
from kerauno.base.lookup_keys import lookup_key
from kerauno.database.engine import Database
from kerauno.tables.core import Link, Number, RingGroup, SyncExclusion, User
from provisioning import allocation
from provisioning.allocation import Kind

_TAKEN = {
    Kind.EMAIL: "email_taken",
    Kind.USERNAME: "username_taken",
    Kind.EXTENSION: "extension_taken",
}
_OF_LOGIN = frozenset({"email_missing", "email_invalid"})


class Account(allocation.Holder, Protocol):
    """A Kerauno user; `guid`, `scope` and `origin` are those of the link, where there is one."""

    @property
    def role(self) -> str:
        """Return what the user may do."""

    @property
    def active(self) -> bool:
        """Return whether they may sign in."""

    @property
    def guid(self) -> str | None:
        """Return whose user this is."""

    @property
    def scope(self) -> str | None:
        """full, or login: for sign-in alone."""

    @property
    def origin(self) -> str | None:
        """Return what made the link."""


class _User(NamedTuple):
    id: int
    username_key: str
    email_key: str
    role: str
    active: bool
    extension: str | None
    reserved_until: datetime | None
    guid: str | None
    scope: str | None
    origin: str | None


class _Want(NamedTuple):
    email_key: str
    username_key: str
    extension: str | None


@dataclass(slots=True)
class _Claim:
    want: _Want
    own: Account | None
    acts: bool = True


def judge(database: Database, now: Callable[[], datetime]) -> ConflictCounter:
    """A judge that asks the records when it is asked, in three statements."""

    def assess(people: Iterable[Person]) -> Assessment:
        with database.read() as s:
            users = [_User._make(row) for row in s.execute(_USERS)]
            rings = dict(s.execute(_RINGS).all())
            held_out = set(s.scalars(select(SyncExclusion.guid)))
        everyone = list(people)
        codes = conflicts_of(everyone, users, rings, held_out, now())
        counts = Counter(code for codes in codes.values() for code in codes)
        linked = {user.guid for user in users}
        left = sum(person.guid in linked and _is_out(person) for person in everyone)
        free = len(everyone) - len(codes) - left
        return Assessment(len(everyone), free, dict(counts), left)

    return assess


_USERS = (
    select(
        *(User.id, User.username_key, User.email_key, User.role, User.active),
        *(Number.number, Number.reserved_until, Link.guid, Link.scope, Link.origin),
    )
    .outerjoin(Number, Number.user_id == User.id)
    .outerjoin(Link, Link.user_id == User.id)
)
_RINGS = select(Number.number, RingGroup.name).join(RingGroup, RingGroup.id == Number.ring_group_id)


def conflicts_of(
    people: Collection[Person],
    users: Collection[Account],
    ring_numbers: Mapping[str, str],
    held_out: AbstractSet[str],
    now: datetime,
) -> dict[Guid, tuple[str, ...]]:
    """The conflict codes of everyone who has any, as a build would find them now.

    Who had a user and is disabled or expired since has left, and has none.
    """
    holders: dict[Kind, Mapping[str, Account]] = {
        Kind.EMAIL: {user.email_key: user for user in users},
        Kind.USERNAME: {user.username_key: user for user in users},
        Kind.EXTENSION: {user.extension: user for user in users if user.extension is not None},
    }
    linked = {user.guid: user for user in users if user.guid is not None}
    codes: dict[Guid, tuple[str, ...]] = {}
    claims: dict[Guid, _Claim] = {}
    for person in people:
        own = linked.get(person.guid)
        if own is not None and _is_out(person):
            continue
        wish = _wish(person, own, held_out=own is None and person.guid in held_out)
        if isinstance(wish, _Want):
            claims[person.guid] = _Claim(wish, own)
        else:
            codes[person.guid] = tuple(wish)
    for guid in _matched(claims, holders):
        del claims[guid]
        codes[guid] = ("link_ambiguous",)
    staying = {person.guid for person in people if not _is_out(person)}
    leavers = {
        user.id: Guid(guid)
        for guid, user in linked.items()
        if user.role != "admin" and guid not in staying
    }
    settled = allocation.allocate(claims, holders, ring_numbers, leavers, now)
    for guid, obstacles in settled.refused.items():
        codes[guid] = tuple(_TAKEN[obstacle.kind] for obstacle in obstacles)
    return codes


def _is_out(person: Person) -> bool:
    """Return whether the directory itself lets this person in no longer."""
    return person.state is not AccountState.ACTIVE


def _wish(person: Person, own: Account | None, *, held_out: bool) -> _Want | Sequence[str]:
    """Return what a build would want for this person, or the codes of what is wrong with them."""
    faults = own_faults(person, number=_extension)
    if held_out and not _is_out(person):
        return ["held_out"]
    whole = own is None or own.scope == "full" or (own.origin == "sign-in" and not faults)
    if not whole:  # linked for sign-in alone: the rest stays Kerauno's
        faults = [code for code in faults if code in _OF_LOGIN]
    if faults:
        return faults
    email = person.login or ""
    return _Want(
        lookup_key(email),
        lookup_key(email[: email.rindex("@")]),
        _extension(person.extension or "") if whole else None,
    )


def _matched(
    claims: Mapping[Guid, _Claim], holders: Mapping[Kind, Mapping[str, Account]]
) -> list[Guid]:
    """Give new people the unlinked users that are theirs; returns those who claim one together.

    An administrator's user is nobody's by its name alone.
    """
    claiming: defaultdict[int, list[Guid]] = defaultdict(list)
    users: dict[int, Account] = {}
    for guid, claim in claims.items():
        if claim.own is not None:
            continue
        user = holders[Kind.EMAIL].get(claim.want.email_key)
        if user is None:
            user = holders[Kind.USERNAME].get(claim.want.username_key)
            if user is not None and user.role != "admin":
                continue
        if user is not None and user.guid is None and user.active:
            claiming[user.id].append(guid)
            users[user.id] = user
    for user_id, (first, *others) in claiming.items():
        if not others and users[user_id].role != "admin":
            claims[first].own = users[user_id]
    return [guid for guids in claiming.values() if len(guids) > 1 for guid in guids]


def _extension(text: str) -> str:
    try:
        return parse_extension(text)
    except InvalidValue:
        return ""
