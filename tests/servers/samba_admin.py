"""Changes to the tests' domain by an administrator, over LDAPS."""

from __future__ import annotations

import contextlib
import subprocess
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ldap3
from ldap3.core.exceptions import (
    LDAPAttributeOrValueExistsResult,
    LDAPEntryAlreadyExistsResult,
)
from ldap3.utils.conv import escape_filter_chars
from ldap3.utils.dn import escape_rdn, safe_rdn

from demo import company
from tests.servers import company as domain
from tests.servers.pki import VerifiedTls

if TYPE_CHECKING:
    from tests.servers.samba import SambaDC

SCRIPT = Path(__file__).with_name("samba_offline.py")
# Samba's library belongs to the system's interpreter; -I keeps this folder off its path.
PLAIN = ("env", "LC_ALL=C.UTF-8")
"""Before a command of Samba: in a Turkish locale it cannot make a domain (its I is not our i)."""
OFFLINE = (*PLAIN, "/usr/bin/python3", "-I", str(SCRIPT))
TREE_DELETE = ("1.2.840.113556.1.4.805", True, None)
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)


def filetime(instant: datetime) -> str:
    """An AD time (100 ns since 1601, MS-DTYP 2.3.3) for an aware instant."""
    return str(int((instant - _EPOCH) / timedelta(microseconds=1)) * 10)


