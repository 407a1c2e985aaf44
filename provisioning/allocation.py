"""Settle username, email and extension among those who claim them. Only leavers lose any.

Everyone claims three values. A value that nobody holds goes to its only claimant; two claimants
are in each other's way. A value that somebody holds is free only when the holder moves on to
another, which is what lets two people swap, or has left the directory: a leaver's username and
email go to whom the directory gives them; the extension stays reserved for them. Whoever cannot
have all they claim keeps all they have, and so holds it against others: refusals spread until
nothing changes. That end is the same in whatever order the claims are looked at.
"""

from __future__ import annotations

import enum
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Generic, Protocol, TypeVar


class Kind(enum.Enum):
    """One of the values that only one user has; its value names it in a want and in a user."""

    EMAIL = "email_key"
    USERNAME = "username_key"
    EXTENSION = "extension"


class Values(Protocol):
    """The three, as look-up keys; None is no value."""

    @property
    def email_key(self) -> str:
        """The email."""

    @property
    def username_key(self) -> str:
        """The username."""

    @property
    def extension(self) -> str | None:
        """The extension."""


class Holder(Values, Protocol):
    """A user there is, with what they hold."""

    @property
    def id(self) -> int:
        """Which user."""

    @property
    def reserved_until(self) -> datetime | None:
        """Until when a leaver's extension is kept for them."""


class Request(Protocol):
    """A claim."""

    @property
    def want(self) -> Values:
        """Return what is wanted."""

    @property
    def own(self) -> Holder | None:
        """The user it is for; None asks for a new one."""

    @property
    def acts(self) -> bool:
        """Return whether it is carried out now. One that is not counts all the same, but frees
        nothing."""


G = TypeVar("G", bound=str)
C = TypeVar("C", bound=Request)
H = TypeVar("H", bound=Holder)


@dataclass(frozen=True, slots=True)
class Blocker(Generic[C, H]):
    """The holder that blocks a value: a user, another claim, or whom a number is reserved for."""

    kind: Kind
    holder: H | C | str


@dataclass(frozen=True, slots=True)
class Allocation(Generic[G, C, H]):
    """The outcome: what stands in the way of each refused claim, and who takes over from whom."""

    refused: Mapping[G, tuple[Blocker[C, H], ...]]
    takes_from: Mapping[G, tuple[G, ...]]


def allocate(
    claims: Mapping[G, C],
    holders: Mapping[Kind, Mapping[str, H]],
    reserved: Mapping[str, str],
    leavers: Mapping[int, G],
    now: datetime,
) -> Allocation[G, C, H]:
    """Decide every claim at once, each by the identity of whoever makes it.

    `holders` has every user by each of their values; `reserved` maps the numbers that nobody may
    claim to whose they are, in words; `leavers` the ids of users who give their names up to others
    to their identities.
    """
    return _Allocator(claims, holders, reserved, leavers, now).settle()


