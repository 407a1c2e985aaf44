"""What a result code means: AD's bind sub-codes and the codes of LDAP itself, as the error tree.

AD answers every failed bind with 49 and says why as `data XXX` in the message
(MS-ADTS 5.1.1.1.1); the rest of that message differs between versions and is never looked at.
"""

from __future__ import annotations

import re

from dirclient.errors import (
    AccountExpired,
    BadCredentials,
    DirectoryError,
    Disabled,
    HoursRestricted,
    Locked,
    LogonTypeDenied,
    Misconfigured,
    MustChangePassword,
    PasswordExpired,
    PasswordRejected,
    Refused,
    Unavailable,
    WorkstationRestricted,
)

SUCCESS = 0
TIME_LIMIT = 3
SIZE_LIMIT = 4
STRONGER_AUTH_REQUIRED = 8
REFERRAL = 10
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


def subcode(message: str) -> str:
    """AD's `data` number in lower-case hex without leading zeros; empty where there is none."""
    found = _DATA.search(message)
    return found[1].lower().lstrip("0") or "0" if found else ""


def refusal(code: int, message: str) -> DirectoryError:
    """The error that a failed simple bind means.

    `Refused` when the directory judged name and password; `Misconfigured` when it wants
    encryption; `Unavailable` when it answered without judging.
    """
    if code == INVALID_CREDENTIALS:
        found = subcode(message)
        return _BIND.get(found, BadCredentials)(subcode=found)
    if code in (NO_SUCH_OBJECT, INVALID_DN_SYNTAX, INAPPROPRIATE_AUTH):
        return BadCredentials()
    if code in (STRONGER_AUTH_REQUIRED, CONFIDENTIALITY_REQUIRED):
        return Misconfigured(
            "The directory refuses passwords on an unencrypted connection.",
            field="encryption",
            remedy="Choose StartTLS, or LDAPS with port 636.",
        )
    if code in (INSUFFICIENT_ACCESS, UNWILLING):
        return Refused(f"The directory refused the sign-in (result code {code}).")
    if code == REFERRAL:
        return Misconfigured(
            "The server referred the sign-in to another server.",
            field="servers",
            remedy="Enter a domain controller of the domain that the accounts are in.",
        )
    return Unavailable(f"The directory could not decide on the sign-in (result code {code}).")


def change_refusal(code: int, message: str) -> DirectoryError:
    """The error that a failed password change means.

    AD begins the message with a Win32 error number: 56 wrong old password, 52D policy,
    775 locked, 773 and others as they come (MS-ADTS 3.1.1.3.1.5).
    """
    found = _ERROR.match(message)
    number = found[1].lower().lstrip("0") if found else ""
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
    if code in (BUSY, UNAVAILABLE):
        return Unavailable(f"The directory could not change the password (result code {code}).")
    return PasswordRejected(
        f"The directory did not accept the change (result code {code}).",
        reason="other",
        subcode=number,
    )
