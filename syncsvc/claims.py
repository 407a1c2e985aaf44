"""Who may have which username, email and extension. Nothing is ever taken from its holder.

Everyone whose own data is complete claims three values. A value that nobody holds goes to its
only claimant; two claimants both get a conflict, each naming the other. A value that somebody
holds is free only when the holder moves on to another in the same run, which is what lets two
people swap. Whoever cannot have all they claim keeps all they have, and so holds it against
others: conflicts spread until nothing changes. That end is the same in whatever order people
are looked at.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from dirclient.model import Guid, Person
from syncsvc.records import Records, UserRecord
from syncsvc.rules import Code, Conflict, Desired, described, shown

CONFIRM = "Confirm on the user's page with Sync with AD, or run: syncsvc user sync {email}"


@dataclass(slots=True)
class Claim:
    """What one person wants. `own` is the user it is for: linked, matched by email, or new.

    `acts` says whether this run would do it; a claim that is not acted on counts all the same,
    but frees nothing.
    """

    guid: Guid
    person: Person
    want: Desired
    own: UserRecord | None
    linked: bool
    acts: bool


@dataclass(frozen=True, slots=True)
class Settled:
    """The outcome: conflicts by person, and who takes a value over from whom."""

    conflicts: Mapping[Guid, tuple[Conflict, ...]]
    takes_from: Mapping[Guid, tuple[Guid, ...]]


@dataclass(frozen=True, slots=True)
class _Kind:
    """One of the three unique values: where it is in a want and in a user, and who holds it."""

    code: Code
    field: str
    wanted: Callable[[Desired], str | None]
    shown: Callable[[Desired], str | None]
    held: Callable[[UserRecord], str | None]
    holders: Mapping[str, UserRecord]


class _Arbiter:
    def __init__(
        self,
        claims: Mapping[Guid, Claim],
        records: Records,
        reserved: Mapping[str, str],
        now: datetime,
    ) -> None:
        self.claims = claims
        self.reserved = reserved
        self.now = now
        self.claim_of_user = {c.own.id: c for c in claims.values() if c.own is not None}
        self.kinds = (
            _Kind(
                Code.EMAIL_TAKEN,
                "email",
                lambda want: want.email_key,
                lambda want: want.email,
                lambda user: user.email_key,
                records.by_email,
            ),
            _Kind(
                Code.USERNAME_TAKEN,
                "username",
                lambda want: want.username_key,
                lambda want: want.username,
                lambda user: user.username_key,
                records.by_username,
            ),
            _Kind(
                Code.EXTENSION_TAKEN,
                "extension",
                lambda want: want.extension,
                lambda want: want.extension,
                lambda user: user.extension,
                records.by_extension,
            ),
        )
        self.refused: set[Guid] = set()
        self.claimants = tuple(self._claimants(kind) for kind in self.kinds)

    def _claimants(self, kind: _Kind) -> dict[str, list[Guid]]:
        """Value → those who want it but do not have it."""
        found: defaultdict[str, list[Guid]] = defaultdict(list)
        for claim in self.claims.values():
            value = kind.wanted(claim.want)
            if value is not None and (claim.own is None or kind.held(claim.own) != value):
                found[value].append(claim.guid)
        for guids in found.values():
            guids.sort()
        return found

    def settle(self) -> Settled:
        """Refuse until nothing changes; then say why, once the end is known."""
        waiting = deque(self._contesting())
        while waiting:
            guid = waiting.popleft()
            if guid in self.refused:
                continue
            claim = self.claims[guid]
            if any(self._obstacle(claim, n) is not None for n in range(len(self.kinds))):
                self.refused.add(guid)
                waiting.extend(self._now_blocked(claim))
        conflicts = {guid: self._conflicts(self.claims[guid]) for guid in self.refused}
        return Settled(conflicts, self._takes())

    def _contesting(self) -> set[Guid]:
        """Those who want what somebody else wants or has: nothing stands in anyone else's way."""
        return {
            guid
            for kind, found in zip(self.kinds, self.claimants, strict=True)
            for value, guids in found.items()
            if len(guids) > 1
            or value in kind.holders
            or (kind.code is Code.EXTENSION_TAKEN and value in self.reserved)
            for guid in guids
        }

    def _now_blocked(self, claim: Claim) -> Iterable[Guid]:
        """Those who wanted what this person would have left behind."""
        if claim.own is None:
            return
        for kind, found in zip(self.kinds, self.claimants, strict=True):
            held = kind.held(claim.own)
            if held is not None:
                yield from found.get(held, ())

    def _obstacle(self, claim: Claim, n: int) -> UserRecord | Claim | str | None:
        """Who stands in the way of this claim's value of kind `n`; None when it may have it."""
        kind = self.kinds[n]
        value = kind.wanted(claim.want)
        if value is None or (claim.own is not None and kind.held(claim.own) == value):
            return None
        if kind.code is Code.EXTENSION_TAKEN and value in self.reserved:
            return self.reserved[value]
        holder = kind.holders.get(value)
        if holder is not None and not self._leaves(holder, kind, value):
            return holder
        first, *rest = self.claimants[n][value][:2]
        if first != claim.guid:
            return self.claims[first]
        return self.claims[rest[0]] if rest else None

    def _leaves(self, holder: UserRecord, kind: _Kind, value: str) -> bool:
        """Whether this user gives the value up in this run, or kept it only for a time now over."""
        over = (
            kind.code is Code.EXTENSION_TAKEN
            and holder.reserved_until is not None
            and holder.reserved_until <= self.now
        )
        mover = self.claim_of_user.get(holder.id)
        if mover is None:
            return over
        wanted = kind.wanted(mover.want)
        if wanted is None or wanted == value:
            return False
        return over or (mover.acts and mover.guid not in self.refused)

    def _conflicts(self, claim: Claim) -> tuple[Conflict, ...]:
        found: list[Conflict] = []
        before: object = None
        for n, kind in enumerate(self.kinds):
            obstacle = self._obstacle(claim, n)
            if obstacle is None:
                continue
            # The same email means the same username: one conflict says it.
            if kind.code is not Code.USERNAME_TAKEN or obstacle is not before:
                value = kind.shown(claim.want) or ""
                found.append(taken(claim.person, kind.code, kind.field, value, obstacle))
            before = obstacle
        return tuple(found)

    def _takes(self) -> dict[Guid, tuple[Guid, ...]]:
        takes: dict[Guid, tuple[Guid, ...]] = {}
        wanting = {guid for found in self.claimants for v in found.values() for guid in v}
        for guid in wanting - self.refused:
            claim = self.claims[guid]
            sources = set()
            for kind in self.kinds:
                value = kind.wanted(claim.want)
                holder = kind.holders.get(value) if value is not None else None
                mover = self.claim_of_user.get(holder.id) if holder is not None else None
                if mover is not None and mover.guid not in self.refused and mover.guid != guid:
                    sources.add(mover.guid)
            if sources:
                takes[guid] = tuple(sorted(sources))
        return takes


