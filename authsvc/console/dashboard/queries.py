"""The dashboard: does sign-in work, can AD be reached, what waits for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from authsvc.console import labels
from authsvc.console.ad_credentials import form as ad_credentials
from authsvc.console.ad_users import queries as ad_users
from authsvc.console.runs import queries as runs
from authsvc.console.runs import requests
from authsvc.i18n.formatting import day
from authsvc.i18n.translate import gettext as _
from authsvc.i18n.translate import ngettext, translate_sentence
from kerauno.tables.core import Audit, Directory, LinkProposal, Number, User, WebSession

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
    conflicts = ad_users.conflict_counts(s, directory.id) if directory else {}
    return Overview(
        directory=directory,
        service=service,
        sign_ins=signed,
        users=s.scalar(select(func.count()).select_from(User).where(User.active)) or 0,
        synced=ad_users.counts(s, directory.id).by_state if directory else {},
        conflicts=conflicts,
        sessions=s.scalar(
            select(func.count()).select_from(WebSession).where(WebSession.expires_at > now)
        )
        or 0,
        last_run=last[0] if last else None,
        waiting=tuple(_waiting(s, directory, service, conflicts, now)),
    )


def _unset() -> Waiting:
    return Waiting(
        _("Connect Active Directory"),
        _("Nobody can sign in with AD and nothing is synchronized yet."),
        "/console/directory/credentials",
        _("Open AD Credentials"),
    )


def _waiting(
    s: Session,
    directory: Directory | None,
    service: requests.Service | None,
    conflicts: Mapping[str, int],
    now: datetime,
) -> list[Waiting]:
    """Return what is most urgent first."""
    if directory is None or service is None:
        return [_unset()]
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
            _("The sync service does not answer"),
            _("Changes in AD do not arrive. Start it with: syncsvc serve"),
            "/console/runs",
            _("Open Runs"),
        )
    if service.error:
        yield Waiting(
            _("The last read of AD failed"),
            translate_sentence(service.error),
            "/console/directory/credentials",
            _("Test it"),
        )
    if service.unread:
        yield Waiting(
            _("Departments are not synchronized"),
            translate_sentence(service.unread),
            "/console/directory/credentials",
            _("Open AD Credentials"),
        )
    if service.lagging:
        yield Waiting(
            _("A directory server has not caught up"),
            translate_sentence(service.lagging),
            "/console/runs",
            _("Open Runs"),
        )


def _held_runs(s: Session) -> Iterator[Waiting]:
    for run in runs.held(s):
        yield Waiting(
            _("Run %(run)s is held", run=str(run.id)),
            translate_sentence(run.error)
            or _("It would deactivate many people, or empty a ring group."),
            f"/console/runs/{run.id}",
            _("Look at the list"),
        )


def _proposals(s: Session) -> Iterator[Waiting]:
    count = s.scalar(select(func.count()).select_from(LinkProposal)) or 0
    if count:
        user_id = s.scalar(select(LinkProposal.user_id).limit(1))
        yield Waiting(
            ngettext(
                "%(n)s administrator's link to confirm",
                "%(n)s administrators' links to confirm",
                count,
            ),
            _("An administrator's account is never linked by name alone."),
            f"/console/users/{user_id}/directory",
            _("Look at it"),
        )


def _conflicts(conflicts: Mapping[str, int]) -> Iterator[Waiting]:
    for code, count in conflicts.items():
        yield Waiting(
            _("%(n)s × %(conflict)s", n=count, conflict=labels.label(labels.CONFLICTS, code)),
            labels.label(labels.REMEDIES, code),
            f"/console/directory/users?state=conflict&conflict={code}",
            _("Show them"),
        )


def _reservations(s: Session, now: datetime) -> Iterator[Waiting]:
    count = s.scalar(
        select(func.count())
        .select_from(Number)
        .where(Number.reserved_until > now, Number.reserved_until <= now + SOON_FREE)
    )
    if count:
        yield Waiting(
            ngettext(
                "%(n)s reserved number becomes free within %(days)s days",
                "%(n)s reserved numbers become free within %(days)s days",
                count,
                days=SOON_FREE.days,
            ),
            _("They were kept for people who left."),
            "/console/users/reservations",
            _("Show them"),
        )


def _remarks(s: Session) -> list[Waiting]:
    """Return what the last test of the credentials found about the service account's rights."""
    last = s.scalar(
        select(Audit).where(Audit.event == "settings-tested").order_by(Audit.id.desc()).limit(1)
    )
    remarks = last.detail.get("remarks", []) if last is not None else []
    return [
        Waiting(
            _(
                "The service account: %(remark)s",
                remark=translate_sentence(str(remark.get("said", ""))),
            ),
            translate_sentence(str(remark.get("remedy", ""))),
            "/console/directory/credentials",
            _("Test again"),
        )
        for remark in remarks
        if isinstance(remark, dict) and remark.get("step") in ("rights", "bind")
    ]


def _certificates(directory: Directory, now: datetime) -> list[Waiting]:
    pem = str(directory.profile.get("ca_certificates") or "")
    return [
        Waiting(
            _("CA certificate %(subject)s has expired", subject=certificate.subject)
            if certificate.until <= now
            else _(
                "CA certificate %(subject)s expires within 30 days", subject=certificate.subject
            ),
            _("Valid until %(day)s. Upload its successor.", day=day(certificate.until)),
            "/console/directory/credentials",
            _("Open AD Credentials"),
        )
        for certificate in ad_credentials.certificates(pem, now)
        if certificate.soon
    ]
