"""The directory settings, as one run needs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from dirclient.config.profile import Profile
from dirclient.model.errors import Misconfigured
from kerauno.secrets.encryption import Sealer
from kerauno.sync import directory_settings
from kerauno.tables.core import Directory
from provisioning.deletion_threshold import Limits
from provisioning.plan import Mode


@dataclass(frozen=True, slots=True)
class Configured:
    """A directory that can be read, and the rules for what is done with it."""

    id: int
    version: int
    profile: Profile
    stored: Mapping[str, Any]  # the profile as it is in the database, to see whether it changed
    sealed_password: str
    auto_sync: bool
    numbers: tuple[str, str] | None
    reserve_days: int
    limits: Limits
    role_groups: Mapping[str, str]
    interval: int  # seconds between complete reads

    @property
    def mode(self) -> Mode:
        """Return what a run does by itself: keep what is linked true, and build when it is to."""
        return Mode.BUILD if self.auto_sync else Mode.KEEP


def load(s: Session, sealer: Sealer) -> Configured:
    """The configured directory.

    Raises Misconfigured while none is, or when it cannot be used as it is, and KeyProblem.
    """
    row = directory_settings.load(s)
    if row is None:
        raise Misconfigured(
            "No directory is set up yet.",
            field="servers",
            remedy="Fill in AD Credentials, or run: authsvc directory set",
        )
    return configured(row, {}, sealer)


def configured(row: Directory, draft: Mapping[str, Any], sealer: Sealer) -> Configured:
    """The stored settings with those of `draft` in their place, to try out before saving."""

    def value(name: str) -> Any:
        return draft.get(name, getattr(row, name))

    profile = Profile.from_stored(value("profile"), sealer.open(value("sealed_password")))
    for fault in profile.faults():
        raise Misconfigured(fault.message, field=fault.field, remedy=fault.remedy)
    first, last = value("ring_group_first"), value("ring_group_last")
    return Configured(
        id=row.id,
        version=row.version,
        profile=profile,
        stored=value("profile"),
        sealed_password=value("sealed_password"),
        auto_sync=value("auto_sync"),
        numbers=(first, last) if first and last else None,
        reserve_days=value("reserve_days"),
        limits=Limits(value("guard_count"), value("guard_percent")),
        role_groups=value("role_groups"),
        interval=value("sync_interval"),
    )