class Administration:
    """The directory of one domain controller, read and changed. `SambaDC` runs the server."""

    base = company.BASE
    dns_domain = company.DNS_DOMAIN
    dns_name = f"dc1.{company.DNS_DOMAIN}"
    tls_port = 636
    admin_upn = f"administrator@{company.DNS_DOMAIN}"
    admin_dn = f"CN=Administrator,CN=Users,{company.BASE}"
    admin_password = domain.ADMIN_PASSWORD
    tests_dn = f"{domain.TESTS},{company.BASE}"

    def __init__(self, host: str, ca_file: Path, dc_folder: Path) -> None:
        self.host = host
        self.ca_file = ca_file
        self.dc_folder = dc_folder
        self._admin: ldap3.Connection | None = None

    def connect(self, name: str = "", password: str = "") -> Any:
        """A bound ldap3 connection over LDAPS; the administrator's unless another is named."""
        connection = self._connection(name or self.admin_upn, password or self.admin_password)
        if not connection.bind():
            raise PermissionError(connection.result["message"])
        return connection

    def refusal(self, name: str, password: str) -> str:
        """The sub-code AD gives when it refuses this bind; empty when it does not."""
        connection = self._connection(name, password)
        connection.bind()
        message: str = connection.result["message"]
        connection.unbind()
        return message.split("data ")[1].split(",")[0] if message else ""

    def _connection(self, name: str, password: str) -> ldap3.Connection:
        server = ldap3.Server(
            self.host,
            self.tls_port,
            use_ssl=True,
            tls=VerifiedTls(self.ca_file, self.dns_name),
            get_info=ldap3.NONE,
            connect_timeout=5,
        )
        return ldap3.Connection(server, name, password, auto_referrals=False, receive_timeout=30)

    @property
    def admin(self) -> Any:  # an ldap3.Connection, whose stubs know half of it
        """The administrator's connection, kept open; raises on any result but success."""
        if self._admin is None or self._admin.closed:
            self._admin = self.connect()
            self._admin.raise_exceptions = True
        return self._admin

    # -- changing the directory ---------------------------------------------------------------

    def search(
        self, filter_text: str, attributes: Iterable[str] = (), base: str = ""
    ) -> list[dict[str, Any]]:
        """Entries as ldap3 gives them: `dn`, `attributes`, `raw_attributes`."""
        self.admin.search(base or self.base, filter_text, attributes=list(attributes))
        return [one for one in self.admin.response if one["type"] == "searchResEntry"]

    def raw(self, dn: str, attribute: str) -> list[bytes]:
        """An attribute's values as octets."""
        self.admin.search(dn, "(objectClass=*)", ldap3.BASE, attributes=[attribute])
        values: list[bytes] = self.admin.response[0]["raw_attributes"].get(attribute, [])
        return values

    def guid(self, dn: str) -> str:
        """The object's identity, as canonical UUID text."""
        return str(uuid.UUID(bytes_le=self.raw(dn, "objectGUID")[0]))

    def dn(self, account: str) -> str:
        """Return where the account (or group) with this sAMAccountName is."""
        found = self.search(f"(sAMAccountName={escape_filter_chars(account)})")
        return str(found[0]["dn"])

    def add_user(
        self,
        account: str,
        ou: str = "",
        *,
        cn: str = "",
        password: str = company.PASSWORD,
        enabled: bool = True,
        **attributes: Any,
    ) -> str:
        """Add a person and return their DN. Other attributes by name; None leaves one out.

        Without other words: first name the account's, last name "Test", mail
        account@company.com, no extension.
        """
        dn = f"CN={escape_rdn(cn or account)},{ou or self.tests_dn}"
        values: dict[str, Any] = {
            "sAMAccountName": account,
            "userPrincipalName": f"{account}@{self.dns_domain}",
            "givenName": account,
            "sn": "Test",
            "mail": f"{account}@{company.MAIL_DOMAIN}",
            "unicodePwd": f'"{password}"'.encode("utf-16-le"),
            "userAccountControl": "512" if enabled else "514",
        } | attributes
        values = {name: value for name, value in values.items() if value is not None}
        self.admin.add(dn, "user", values)
        return dn

    def add_group(
        self, name: str, ou: str = "", members: Iterable[str] = (), **attributes: Any
    ) -> str:
        """Add a global security group whose members are DNs; return its DN."""
        dn = f"CN={escape_rdn(name)},{ou or self.tests_dn}"
        values: dict[str, Any] = {"sAMAccountName": domain.sam_of(name)} | attributes
        if listed := list(members):
            values["member"] = listed
        self.admin.add(dn, "group", values)
        return dn

    def add_ou(self, name: str, ou: str = "") -> str:
        """Add an organizational unit; return its DN."""
        dn = f"OU={escape_rdn(name)},{ou or self.tests_dn}"
        self.admin.add(dn, "organizationalUnit")
        return dn

    def modify(self, dn: str, **attributes: Any) -> None:
        """Replace attributes; None, an empty string or an empty list clears one."""
        changes = {}
        for name, value in attributes.items():
            values = value if isinstance(value, list) else [value]
            cleared = value is None or value in ("", [])
            changes[name.replace("__", "-")] = [(ldap3.MODIFY_REPLACE, [] if cleared else values)]
        self.admin.modify(dn, changes)

    def move(self, dn: str, ou: str) -> str:
        """Move below another OU; return the new DN."""
        rdn = safe_rdn(dn)[0]
        self.admin.modify_dn(dn, rdn, new_superior=ou)
        return f"{rdn},{ou}"

    def rename(self, dn: str, name: str) -> str:
        """Give another RDN value; return the new DN."""
        kind = dn.split("=", 1)[0]
        rdn = f"{kind}={escape_rdn(name)}"
        parent = dn[len(safe_rdn(dn)[0]) + 1 :]
        self.admin.modify_dn(dn, rdn)
        return f"{rdn},{parent}"

    def delete(self, dn: str) -> None:
        """Delete one object."""
        self.admin.delete(dn)

    def delete_tree(self, dn: str) -> None:
        """Delete an object with everything below it."""
        self.admin.delete(dn, controls=[TREE_DELETE])

    def enable(self, dn: str) -> None:
        """Enable the account."""
        self.modify(dn, userAccountControl="512")

    def disable(self, dn: str) -> None:
        """Disable the account."""
        self.modify(dn, userAccountControl="514")

    def expire_account(self, dn: str) -> None:
        """Let the account have expired yesterday."""
        self.modify(dn, accountExpires=filetime(datetime.now(UTC) - timedelta(days=1)))

    def set_password(self, dn: str, password: str) -> None:
        """Reset the password, as an administrator does."""
        self.modify(dn, unicodePwd=f'"{password}"'.encode("utf-16-le"))

    def must_change_password(self, dn: str) -> None:
        """The person must change their password at the next sign-in."""
        self.modify(dn, pwdLastSet="0")

    def expire_password(self, dn: str) -> None:
        """Let the password be 100 days old, under a policy that allows 30."""
        self._add_to("msDS-PSOAppliesTo", f"CN=ExpiresSoon,{self._policies}", dn)
        self._offline("age-password", dn, "100")

    def add_members(self, group: str, *members: str) -> None:
        """Add members by DN."""
        self._add_to("member", group, *members)

    def remove_members(self, group: str, *members: str) -> None:
        """Remove members by DN."""
        self.admin.modify(group, {"member": [(ldap3.MODIFY_DELETE, list(members))]})

    def set_primary_group(self, dn: str, group: str) -> None:
        """Make the group the person's primary group (they become a member first)."""
        self.add_members(group, dn)
        sid = self.raw(group, "objectSid")[0]
        self.modify(dn, primaryGroupID=str(int.from_bytes(sid[-4:], "little")))

    def set_lockout_policy(self, threshold: int, window: int = 60, duration: int = 60) -> None:
        """The domain's lockout policy; times in seconds; threshold 0 never locks."""
        ticks = 10**7
        changes = {
            "lockoutThreshold": str(threshold),
            "lockOutObservationWindow": str(-window * ticks),
            "lockoutDuration": str(-duration * ticks),
        }
        self.admin.modify(
            self.base, {name: [(ldap3.MODIFY_REPLACE, [text])] for name, text in changes.items()}
        )

    def add_pso(
        self,
        name: str,
        applies_to: Iterable[str],
        *,
        threshold: int,
        window: int = 60,
        duration: int = 60,
        precedence: int = 20,
    ) -> str:
        """A fine-grained password policy with this lockout (seconds); return its DN."""
        dn = f"CN={escape_rdn(name)},{self._policies}"
        ticks = 10**7
        values = {
            "msDS-PasswordSettingsPrecedence": str(precedence),
            "msDS-PasswordReversibleEncryptionEnabled": "FALSE",
            "msDS-PasswordHistoryLength": "0",
            "msDS-PasswordComplexityEnabled": "FALSE",
            "msDS-MinimumPasswordLength": "1",
            "msDS-MinimumPasswordAge": "0",
            "msDS-MaximumPasswordAge": str(-(2**63)),
            "msDS-LockoutThreshold": str(threshold),
            "msDS-LockoutObservationWindow": str(-window * ticks),
            "msDS-LockoutDuration": str(-duration * ticks),
            "msDS-PSOAppliesTo": list(applies_to),
        }
        self.admin.add(dn, "msDS-PasswordSettings", values)
        return dn

    @property
    def _policies(self) -> str:
        return f"CN=Password Settings Container,CN=System,{self.base}"

    def _add_to(self, attribute: str, dn: str, *values: str) -> None:
        for value in values:  # what is there already is no error
            with contextlib.suppress(
                LDAPEntryAlreadyExistsResult, LDAPAttributeOrValueExistsResult
            ):
                self.admin.modify(dn, {attribute: [(ldap3.MODIFY_ADD, [value])]})

    def _offline(self, command: str, *arguments: str) -> None:
        subprocess.run(
            [*OFFLINE, command, str(self.dc_folder), *arguments],
            check=True,
            capture_output=True,
            timeout=60,
        )


