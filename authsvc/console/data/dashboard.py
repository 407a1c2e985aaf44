"""The dashboard: does sign-in work, can AD be reached, what waits for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from authsvc.console import credentials_form as forms
from authsvc.console import words
from authsvc.console.data import people, requests, runs
from kerauno.tables import Audit, Directory, LinkProposal, Number, User, WebSession

RECENT = timedelta(hours=24)
SOON_FREE = timedelta(days=3)
"""A reserved number that becomes free within this is worth a word."""


@dataclass(frozen=True, slots=True)
class SignIns:
    """Sign-ins of the last day. `last_good` is the newest that succeeded."""

    succeeded: int
    refused: int
    unreachable: int
    last_good: datetime | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something that waits for a person: what, why, and where to see to it."""

    title: str
    note: str
    href: str
    action: str


@dataclass(frozen=True, slots=True)
class Overview:
    """All that the dashboard shows and the database knows."""

    directory: Directory | None
    service: requests.Service | None
    sign_ins: SignIns
    users: int
    synced: Mapping[str, int]
    conflicts: Mapping[str, int]
    sessions: int
    last_run: runs.RunRow | None
    waiting: tuple[Waiting, ...]


def sign_ins(s: Session, now: datetime, *, event: str) -> SignIns:
    """Sign-ins of the last day by outcome."""
    query = (
        select(Audit.outcome, func.count())
        .where(Audit.event == event, Audit.at >= now - RECENT)
        .group_by(Audit.outcome)
    )
    by_outcome = {outcome: int(count) for outcome, count in s.execute(query).all()}
    good = by_outcome.pop("ok", 0) + by_outcome.pop("checked", 0)
    away = by_outcome.get("directory_unavailable", 0) + by_outcome.get("directory_misconfigured", 0)
    last = s.scalar(
        select(Audit.at)
        .where(Audit.event == event, Audit.outcome == "ok")
        .order_by(Audit.id.desc())
        .limit(1)
    )
    return SignIns(good, sum(by_outcome.values()), away, last)


def overview(s: Session, now: datetime, *, event: str) -> Overview:
    """The dashboard of this moment, from the database alone."""
    directory = s.execute(select(Directory).order_by(Directory.id).limit(1)).scalar_one_or_none()
    signed = sign_ins(s, now, event=event)
    service = requests.service(s, directory.id, now) if directory else None
    last = runs.history(s).rows
    conflicts = people.conflict_counts(s, directory.id) if directory else {}
    return Overview(
        directory=directory,
        service=service,
        sign_ins=signed,
        users=s.scalar(select(func.count()).select_from(User).where(User.active)) or 0,
        synced=people.counts(s, directory.id).by_state if directory else {},
        conflicts=conflicts,
        sessions=s.scalar(
            select(func.count()).select_from(WebSession).where(WebSession.expires_at > now)
        )
        or 0,
        last_run=last[0] if last else None,
        waiting=tuple(_waiting(s, directory, service, conflicts, now)),
    )


_UNSET = Waiting(
    "Connect Active Directory",
    "Nobody can sign in with AD and nothing is synchronized yet.",
    "/console/directory/credentials",
    "Open AD Credentials",
)


def _waiting(
    s: Session,
    directory: Directory | None,
    service: requests.Service | None,
    conflicts: Mapping[str, int],
    now: datetime,
) -> list[Waiting]:
    """What is most urgent first."""
    if directory is None or service is None:
        return [_UNSET]
    return [
        *_of_the_service(service),
        *_held_runs(s),
        *_certificates(directory, now),
        *_proposals(s),
        *_conflicts(conflicts),
        *_reservations(s, now),
        *_remarks(s),
    ]


def _of_the_service(service: requests.Service) -> Iterator[Waiting]:
    if not service.running:
        yield Waiting(
            "The sync service does not answer",
            "Changes in AD do not arrive. Start it with: syncsvc serve",
            "/console/runs",
            "Open Runs",
        )
    if service.error:
        yield Waiting(
            "The last read of AD failed",
            service.error,
            "/console/directory/credentials",
            "Test it",
        )


def _held_runs(s: Session) -> Iterator[Waiting]:
    for run in runs.held(s):
        yield Waiting(
            f"Run {run.id} is held",
            run.error or "It would deactivate many people, or empty a ring group.",
            f"/console/runs/{run.id}",
            "Look at the list",
        )


def _proposals(s: Session) -> Iterator[Waiting]:
    count = s.scalar(select(func.count()).select_from(LinkProposal)) or 0
    if count:
        user_id = s.scalar(select(LinkProposal.user_id).limit(1))
        yield Waiting(
            f"{count} administrators' links to confirm",
            "An administrator's account is never linked by name alone.",
            f"/console/users/{user_id}/directory",
            "Look at it",
        )


def _conflicts(conflicts: Mapping[str, int]) -> Iterator[Waiting]:
    for code, count in conflicts.items():
        yield Waiting(
            f"{count:,} × {words.CONFLICTS[code]}",
            words.REMEDIES[code],
            f"/console/directory/users?state=conflict&conflict={code}",
            "Show them",
        )


def _reservations(s: Session, now: datetime) -> Iterator[Waiting]:
    count = s.scalar(
        select(func.count())
        .select_from(Number)
        .where(Number.reserved_until > now, Number.reserved_until <= now + SOON_FREE)
    )
    if count:
        yield Waiting(
            f"{count} reserved numbers become free within {SOON_FREE.days} days",
            "They were kept for people who left.",
            "/console/users/reservations",
            "Show them",
        )


def _remarks(s: Session) -> list[Waiting]:
    """What the last test of the credentials found about the service account's rights."""
    last = s.scalar(
        select(Audit).where(Audit.event == "settings-tested").order_by(Audit.id.desc()).limit(1)
    )
    remarks = last.detail.get("remarks", []) if last is not None else []
    return [
        Waiting(
            "The service account: " + str(one.get("said", "")),
            str(one.get("remedy", "")),
            "/console/directory/credentials",
            "Test again",
        )
        for one in remarks
        if isinstance(one, dict) and one.get("step") in ("rights", "bind")
    ]


def _certificates(directory: Directory, now: datetime) -> list[Waiting]:
    pem = str(directory.profile.get("ca_certificates") or "")
    return [
        Waiting(
            f"CA certificate {one.subject} "
            + ("has expired" if one.until <= now else "expires within 30 days"),
            f"Valid until {one.until:%Y-%m-%d}. Upload its successor.",
            "/console/directory/credentials",
            "Open AD Credentials",
        )
        for one in forms.certificates(pem, now)
        if one.soon
    ]
