"""Errors of a directory, as one small tree.

    DirectoryError
    ├── Misconfigured        an administrator must act; names the field and the remedy
    ├── Unavailable          no server could be asked; try later
    ├── Incomplete           a read did not reach its end; nothing may be planned on it
    ├── NotFound             a look-up matched nobody
    ├── Ambiguous            a look-up matched more than one
    └── Refused              the directory was asked and said no
        ├── BadCredentials   wrong name or password: which of the two is never told
        ├── Locked           too many wrong passwords; says nothing about this one
        └── PasswordWasRight   the refusals AD gives only to someone who knows the password
            ├── Disabled
            ├── AccountExpired
            ├── PasswordExpired
            ├── MustChangePassword
            ├── HoursRestricted
            ├── WorkstationRestricted
            └── LogonTypeDenied
    PasswordRejected (a Refused)   a new password was not accepted; says why when AD does

What a single server did, and so whether another one may be asked, is told by the kinds of
`Unavailable` in `dirclient.connection.outages`.

Never a bool, never None, never a message to parse: who catches one of these knows what to do.
The sub-codes are those of MS-ADTS 5.1.1.1 as `data XXX` in the diagnostic message of result 49.
"""

from __future__ import annotations


class DirectoryError(Exception):
    """Base of the tree. `str()` of any of them is a sentence fit for an administrator."""


class Misconfigured(DirectoryError):
    """The connection cannot work until an administrator changes something.

    `field` is the name of the `Profile` field at fault, `remedy` one sentence on what to do.
    """

    def __init__(self, message: str, *, field: str, remedy: str) -> None:
        super().__init__(message)
        self.field = field
        self.remedy = remedy


class Unavailable(DirectoryError):
    """No directory server could be asked in time. Nothing is known about the question.

    `tried` holds one line for each server: its address and what happened there. `was_sent` tells
    that a server took the request and broke off before it answered: it may have judged a password.
    """

    def __init__(
        self, message: str, *, tried: tuple[str, ...] = (), was_sent: bool = False
    ) -> None:
        super().__init__(message)
        self.tried = tried
        self.was_sent = was_sent


class Incomplete(DirectoryError):
    """A read ended before its end was proven. `read` counts the entries that had arrived."""

    def __init__(self, message: str, *, read: int = 0) -> None:
        super().__init__(message)
        self.read = read


class NotFound(DirectoryError):
    """A look-up for exactly one object matched none."""


class Ambiguous(DirectoryError):
    """A look-up for exactly one object matched several. `dns` names them, for administrators."""

    def __init__(self, message: str, *, dns: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.dns = dns


class Refused(DirectoryError):
    """The directory answered no. `subcode` is AD's `data` number in lower-case hex, or empty."""

    def __init__(self, message: str = "", *, subcode: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").split("\n")[0])
        self.subcode = subcode


class BadCredentials(Refused):
    """The name or the password is wrong."""


class Locked(Refused):
    """The account is locked after too many wrong passwords."""


class PasswordWasRight(Refused):
    """The password was right, and the account may still not sign in."""


class Disabled(PasswordWasRight):
    """The account is disabled."""


class AccountExpired(PasswordWasRight):
    """The account has expired."""


class PasswordExpired(PasswordWasRight):
    """The password has expired; it can be changed."""


class MustChangePassword(PasswordWasRight):
    """The password must be changed before the first sign-in; it can be changed."""


class HoursRestricted(PasswordWasRight):
    """The account may not sign in at this hour."""


class WorkstationRestricted(PasswordWasRight):
    """The account may sign in only at named workstations."""


class LogonTypeDenied(PasswordWasRight):
    """The account may not sign in this way."""


class PasswordRejected(Refused):
    """The new password was not accepted.

    `reason` is one of `policy`, `old_password`, `locked`, `insecure` (no encryption), `other`.
    """

    def __init__(self, message: str, *, reason: str, subcode: str = "") -> None:
        super().__init__(message, subcode=subcode)
        self.reason = reason
