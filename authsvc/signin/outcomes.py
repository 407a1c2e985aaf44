"""The outcomes of a sign-in, as data."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from authsvc.signin.directory_connection import OpenDirectory
from dirclient.config.ports import Identity
from kerauno.accounts import links
from kerauno.signin.throttle import Reservation
from kerauno.signin.user_lookup import SignInUser


@dataclass(frozen=True, slots=True)
class Attempt:
    """The data of one attempt. Secrets are in no `repr`, so that no log or trace can hold them."""

    name: str
    password: str = field(repr=False)
    address: str
    user_agent: str = ""
    cookie: str = field(default="", repr=False)  # of the session that the browser has already
    known: str = field(default="", repr=False)  # by which the browser is known, for some people


class Reason(enum.StrEnum):
    """Why somebody was not let in, for administrators: the audit's `outcome`. Never shown."""

    NOT_A_NAME = "not_a_name"
    UNKNOWN = "unknown_name"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105 - a word
    INACTIVE = "inactive"
    BLOCKED = "blocked"
    NO_WAY_IN = "no_password"
    NOT_LINKED = "not_linked"
    NO_MATCH = "no_match"
    AMBIGUOUS = "ambiguous"
    HELD_OUT = "held_out"
    ADMINISTRATOR = "administrator_not_linked"
    LOCKED = "account_locked"
    DISABLED = "account_disabled"
    EXPIRED = "account_expired"
    HOURS = "hours_restricted"
    WORKSTATION = "workstation_restricted"
    LOGON_TYPE = "logon_type_denied"
    PASSWORD_EXPIRED = "password_expired"  # noqa: S105 - a word
    MUST_CHANGE = "must_change_password"
    UNAVAILABLE = "directory_unavailable"
    MISCONFIGURED = "directory_misconfigured"
    USED_UP = "attempts_used_up"  # under other names of the same person


class Verdict(enum.Enum):
    """The verdict on a password, as the throttle counts it."""

    CORRECT = "correct"  # the password was right, which forgives wrong ones before it
    CORRECT_BUT_REFUSED = "correct but refused"  # it opened nothing: AD forgives nothing for that
    WRONG = "wrong"
    UNKNOWN = "unknown"  # a directory was asked, and only the directory knows
    NOT_CHECKED = "not checked"  # no directory was asked


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The password was right and the user may come in.

    `method` is `directory` or `local`; `link` is the tie to make on a first sign-in.
    """

    user: SignInUser
    method: str
    slot: Reservation
    identity: Identity
    link: links.LinkedAccount | None = None


@dataclass(frozen=True, slots=True)
class Denied:
    """Unknown, wrong or without access: which of them only `reason` tells, to administrators."""

    reason: Reason
    code: str
    local: bool = False  # a Kerauno password was checked, which takes longer than a bind


@dataclass(frozen=True, slots=True)
class MustChange:
    """The password was right and has expired, or must be changed. `rejected`: why a new one was not
    taken, as in `PasswordRejected.reason`."""

    expired: bool
    identity: Identity
    directory: OpenDirectory
    code: str = ""
    rejected: str = ""
    user_id: int | None = None


@dataclass(frozen=True, slots=True)
class NameIncomplete:
    """A full email address is asked for, and this name is none. Nothing else was looked at."""


@dataclass(frozen=True, slots=True)
class DirectoryUnavailable:
    """No server could be asked. `why` is for the log."""

    reason: Reason
    code: str
    why: str


@dataclass(frozen=True, slots=True)
class RateLimited:
    """Throttled. Whole seconds until the next attempt may be made."""

    retry_after: int
    code: str = ""


Failure = Denied | MustChange | NameIncomplete | DirectoryUnavailable | RateLimited
Outcome = Authenticated | Failure

METRIC_LABELS: dict[type[Outcome], str] = {
    Authenticated: "authenticated",
    Denied: "denied",
    MustChange: "password_change_required",
    NameIncomplete: "name_incomplete",
    DirectoryUnavailable: "directory_unavailable",
    RateLimited: "rate_limited",
}
"""The label `outcome` of `kerauno_signins_total`, a contract with operators: docs/operations.md."""
