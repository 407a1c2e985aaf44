"""The service account itself: why it was refused, what it lacks, and whether it can do too much."""

from __future__ import annotations

from collections.abc import Mapping

from dirclient.config.dn_input import domain_name
from dirclient.connection import result_codes
from dirclient.connection.ldap_connection import Connection
from dirclient.model.errors import (
    AccountExpired,
    BadCredentials,
    Disabled,
    HoursRestricted,
    Locked,
    LogonTypeDenied,
    Misconfigured,
    MustChangePassword,
    PasswordExpired,
    Refused,
    WorkstationRestricted,
)
from dirclient.operations.rootdse import RootDse
from dirclient.wire.decode import Entry
from dirclient.wire.filters import EVERYTHING, eq

_REFUSALS: Mapping[type[Refused], tuple[str, str, str]] = {
    BadCredentials: (
        "password",
        "The directory refused the service account: the name or the password is wrong.",
        "Enter both again, the name as user@domain, DOMAIN\\user or a full DN.",
    ),
    Locked: (
        "username",
        "The service account is locked after too many wrong passwords.",
        "Unlock it (Unlock-ADAccount), and find out who still uses an old password of it.",
    ),
    Disabled: (
        "username",
        "The service account is disabled.",
        "Enable it (Enable-ADAccount), or enter another one.",
    ),
    AccountExpired: (
        "username",
        "The service account has expired.",
        "Let it never expire (Clear-ADAccountExpiration), or enter another one.",
    ),
    PasswordExpired: (
        "password",
        "The service account's password has expired.",
        "Set a new one, tick 'Password never expires' for this account, and enter it here.",
    ),
    MustChangePassword: (
        "password",
        "The service account must change its password first.",
        "Untick 'User must change password at next logon' for this account.",
    ),
    HoursRestricted: (
        "username",
        "The service account may not sign in at this hour.",
        "Allow all logon hours for this account.",
    ),
    WorkstationRestricted: (
        "username",
        "The service account may sign in only at named workstations.",
        "Clear 'Log On To' for this account, or add the domain controllers to it.",
    ),
    LogonTypeDenied: (
        "username",
        "The service account may not sign in over the network.",
        "Give it the right 'Access this computer from the network' on the domain controllers.",
    ),
}

# Groups whose members can change what they should only read, by RID (MS-DTYP 2.4.2.4).
_DOMAIN_POWERS = {512: "Domain Admins", 518: "Schema Admins", 519: "Enterprise Admins"}
_BUILTIN_POWERS = {
    544: "Administrators",
    548: "Account Operators",
    549: "Server Operators",
    551: "Backup Operators",
}
_UNTOLD = result_codes.HIDDEN | {
    result_codes.SIZE_LIMIT,
    result_codes.INVALID_DN_SYNTAX,
    result_codes.REFERRAL,
}
_BUILTIN = b"\x01\x02\0\0\0\0\0\x05\x20\0\0\0"
_DOMAIN = b"\x01\x05\0\0\0\0\0\x05\x15\0\0\0"


def bind_fault(refusal: Refused) -> Misconfigured:
    """Why the service account could not sign in, for the administrator who entered it."""
    for kind, (field, message, remedy) in _REFUSALS.items():
        if isinstance(refusal, kind):
            code = f" (data {refusal.subcode})" if refusal.subcode else ""
            return Misconfigured(message + code, field=field, remedy=remedy)
    return Misconfigured(
        str(refusal), field="username", remedy="Put the account in order, or enter another one."
    )


def find(connection: Connection, root: RootDse, username: str) -> Entry | None:
    """The service account's own entry (AD), by whatever form of name it signs in with.

    None where it cannot be told for certain.
    """
    names = ("sAMAccountName", "userPrincipalName")
    if "=" in username:
        answer = connection.search(username, EVERYTHING, names, "base", expecting=_UNTOLD)
    else:
        account = username.rpartition("\\")[2].partition("@")[0].strip()
        filter_ = eq("sAMAccountName", account)
        if "@" in username:
            filter_ |= eq("userPrincipalName", username.strip())
        answer = connection.search(root.domain, filter_, names, size_limit=5, expecting=_UNTOLD)
    if answer.code != result_codes.SUCCESS or len(answer.entries) != 1:
        return None
    return answer.entries[0]


def powers(connection: Connection, account: Entry) -> tuple[str, ...]:
    """The mighty groups it is in, nested ones included (tokenGroups, MS-ADTS 3.1.1.4.5.19)."""
    answer = connection.search(
        account.dn, EVERYTHING, ("tokenGroups",), scope="base", expecting=result_codes.HIDDEN
    )
    if answer.code != result_codes.SUCCESS or not answer.entries:
        return ()
    rights = set()
    for sid in answer.entries[0].attributes.get("tokengroups", ()):
        rid = int.from_bytes(sid[-4:], "little")
        if sid.startswith(_BUILTIN) and len(sid) == 16:
            rights.add(_BUILTIN_POWERS.get(rid, ""))
        elif sid.startswith(_DOMAIN) and len(sid) == 28:
            rights.add(_DOMAIN_POWERS.get(rid, ""))
    return tuple(sorted(rights - {""}))


def grant_commands(root: RootDse, account: Entry | None, username: str) -> tuple[str, ...]:
    """Return what an administrator runs on a domain controller so that deletions can be seen.

    List contents and read property on the container of deleted objects, and no more.
    """
    name = username
    if account is not None:
        sam = account.text("sAMAccountName")
        name = account.text("userPrincipalName") or f"{sam}@{domain_name(root.domain)}"
    place = f"CN=Deleted Objects,{root.domain}"
    return (
        f'dsacls "{place}" /takeownership',
        f'dsacls "{place}" /G "{name}:LCRP"',
    )
