"""Changes the running demo directory, as an administrator of Active Directory would.

    python -m demo.edit phone john.doe 1777            another extension
    python -m demo.edit rename jane.roe Jane Brown     another name
    python -m demo.edit disable kim.lee                and enable
    python -m demo.edit hire ivy.new Ivy New 1400      a new person
    python -m demo.edit join ivy.new Support           and leave
    python -m demo.edit remove ivy.new                 for good

Everything goes over LDAP with StartTLS; Kerauno follows within seconds.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ldap3
from ldap3.core.exceptions import LDAPException
from ldap3.utils.conv import escape_filter_chars

from demo import company
from demo.certificates import VerifiedTls
from demo.domain import ADMIN_PASSWORD, ADMIN_UPN, SERVER_NAME
from demo.names import escape

FOLDER = Path("var/demo")
ADDRESS_FILE = "directory.json"


class Unknown(Exception):
    """No such person or group."""


class Editor:
    """The administrator's connection to the demo directory."""

    def __init__(self, folder: Path) -> None:
        address = json.loads((folder / ADDRESS_FILE).read_text())
        tls = VerifiedTls(folder / "ca.pem", SERVER_NAME)
        server = ldap3.Server(address["host"], address["port"], tls=tls, get_info=ldap3.NONE)
        self._ldap: Any = ldap3.Connection(server, ADMIN_UPN, ADMIN_PASSWORD, raise_exceptions=True)
        self._ldap.start_tls()
        self._ldap.bind()

    def _dn(self, account: str) -> str:
        wanted = f"(sAMAccountName={escape_filter_chars(account)})"
        self._ldap.search(company.BASE, wanted, attributes=["1.1"])
        if not self._ldap.response:
            raise Unknown(f"{account}: nobody and no group of that name in the demo directory")
        return str(self._ldap.response[0]["dn"])

    def _set(self, account: str, **values: str) -> None:
        changes = {name: [(ldap3.MODIFY_REPLACE, [value])] for name, value in values.items()}
        self._ldap.modify(self._dn(account), changes)

    def phone(self, account: str, extension: str) -> None:
        """Give another extension."""
        self._set(account, ipPhone=extension)

    def disable(self, account: str) -> None:
        """Disable the account."""
        self._set(account, userAccountControl="514")

    def enable(self, account: str) -> None:
        """Enable the account."""
        self._set(account, userAccountControl="512")

    def rename(self, account: str, first: str, last: str) -> None:
        """Give another name; the object is renamed too."""
        self._set(account, givenName=first, sn=last, displayName=f"{first} {last}")
        self._ldap.modify_dn(self._dn(account), f"CN={escape(f'{first} {last}')}")

    def hire(self, account: str, first: str, last: str, extension: str) -> None:
        """Add a person, with the password that everyone in the demo has."""
        dn = f"CN={escape(f'{first} {last}')},{company.STAFF},{company.BASE}"
        values = {
            "sAMAccountName": account,
            "userPrincipalName": f"{account}@{company.DNS_DOMAIN}",
            "givenName": first,
            "sn": last,
            "displayName": f"{first} {last}",
            "mail": f"{account}@{company.MAIL_DOMAIN}",
            "ipPhone": extension,
            "unicodePwd": f'"{company.PASSWORD}"'.encode("utf-16-le"),
        }
        self._ldap.add(dn, "user", values)
        self.join(account, company.PHONE_USERS)

    def remove(self, account: str) -> None:
        """Delete the account."""
        self._ldap.delete(self._dn(account))

    def join(self, account: str, group: str) -> None:
        """Make a person a member of a group."""
        change = (ldap3.MODIFY_ADD, [self._dn(account)])
        self._ldap.modify(self._dn(group), {"member": [change]})

    def leave(self, account: str, group: str) -> None:
        """End a membership."""
        change = (ldap3.MODIFY_DELETE, [self._dn(account)])
        self._ldap.modify(self._dn(group), {"member": [change]})


_COMMANDS: dict[str, tuple[str, ...]] = {
    "phone": ("account", "extension"),
    "disable": ("account",),
    "enable": ("account",),
    "rename": ("account", "first", "last"),
    "hire": ("account", "first", "last", "extension"),
    "remove": ("account",),
    "join": ("account", "group"),
    "leave": ("account", "group"),
}


def main(arguments: list[str] | None = None) -> int:
    """One change. Exit code 1 with a sentence when it was not made."""
    parser = argparse.ArgumentParser(
        prog="demo.edit", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help=argparse.SUPPRESS)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, wanted in _COMMANDS.items():
        command = commands.add_parser(name)
        for one in wanted:
            command.add_argument(one)
    options = parser.parse_args(arguments)
    try:
        editor = Editor(options.folder)
        change: Callable[..., None] = getattr(editor, options.command)
        change(*(getattr(options, one) for one in _COMMANDS[options.command]))
    except FileNotFoundError:
        print("No demo is running here: start one with 'make demo'.", file=sys.stderr)
        return 1
    except (Unknown, LDAPException) as error:
        print(f"Not changed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
