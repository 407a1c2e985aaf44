"""Errors of the records, as one small tree.

    RecordError                    a rule of the records says no; the sentence is fit for a person
    ├── NotFound                   no such record
    ├── InvalidValue               names the field and the remedy
    │   ├── NumberTaken            says by whom, in words
    │   ├── UsernameTaken          "
    │   └── EmailTaken             "
    ├── ReadOnly                   the directory owns this field (HTTP 409)
    ├── Stale                      someone else saved first (HTTP 409)
    └── LeaseLost                  another run took over; nothing more may be written
    Throttled                      too many attempts; says how long to wait
    KeyProblem                     the secret key file is missing, unreadable or another one
    DatabaseUnavailable            locked, gone or not answering; try later
    ├── DatabaseFull               its disk takes no more
    ├── DatabaseReadOnly           a standby, or made so
    ├── DatabaseConflict           another transaction was in the way: the same once more may do
    └── SchemaOutdated             run `authsvc db upgrade`
    ConfigurationError             every fault of the settings at once

Who catches one of these knows what to do: never a bool, never None, never a message to parse.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


class RecordError(Exception):
    """Base of what the records refuse. `str()` is a sentence for a person."""


class NotFound(RecordError):
    """There is no such record."""


class AccessEnded(RecordError):
    """The person's access ended while they were being let in."""


class InvalidValue(RecordError):
    """A value cannot be stored. `field` names it, `remedy` says in one sentence what to do."""

    def __init__(self, message: str, *, field: str, remedy: str) -> None:
        super().__init__(message)
        self.field = field
        self.remedy = remedy


class NumberTaken(InvalidValue):
    """A number has another holder. `holder` says whom in words, such as `ring group Sales`."""

    def __init__(self, number: str, holder: str, *, field: str = "extension") -> None:
        super().__init__(
            f"Number {number} is used by {holder}.",
            field=field,
            remedy=f"Choose another number, or free {number} first.",
        )
        self.number = number
        self.holder = holder


class UsernameTaken(InvalidValue):
    """A username is another user's, regardless of case. `holder` says whose in words."""

    def __init__(self, username: str, holder: str) -> None:
        super().__init__(
            f"Username {username} is used by {holder}.",
            field="username",
            remedy="Usernames are unique without regard to case and domain: choose another.",
        )
        self.username = username
        self.holder = holder


class EmailTaken(InvalidValue):
    """An email is another user's, regardless of case. `holder` says whose in words."""

    def __init__(self, email: str, holder: str) -> None:
        super().__init__(
            f"Email {email} is used by {holder}.",
            field="email",
            remedy="Each email belongs to one user: choose another.",
        )
        self.email = email
        self.holder = holder


class ReadOnly(RecordError):
    """The directory owns this field of this record; it is changed there, not here."""

    def __init__(self, field: str, message: str = "") -> None:
        super().__init__(
            message or f"The {field} comes from Active Directory and can only be changed there."
        )
        self.field = field


class Stale(RecordError):
    """The record was changed by someone else since it was read. Load it again, then decide."""


class LeaseLost(RecordError):
    """The lease ended or passed to another holder: whoever sees this must write nothing more."""


class Throttled(Exception):
    """Too many attempts. `retry_after` is whole seconds until the next one may be made.

    `scope` is `account`, `address` or `person`; the words shown to a person are the same for all.
    `key` is what was counted, to `limit` within `window`; `code` is of the audit event, if there is
    one.
    """

    def __init__(
        self,
        retry_after: int,
        *,
        scope: str,
        key: str = "",
        limit: int = 0,
        window: timedelta = timedelta(0),
    ) -> None:
        super().__init__(f"Too many attempts. Try again in {retry_after} seconds.")
        self.retry_after = retry_after
        self.scope = scope
        self.key = key
        self.limit = limit
        self.window = window
        self.code = ""


class KeyProblem(Exception):
    """A sealed secret cannot be opened or made: the key file is at fault. Says what to do."""


class DatabaseUnavailable(Exception):
    """The database cannot be asked now: locked, gone, full or not answering. Try later."""


class DatabaseFull(DatabaseUnavailable):
    """The database's disk is full. It still answers, and writes nothing."""


class DatabaseReadOnly(DatabaseUnavailable):
    """The database takes no writes: it is a standby, or was made read-only."""


class DatabaseConflict(DatabaseUnavailable):
    """The server ended the transaction in favour of another. Nothing of it was kept."""


class SchemaOutdated(DatabaseUnavailable):
    """The database's tables are not those of this version. The message says what to run."""


@dataclass(frozen=True, slots=True)
class SettingFault:
    """One fault of the process settings: the key as the operator wrote it, and the remedy."""

    key: str
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.key}: {self.message} {self.remedy}"


class ConfigurationError(Exception):
    """The settings of the process cannot be used. `faults` holds every fault, not the first."""

    def __init__(self, faults: list[SettingFault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults
