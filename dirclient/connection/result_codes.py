"""Meaning of result codes: AD's bind sub-codes and the codes of LDAP, as the error tree.

AD answers every failed bind with 49 and says why as `data XXX` in the message
(MS-ADTS 5.1.1.1.1); the rest of that message differs between versions and is never looked at.
"""

from __future__ import annotations

import re

from dirclient.connection.outages import BindLost, Declined, Unsuited
from dirclient.model.errors import (
    AccountExpired,
    BadCredentials,
    DirectoryError,
    Disabled,
    HoursRestricted,
    Locked,
    LogonTypeDenied,
    MustChangePassword,
    PasswordExpired,
    PasswordRejected,
    Refused,
    Unavailable,
    WorkstationRestricted,
)

SUCCESS = 0
OPERATIONS_ERROR = 1
TIME_LIMIT = 3
SIZE_LIMIT = 4
STRONGER_AUTH_REQUIRED = 8
REFERRAL = 10
ADMIN_LIMIT = 11
UNKNOWN_CONTROL = 12
CONFIDENTIALITY_REQUIRED = 13
CONSTRAINT_VIOLATION = 19
NO_SUCH_OBJECT = 32
INVALID_DN_SYNTAX = 34
INAPPROPRIATE_AUTH = 48
INVALID_CREDENTIALS = 49
INSUFFICIENT_ACCESS = 50
BUSY = 51
UNAVAILABLE = 52
UNWILLING = 53
OTHER = 80

HIDDEN = frozenset((NO_SUCH_OBJECT, INSUFFICIENT_ACCESS))
"""Where something is not there, or not for the service account to see."""

_UNWELL = frozenset((BUSY, UNAVAILABLE))
_DECLINED = _UNWELL | {OPERATIONS_ERROR, TIME_LIMIT, ADMIN_LIMIT, OTHER}
_NOT_WRITTEN = _UNWELL | {OPERATIONS_ERROR, REFERRAL}
"""With which a server declines a change without having made it; a read-only one refers."""

_DATA = re.compile(r"\bdata ([0-9a-fA-F]+)")
_ERROR = re.compile(r"\A\s*(?:0x)?([0-9a-fA-F]{8})\b")

# 52e and 525 (unknown user), 57 (ambiguous name), 52f (Protected Users: this way of signing in
# is closed, right or wrong) and everything unknown mean BadCredentials: they tell a stranger
# nothing about who exists.
_BIND: dict[str, type[Refused]] = {
    "530": HoursRestricted,
    "531": WorkstationRestricted,
    "532": PasswordExpired,
    "533": Disabled,
    "569": LogonTypeDenied,
    "701": AccountExpired,
    "773": MustChangePassword,
    "775": Locked,
}

_CANNOT_JUDGE = frozenset(
    (
        *("5", "8", "54f", "5aa"),  # access denied to it, and what it lacks itself
        *("51f", "54b", "5b4", "576"),  # no logon server, no domain, no time, clocks apart
        *("6ba", "6bb", "6be", "6bf"),  # calls to another domain controller that failed
        *("6fa", "6fb", "6fc", "6fd"),  # trust between it and another domain
        *("80090300", "80090304", "80090311", "80090324", "80090346"),  # the same as SSPI has it
    )
)
"""Numbers (MS-ERREF 2.1, 2.2) of a domain controller that looked at no password: one that is cut
off from where it would have to ask, or that wants a channel binding. Another one may judge."""

_LOST_BINDS = ("4dc", "2020")  # ERROR_NOT_AUTHENTICATED; the same as Samba has it


def subcode(message: str) -> str:
    """AD's `data` number in lower-case hex without leading zeros; empty where there is none."""
    match = _DATA.search(message)
    return match[1].lower().lstrip("0") or "0" if match else ""