class Scratch:
    """An OU of one test's own in a shared domain; `close()` deletes all of it."""

    def __init__(self, dc: SambaDC) -> None:
        self.dc = dc
        self.tag = uuid.uuid4().hex[:8]  # make account names unique with it
        self.dn = dc.add_ou(f"t-{self.tag}")

    def name(self, stem: str) -> str:
        """An account or group name that no other test has; at most 20 signs for a short stem."""
        return f"{stem}-{self.tag}"

    def user(self, stem: str, ou: str = "", **attributes: Any) -> str:
        """Add a person named after the stem; return their DN. See `Administration.add_user`."""
        return self.dc.add_user(self.name(stem), ou or self.dn, **attributes)

    def group(self, stem: str, members: Iterable[str] = (), ou: str = "") -> str:
        """Add a security group; return its DN."""
        return self.dc.add_group(self.name(stem), ou or self.dn, members)

    def ou(self, name: str, ou: str = "") -> str:
        """Add an OU below; return its DN."""
        return self.dc.add_ou(name, ou or self.dn)

    def close(self) -> None:
        """Delete everything below, and the OU. People go first: their primary groups cling."""
        for person in self.dc.search("(objectClass=user)", ["cn"], self.dn):
            self.dc.delete(person["dn"])
        self.dc.delete_tree(self.dn)
