"""A real OpenLDAP server: inetOrgPerson, groupOfNames, entryUUID, StartTLS and LDAPS."""

from __future__ import annotations

import base64
import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import ldap3

from demo import company
from tests.servers.pki import CertificateAuthority, VerifiedTls
from tests.servers.process import Server, listening, loopback

SUFFIX = company.BASE.lower()
PASSWORD = company.PASSWORD

_SETTINGS = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath {modules}
moduleload back_mdb.la
{overlay_module}
pidfile {folder}/slapd.pid
TLSCACertificateFile {folder}/ca.pem
TLSCertificateFile {folder}/server.pem
TLSCertificateKeyFile {folder}/server.key
threads 4
sizelimit 500000
password-hash {{CLEARTEXT}}
database mdb
maxsize 4294967296
suffix "{suffix}"
rootdn "cn=admin,{suffix}"
rootpw {admin_password}
directory {folder}/data
dbnosync
index objectClass,entryUUID,entryCSN,modifyTimestamp eq
index uid,mail,cn,sn,member,employeeNumber eq
{overlay}
access to attrs=userPassword
  by self write
  by anonymous auth
  by * none
access to *
  by users read
  by * none
"""


def _modules() -> str:
    for folder in ("/usr/lib/ldap", "/usr/lib/openldap", "/usr/lib64/openldap"):
        if Path(folder).is_dir():
            return folder
    raise RuntimeError("OpenLDAP's modules are not installed")


def _line(name: str, value: str) -> str:
    plain = value.isascii() and value.isprintable() and value[:1] not in (" ", ":", "<")
    if plain and not value.endswith(" "):
        return f"{name}: {value}"
    return f"{name}:: {base64.b64encode(value.encode()).decode()}"


def ldif(dn: str, values: dict[str, Iterable[str] | str]) -> str:
    """One entry of LDIF (RFC 2849)."""
    lines = [_line("dn", dn)]
    for name, several in values.items():
        for value in (several,) if isinstance(several, str) else several:
            lines.append(_line(name, value))
    return "\n".join(lines) + "\n\n"


def _base_entries() -> Iterator[str]:
    yield ldif(
        SUFFIX,
        {"objectClass": ["dcObject", "organization"], "dc": "goodcompany", "o": "Good Company"},
    )
    for unit in ("people", "groups", "services"):
        yield ldif(f"ou={unit},{SUFFIX}", {"objectClass": "organizationalUnit", "ou": unit})
    yield ldif(
        Slapd.service_dn,
        {
            "objectClass": ["organizationalRole", "simpleSecurityObject"],
            "cn": "kerauno",
            "userPassword": Slapd.service_password,
        },
    )


def person(uid: str, first: str, last: str, mail: str, phone: str, password: str) -> str:
    """A person's LDIF. Empty values are left out; the schema insists on a last name."""
    values: dict[str, Iterable[str] | str] = {
        "objectClass": "inetOrgPerson",
        "uid": uid,
        "cn": f"{first} {last}".strip() or uid,
        "sn": last or "-",
        "givenName": first,
        "mail": mail,
        "telephoneNumber": phone,
        "userPassword": password,
    }
    return ldif(f"uid={uid},ou=people,{SUFFIX}", {k: v for k, v in values.items() if v})


def group(name: str, members: Iterable[str]) -> str:
    """A group's LDIF; members are DNs."""
    return ldif(
        f"cn={name},ou=groups,{SUFFIX}",
        {"objectClass": "groupOfNames", "cn": name, "member": list(members)},
    )


def company_entries() -> Iterator[str]:
    """The company of the demo, as OpenLDAP would hold it."""
    yield from _base_entries()
    names = {one.account for one in company.PEOPLE}
    for one in company.PEOPLE:
        phone = one.ip_phone or one.phone
        yield person(one.account, one.first, one.last, one.email, phone, one.password)
    for one_group in company.GROUPS_ALL:
        if members := [
            f"uid={name},ou=people,{SUFFIX}" if name in names else f"cn={name},ou=groups,{SUFFIX}"
            for name in one_group.members
        ]:
            yield group(one_group.name, members)


def many_entries(people: int, groups: int = 400) -> Iterator[str]:
    """So many people `u000000…` (password `pw-u000000`, extension 100000…), each in one of so
    many groups `g000…`, and all of them in the group `everyone`."""
    yield from _base_entries()
    for number in range(people):
        uid = f"u{number:06d}"
        yield person(
            uid,
            f"First{number % 977}",
            f"Last{number}",
            f"{uid}@{company.MAIL_DOMAIN}",
            f"{100000 + number}",
            f"pw-{uid}",
        )
    dns = [f"uid=u{number:06d},ou=people,{SUFFIX}" for number in range(people)]
    for number in range(groups):
        if members := dns[number::groups]:
            yield group(f"g{number:03d}", members)
    yield group("everyone", dns)