def refusal(server: str, code: int, message: str) -> DirectoryError:
    """The error that a failed simple bind means.

    `Refused` when the directory judged name and password; `Declined` when this server could not,
    `Unsuited` when it does not look at passwords that are sent so.
    """
    if code == INVALID_CREDENTIALS:
        number = subcode(message)
        if number in _CANNOT_JUDGE:
            words = f"{server} could not judge the sign-in (result code 49, data {number})."
            return Declined(words, code=code, unwell=True)
        return _BIND.get(number, BadCredentials)(subcode=number)
    if code in (NO_SUCH_OBJECT, INVALID_DN_SYNTAX, INAPPROPRIATE_AUTH):
        return BadCredentials()
    if code in (STRONGER_AUTH_REQUIRED, CONFIDENTIALITY_REQUIRED):
        return Unsuited(
            f"{server} refuses passwords on an unencrypted connection.",
            field="encryption",
            remedy="Choose StartTLS, or LDAPS with port 636.",
        )
    if code in (INSUFFICIENT_ACCESS, UNWILLING):
        return Refused(f"The directory refused the sign-in (result code {code}).")
    if code == REFERRAL:
        return Unsuited(
            f"{server} referred the sign-in to another server.",
            field="servers",
            remedy="Enter a domain controller of the domain that the accounts are in.",
        )
    words = f"{server} could not decide on the sign-in (result code {code})."
    return Declined(words, code=code, unwell=True)


def unanswered(server: str, code: int, message: str) -> Unavailable:
    """The error that a search means which ended with a code that nobody expects.

    `Declined` where another server may well answer it; `BindLost` where it must be asked again on
    a connection that is bound.
    """
    words = f"{server} did not answer a search (result code {code})."
    words = f"{words} {message}".rstrip()
    if lost_bind(code, message):
        return BindLost(words, code=code)
    if code in _DECLINED:
        return Declined(words, code=code, unwell=code in _UNWELL)
    return Unavailable(words)


def unwritten(server: str, code: int, message: str) -> Declined | None:
    """The error that a change means which a server declined without making it; else None."""
    if code not in _NOT_WRITTEN:
        return None
    words = f"{server} could not make the change (result code {code})."
    words = f"{words} {message}".rstrip()
    if lost_bind(code, message):
        return BindLost(words, code=code)
    return Declined(words, code=code, unwell=code in _UNWELL)


def lost_bind(code: int, message: str) -> bool:
    """Return whether an answer says that nobody has signed in on its connection."""
    return code == OPERATIONS_ERROR and _error_number(message) in _LOST_BINDS


def _error_number(message: str) -> str:
    """The Win32 number that AD begins a message with, as `subcode` writes it."""
    match = _ERROR.match(message)
    return match[1].lower().lstrip("0") if match else ""


def change_refusal(code: int, message: str) -> DirectoryError:
    """The error that a failed password change means.

    AD begins the message with a Win32 error number: 56 wrong old password, 52D policy,
    775 locked, 773 and others as they come (MS-ADTS 3.1.1.3.1.5).
    """
    number = _error_number(message)
    if code in (STRONGER_AUTH_REQUIRED, CONFIDENTIALITY_REQUIRED):
        return PasswordRejected(
            "The directory changes passwords on encrypted connections only.", reason="insecure"
        )
    if number == "775":
        return PasswordRejected("The account is locked.", reason="locked", subcode=number)
    if number == "56" or code == INVALID_CREDENTIALS:
        return PasswordRejected("The old password is wrong.", reason="old_password", subcode=number)
    if number == "52d" or (code == CONSTRAINT_VIOLATION and number in ("", "2077", "20ae")):
        return PasswordRejected(
            "The new password does not meet the directory's rules on length, complexity, "
            "age or history.",
            reason="policy",
            subcode=number,
        )
    if code in _DECLINED:
        return Unavailable(f"The directory could not change the password (result code {code}).")
    return PasswordRejected(
        f"The directory did not accept the change (result code {code}).",
        reason="other",
        subcode=number,
    )
