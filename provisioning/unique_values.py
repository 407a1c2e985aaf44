"""Unique values that people claim, and the conflicts of who cannot have them.

`provisioning.allocation` has the rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from dirclient.model.directory_objects import Guid, Person
from provisioning import allocation
from provisioning.allocation import Kind
from provisioning.mapping_rules import Code, Conflict, Desired, described, shown
from provisioning.records import Records, UserRecord

CONFIRM = "Confirm on the user's page with Sync with AD, or run: syncsvc user sync {email}"


@dataclass(slots=True)
class Claim:
    """The values that one person claims. `own` is the user it is for: linked, matched by email, or
    new.

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
class SettledValues:
    """The outcome: conflicts by person, and who takes a value over from whom."""

    conflicts: Mapping[Guid, tuple[Conflict, ...]]
    takes_from: Mapping[Guid, tuple[Guid, ...]]


def settle(
    claims: Mapping[Guid, Claim],
    records: Records,
    reserved: Mapping[str, str],
    leavers: Mapping[int, Guid],
    now: datetime,
) -> SettledValues:
    """Decide every claim at once.

    `reserved` maps numbers nobody may claim to their holder; `leavers` are the users whose names
    are free for others.
    """
    holders = {
        Kind.EMAIL: records.by_email,
        Kind.USERNAME: records.by_username,
        Kind.EXTENSION: records.by_extension,
    }
    settled = allocation.allocate(claims, holders, reserved, leavers, now)
    conflicts = {
        guid: tuple(
            _conflict(claims[guid], obstacle.kind, obstacle.holder) for obstacle in obstacles
        )
        for guid, obstacles in settled.refused.items()
    }
    return SettledValues(conflicts, settled.takes_from)


def _conflict(claim: Claim, kind: Kind, holder: UserRecord | Claim | str) -> Conflict:
    want = claim.want
    if kind is Kind.EMAIL:
        return taken(claim, Code.EMAIL_TAKEN, "email", want.email, holder)
    if kind is Kind.USERNAME:
        return taken(claim, Code.USERNAME_TAKEN, "username", want.username, holder)
    return taken(claim, Code.EXTENSION_TAKEN, "extension", want.extension or "", holder)


def taken(
    claim: Claim, code: Code, field: str, value: str, holder: UserRecord | Claim | str
) -> Conflict:
    """The conflict of a value that belongs to someone else, with the remedy that fits whom."""
    if isinstance(holder, Claim):
        other = described(holder.person)
        remedy = f"Two AD accounts claim {value}: change the {field} of one of them in AD."
    elif isinstance(holder, str):
        other = holder
        remedy = f"Give this person another extension in AD, or free {value} in Kerauno."
    else:
        other = holder.words
        remedy = _remedy(claim, field, value, holder)
    person = claim.person
    return Conflict(person.guid, shown(person), code, field, value, other, remedy)


def _remedy(claim: Claim, field: str, value: str, holder: UserRecord) -> str:
    """Say what to do about a value that this user has."""
    came_back = (
        f"If both are the same person, who came back with a new account: De-Sync "
        f"{holder.username}, then Sync with AD. Otherwise "
    )
    returned = claim.own is None and holder.guid is not None and not holder.active
    if field == "extension":
        remedy = f"give this person another extension in AD, or free {value} in Kerauno."
        return came_back + remedy if returned else remedy[0].upper() + remedy[1:]
    if holder.guid is None and holder.role == "admin":
        return CONFIRM.format(email=holder.email)
    if holder.guid is None:
        return (
            f"If both are the same person: {CONFIRM.format(email=holder.email)}. "
            f"Otherwise change the {field} in AD or in Kerauno."
        )
    if returned:
        return f"{came_back}change the {field} in AD."
    return f"Change the {field} in AD, or that of {holder.username}."