class Slapd:
    """One OpenLDAP server. `start()` runs it, `stop()` ends it."""

    base = SUFFIX
    port = 3389
    tls_port = 3636
    dns_name = f"ldap.{company.DNS_DOMAIN}"
    admin_dn = f"cn=admin,{SUFFIX}"
    admin_password = "Admin!Pass1"
    service_dn = f"cn=kerauno,ou=services,{SUFFIX}"
    service_password = "Service!Pass1"
    users_dn = f"ou=people,{SUFFIX}"
    departments_dn = f"ou=groups,{SUFFIX}"
    phone_users_dn = f"cn={company.PHONE_USERS},ou=groups,{SUFFIX}"

    def __init__(
        self, folder: Path, entries: Iterable[str], *, counts_changes: bool = False
    ) -> None:
        """Make it in an empty folder and load the LDIF entries.

        `counts_changes`: it keeps a contextCSN, as every replicated server does.
        """
        self.host = loopback()
        self.folder = folder
        self.authority = CertificateAuthority()
        self.ca_file = self.authority.write(folder)
        self.authority.issue(folder, [self.dns_name], [self.host])
        (folder / "data").mkdir()
        self._settings = folder / "slapd.conf"
        self._settings.write_text(
            _SETTINGS.format(
                folder=folder,
                modules=_modules(),
                suffix=SUFFIX,
                admin_password=self.admin_password,
                overlay_module="moduleload syncprov.la" if counts_changes else "",
                overlay="overlay syncprov" if counts_changes else "",
            )
        )
        self._load(entries)
        self.server: Server | None = None
        self._admin: ldap3.Connection | None = None

    def _load(self, entries: Iterable[str]) -> None:
        source = self.folder / "load.ldif"
        with source.open("w") as output:
            output.writelines(entries)
        command = [_binary("slapadd"), "-q", "-f", str(self._settings), "-l", str(source)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            raise RuntimeError(f"slapadd failed\n{done.stderr[-2000:]}")
        source.unlink()

    @property
    def ca_pem(self) -> str:
        """The certificate of the authority that signed the server's."""
        return self.authority.pem

    def start(self) -> Slapd:
        """Start, and return when both ports answer."""
        addresses = f"ldap://{self.host}:{self.port}/ ldaps://{self.host}:{self.tls_port}/"
        self.server = Server(
            [_binary("slapd"), "-h", addresses, "-f", str(self._settings), "-d", "0"],
            log=self.folder / "slapd.log",
        )
        ports = (self.port, self.tls_port)
        self.server.wait_for(lambda: all(listening(self.host, port) for port in ports))
        return self

    def stop(self) -> None:
        """Stop in an orderly way."""
        self._admin = None
        if self.server:
            self.server.signal(signal.SIGCONT)
            self.server.stop()

    def kill(self) -> None:
        """End it as a crash would."""
        self._admin = None
        if self.server:
            self.server.signal(signal.SIGKILL)
            self.server.stop()

    def freeze(self) -> None:
        """It keeps accepting connections, and never answers."""
        assert self.server
        self.server.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it answer again."""
        assert self.server
        self.server.signal(signal.SIGCONT)

    def profile(self, **overrides: Any) -> dict[str, Any]:
        """Return the fields of a `Profile`: StartTLS, the service account, everyone."""
        return {
            "preset": "openldap",
            "servers": (self.host,),
            "port": self.port,
            "tls_name": self.dns_name,
            "encryption": "starttls",
            "ca_certificates": self.ca_pem,
            "username": self.service_dn,
            "password": self.service_password,
            "user_search_dn": self.users_dn,
            "department_search_dn": self.departments_dn,
        } | overrides

    @property
    def admin(self) -> Any:  # an ldap3.Connection, whose stubs know half of it
        """The administrator's connection; raises on any result but success."""
        if self._admin is None or self._admin.closed:
            server = ldap3.Server(
                self.host,
                self.tls_port,
                use_ssl=True,
                tls=VerifiedTls(self.ca_file, self.dns_name),
                get_info=ldap3.NONE,
            )
            self._admin = ldap3.Connection(
                server, self.admin_dn, self.admin_password, raise_exceptions=True
            )
            self._admin.bind()
        return self._admin

    def modify(self, dn: str, **attributes: Any) -> None:
        """Replace attributes; None or an empty list clears one."""
        changes = {}
        for name, value in attributes.items():
            values = value if isinstance(value, list) else [value]
            changes[name] = [(ldap3.MODIFY_REPLACE, [] if value in (None, []) else values)]
        self.admin.modify(dn, changes)

    def add_user(self, uid: str, **attributes: Any) -> str:
        """Add a person `uid`; return their DN. None leaves an attribute out."""
        dn = f"uid={uid},ou=people,{SUFFIX}"
        values = {
            "uid": uid,
            "cn": f"{uid} Test",
            "givenName": uid,
            "sn": "Test",
            "mail": f"{uid}@{company.MAIL_DOMAIN}",
            "userPassword": PASSWORD,
        } | attributes
        values = {name: value for name, value in values.items() if value is not None}
        self.admin.add(dn, "inetOrgPerson", values)
        return dn

    def delete(self, dn: str) -> None:
        """Delete one entry."""
        self.admin.delete(dn)

    def guid(self, dn: str) -> str:
        """The entry's `entryUUID`."""
        self.admin.search(dn, "(objectClass=*)", ldap3.BASE, attributes=["entryUUID"])
        return str(self.admin.response[0]["raw_attributes"]["entryUUID"][0].decode())


def _binary(name: str) -> str:
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if not found:
        raise RuntimeError(f"{name} is not installed")
    return found


def make_slapd(folder: Path, people: int) -> Slapd:
    """A running server with so many people in 401 groups, one of them with everyone."""
    folder.mkdir(parents=True, exist_ok=True)
    return Slapd(folder, many_entries(people)).start()
