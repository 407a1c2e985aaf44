"""Binding and passwords as AD does them, with its sub-codes (MS-ADTS 5.1.1.1, 3.1.1.3.1.5)."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from demo import company
from demo.names import fold
from demo.protocol import (
    CONSTRAINT_VIOLATION,
    INSUFFICIENT_RIGHTS,
    INVALID_CREDENTIALS,
    UNWILLING,
    Failure,
)
from demo.store import Entry, Tree, filetime
from demo.view import NEVER, locked, password_expired

DISABLED = 0x2
ADMINISTRATOR = "administrator"
_WRONG = "52e"


class Accounts:
    """Accounts that may bind, and the rules for their passwords."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._passwords: dict[uuid.UUID, str] = {}

    def is_administrator(self, entry: Entry | None) -> bool:
        """Return whether the bound account may change the directory."""
        return entry is not None and fold(entry.first("sAMAccountName")) == ADMINISTRATOR

    def bind(self, name: str, password: str) -> Entry | None:
        """Prove a password. None: anonymous, which is also what a name without password gets."""
        if not password:
            return None
        entry = self._named(name)
        if entry is None or entry.guid not in self._passwords:
            raise _refused(_WRONG)
        now = datetime.now(UTC)
        if locked(self._tree, entry, now):
            raise _refused("775")
        if self._passwords[entry.guid] != password:
            self._count(entry, now)
            raise _refused(_WRONG)
        entry.set("badPwdCount", 0)
        entry.set("lockoutTime", 0)
        if code := self._hindrance(entry, now):
            raise _refused(code)
        return entry

    def _hindrance(self, entry: Entry, now: datetime) -> str:
        """Why an account whose password was right may not sign in; empty when it may."""
        expires = entry.number("accountExpires")
        if entry.number("userAccountControl") & DISABLED:
            return "533"
        if 0 < expires < NEVER and expires <= filetime(now):
            return "701"
        if entry.first("pwdLastSet") == "0":
            return "773"
        return "532" if password_expired(self._tree, entry, now) else ""

    def _count(self, entry: Entry, now: datetime) -> None:
        """A wrong password: the domain's lockout policy may lock the account."""
        domain = self._tree.find(self._tree.base)
        window = -domain.number("lockOutObservationWindow")
        recent = filetime(now) - entry.number("badPasswordTime") < window
        failures = entry.number("badPwdCount") + 1 if recent else 1
        entry.set("badPwdCount", failures)
        entry.set("badPasswordTime", filetime(now))
        threshold = domain.number("lockoutThreshold")
        if threshold and failures >= threshold:
            entry.set("lockoutTime", filetime(now))

    def _named(self, name: str) -> Entry | None:
        """The account that a bind name means; the forms AD takes and no others."""
        domain, backslash, account = name.partition("\\")
        if backslash and "=" not in domain:
            if fold(domain) != fold(company.NETBIOS):
                return None
            return self._tree.account(account)
        if name.startswith("<") or "=" in name:
            try:
                return self._tree.resolve(name)
            except Failure:
                return None
        wanted = fold(name.strip())
        for one in self._tree:
            if not one.deleted and wanted and fold(one.first("userPrincipalName")) == wanted:
                return one
        account, _, domain = name.strip().rpartition("@")
        if fold(domain) in (company.DNS_DOMAIN, fold(company.NETBIOS)):
            return self._tree.account(account)
        return None

    # -- changing -----------------------------------------------------------------------------

    def set_password(self, entry: Entry, new: str) -> None:
        """A reset, as an administrator may do."""
        self._passwords[entry.guid] = new
        entry.set("pwdLastSet", filetime(datetime.now(UTC)))
        entry.set("lockoutTime", 0)

    def change_password(self, entry: Entry, old: str, new: str) -> None:
        """A change, as the person may do: proves the old one and obeys the policy."""
        now = datetime.now(UTC)
        if locked(self._tree, entry, now):
            raise Failure(CONSTRAINT_VIOLATION, "00000775: AtrErr: DSID-03191083, #1:\x00")
        if self._passwords.get(entry.guid) != old:
            self._count(entry, now)
            raise Failure(CONSTRAINT_VIOLATION, "00000056: AtrErr: DSID-03191083, #1:\x00")
        if new == old or not self._good(new, entry):
            raise Failure(CONSTRAINT_VIOLATION, "0000052D: AtrErr: DSID-03191083, #1:\x00")
        self.set_password(entry, new)

    def _good(self, password: str, entry: Entry) -> bool:
        """Long enough, three of four kinds of signs, without the account's name."""
        shortest = self._tree.find(self._tree.base).number("minPwdLength")
        kinds = (str.islower, str.isupper, str.isdigit, lambda sign: not sign.isalnum())
        varied = sum(any(kind(sign) for sign in password) for kind in kinds) >= 3
        name = fold(entry.first("sAMAccountName"))
        return len(password) >= shortest and varied and name not in fold(password)

    def may_write(self, bound: Entry | None) -> None:
        """Raises insufficientAccessRights unless an administrator is bound."""
        if not self.is_administrator(bound):
            raise Failure(INSUFFICIENT_RIGHTS, "00002098: SecErr: DSID-031514A0, problem 4003")

    @staticmethod
    def needs_encryption(encrypted: bool) -> None:
        """Raises unwillingToPerform: passwords change on encrypted connections only."""
        if not encrypted:
            raise Failure(UNWILLING, "0000001F: SvcErr: DSID-031A126C, problem 5003")


def _refused(code: str) -> Failure:
    return Failure(
        INVALID_CREDENTIALS,
        f"80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data {code}, "
        "v4563\x00",
    )