def settle(
    claims: Mapping[Guid, Claim], records: Records, reserved: Mapping[str, str], now: datetime
) -> Settled:
    """Decide every claim at once. `reserved` maps numbers nobody may claim to their holder."""
    return _Arbiter(claims, records, reserved, now).settle()


def taken(
    person: Person, code: Code, field: str, value: str, holder: UserRecord | Claim | str
) -> Conflict:
    """The conflict of a value that belongs to someone else, with the remedy that fits whom."""
    if isinstance(holder, Claim):
        other = described(holder.person)
        remedy = f"Two AD accounts claim {value}: change the {field} of one of them in AD."
    elif isinstance(holder, str):
        other = holder
        remedy = f"Give this person another extension in AD, or free {value} in Kerauno."
    elif field == "extension":
        other = holder.words
        remedy = f"Give this person another extension in AD, or free {value} in Kerauno."
    elif holder.guid is None and holder.role == "admin":
        other = holder.words
        remedy = CONFIRM.format(email=holder.email)
    elif holder.guid is None:
        other = holder.words
        remedy = (
            f"If both are the same person: {CONFIRM.format(email=holder.email)}. "
            f"Otherwise change the {field} in AD or in Kerauno."
        )
    elif not holder.active:
        other = holder.words
        remedy = (
            f"If both are the same person, who came back with a new account: De-Sync "
            f"{holder.username}, then Sync with AD. Otherwise change the {field} in AD."
        )
    else:
        other = holder.words
        remedy = f"Change the {field} in AD, or that of {holder.username}."
    return Conflict(person.guid, shown(person), code, field, value, other, remedy)