class _Allocator(Generic[G, C, H]):
    def __init__(
        self,
        claims: Mapping[G, C],
        holders: Mapping[Kind, Mapping[str, H]],
        reserved: Mapping[str, str],
        leavers: Mapping[int, G],
        now: datetime,
    ) -> None:
        self.claims = claims
        self.holders = holders
        self.reserved = reserved
        self.leavers = leavers
        self.now = now
        self.mover_of = {c.own.id: guid for guid, c in claims.items() if c.own is not None}
        self.values: dict[Kind, Callable[[Values], str | None]] = {
            kind: attrgetter(kind.value) for kind in Kind
        }
        self.refused: set[G] = set()
        self.claimants = {kind: self._claimants(value) for kind, value in self.values.items()}

    def _claimants(self, value_of: Callable[[Values], str | None]) -> dict[str, list[G]]:
        """Value → those who want it but do not have it."""
        claimants: defaultdict[str, list[G]] = defaultdict(list)
        for guid, claim in self.claims.items():
            value = value_of(claim.want)
            if value is not None and (claim.own is None or value_of(claim.own) != value):
                claimants[value].append(guid)
        for guids in claimants.values():
            guids.sort()
        return claimants

    def settle(self) -> Allocation[G, C, H]:
        """Refuse until nothing changes; then say why, once the end is known."""
        waiting = deque(self._contesting())
        while waiting:
            guid = waiting.popleft()
            if guid in self.refused:
                continue
            if any(self._obstacle(guid, kind) is not None for kind in Kind):
                self.refused.add(guid)
                waiting.extend(self._now_blocked(self.claims[guid]))
        return Allocation({guid: self._obstacles(guid) for guid in self.refused}, self._takes())

    def _contesting(self) -> set[G]:
        """Those who want what somebody else wants or has: nothing stands in anyone else's way."""
        contesting: set[G] = set()
        for kind, claimants in self.claimants.items():
            holders, reserved = self.holders[kind], self.reserved if kind is Kind.EXTENSION else {}
            for value, guids in claimants.items():
                if len(guids) > 1 or value in holders or value in reserved:
                    contesting.update(guids)
        return contesting

    def _now_blocked(self, claim: C) -> Iterable[G]:
        """Those who wanted what this claim would have left behind."""
        if claim.own is None:
            return
        for kind, claimants in self.claimants.items():
            own_value = self.values[kind](claim.own)
            if own_value is not None:
                yield from claimants.get(own_value, ())

    def _obstacle(self, guid: G, kind: Kind) -> H | C | str | None:
        """Return who stands in the way of this value; None when the claim may have it."""
        claim, value_of = self.claims[guid], self.values[kind]
        value = value_of(claim.want)
        if value is None or (claim.own is not None and value_of(claim.own) == value):
            return None
        if kind is Kind.EXTENSION and value in self.reserved:
            return self.reserved[value]
        holder = self.holders[kind].get(value)
        if holder is not None and not self._leaves(holder, kind, value):
            return holder
        first, *rest = self.claimants[kind][value][:2]
        if first != guid:
            return self.claims[first]
        return self.claims[rest[0]] if rest else None

    def _leaves(self, holder: H, kind: Kind, value: str) -> bool:
        """Return whether this user gives the value up now, or kept it only for a time now over."""
        if kind is not Kind.EXTENSION and holder.id in self.leavers:
            return True
        over = (
            kind is Kind.EXTENSION
            and holder.reserved_until is not None
            and holder.reserved_until <= self.now
        )
        guid = self.mover_of.get(holder.id)
        if guid is None:
            return over
        new_value = self.values[kind](self.claims[guid].want)
        if new_value is None or new_value == value:
            return False
        return over or (self.claims[guid].acts and guid not in self.refused)

    def _obstacles(self, guid: G) -> tuple[Blocker[C, H], ...]:
        blockers = []
        before: object = None
        for kind in Kind:
            holder = self._obstacle(guid, kind)
            if holder is None:
                continue
            # The same email means the same username: once says it.
            if kind is not Kind.USERNAME or holder is not before:
                blockers.append(Blocker(kind, holder))
            before = holder
        return tuple(blockers)

    def _takes(self) -> dict[G, tuple[G, ...]]:
        takes: dict[G, tuple[G, ...]] = {}
        wanting = {
            guid for by_value in self.claimants.values() for v in by_value.values() for guid in v
        }
        for guid in wanting - self.refused:
            want = self.claims[guid].want
            sources = set()
            for kind, value_of in self.values.items():
                value = value_of(want)
                holder = self.holders[kind].get(value) if value is not None else None
                if holder is None:
                    continue
                mover = self.mover_of.get(holder.id)
                if mover is None and kind is not Kind.EXTENSION:
                    mover = self.leavers.get(holder.id)
                if mover is not None and mover not in self.refused and mover != guid:
                    sources.add(mover)
            if sources:
                takes[guid] = tuple(sorted(sources))
        return takes
