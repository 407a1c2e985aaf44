"""Builds the company's domain: the tree, its accounts and their passwords."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from demo import company
from demo.accounts import ADMINISTRATOR, DISABLED, Accounts
from demo.company import Account, Group
from demo.names import escape
from demo.store import DELETED_OBJECTS, Entry, Tree, filetime, sid
from demo.view import DONT_EXPIRE_PASSWORD, NEVER

ADMIN_PASSWORD = "Admin!2026"
SERVICE_NAME, SERVICE_PASSWORD = "svc-kerauno", "Service!2026"
ADMIN_UPN = f"{ADMINISTRATOR}@{company.DNS_DOMAIN}"
SERVICE_UPN = f"{SERVICE_NAME}@{company.DNS_DOMAIN}"
SERVER_NAME = f"dc1.{company.DNS_DOMAIN}"
SETTINGS_DN = (
    "CN=NTDS Settings,CN=DC1,CN=Servers,CN=Default-First-Site-Name,CN=Sites,CN=Configuration,"
    + company.BASE
)
PERSON_CLASSES = ("top", "person", "organizationalPerson", "user")
SECURITY_GLOBAL = -2147483646
DOMAIN_USERS = 513
_MINUTE, _DAY = 60 * 10**7, 86400 * 10**7


class Domain:
    """The tree and the accounts of goodcompany.local."""

    def __init__(self) -> None:
        self.tree = Tree(company.BASE)
        self.accounts = Accounts(self.tree)
        self._add_frame()
        for unit in company.UNITS:
            self.tree.add(f"{unit},{company.BASE}", ("top", "organizationalUnit"))
        for person in company.PEOPLE:
            self._add_person(person)
        groups = {one.name: self._add_group(one) for one in company.GROUPS_ALL}
        for one in company.GROUPS_ALL:
            for name in one.members:
                self._join(groups[one.name], name)
        for person in company.PEOPLE:
            if person.primary_group:
                self._set_primary_group(person)

    def _add_frame(self) -> None:
        """Add the parts that every domain has: policy, containers, the server's own place, the
        first accounts."""
        base, tree = company.BASE, self.tree
        tree.add(base, ("top", "domain", "domainDNS"), rid=0)
        domain = tree.find(tree.base)
        domain.set("objectSid", sid(0))
        domain.set("lockoutThreshold", 10)
        domain.set("lockOutObservationWindow", -10 * _MINUTE)
        domain.set("lockoutDuration", -10 * _MINUTE)
        domain.set("maxPwdAge", -42 * _DAY)
        domain.set("minPwdLength", 8)
        domain.set("pwdProperties", 1)
        domain.set("msDS-Behavior-Version", 7)
        for name in ("Users", "System", DELETED_OBJECTS.partition("=")[2], "Configuration"):
            tree.add(f"CN={name},{base}", ("top", "container"))
        tree.add(f"CN=Password Settings Container,CN=System,{base}", ("top", "container"))
        place = SETTINGS_DN[: -len(base) - 1].split(",")
        for depth in range(len(place) - 2, -1, -1):
            tree.add(",".join((*place[depth:], base)), ("top", "container"))
        tree.resolve(SETTINGS_DN).set("invocationId", tree.invocation.bytes_le)
        partitions = f"CN=Partitions,CN=Configuration,{base}"
        tree.add(partitions, ("top", "crossRefContainer"))
        reference = tree.add(f"CN={company.NETBIOS},{partitions}", ("top", "crossRef"))
        reference.set("nCName", base)
        reference.set("nETBIOSName", company.NETBIOS)
        reference.set("dnsRoot", company.DNS_DOMAIN)
        for name, rid in (("Domain Admins", 512), ("Domain Users", DOMAIN_USERS)):
            self._add_group(Group(name, ou="CN=Users"), rid)
        for name, password in (
            (ADMINISTRATOR, ADMIN_PASSWORD),
            (SERVICE_NAME, SERVICE_PASSWORD),
        ):
            account = self._add_account(f"CN={name},CN=Users,{base}", name, password)
            account.set("userAccountControl", 512 | DONT_EXPIRE_PASSWORD)

    def _add_account(self, dn: str, account: str, password: str) -> Entry:
        entry = self.tree.add(dn, PERSON_CLASSES)
        entry.set("sAMAccountName", account)
        entry.set("userPrincipalName", f"{account}@{company.DNS_DOMAIN}")
        entry.set("userAccountControl", 512)
        entry.set("accountExpires", NEVER)
        entry.set("primaryGroupID", DOMAIN_USERS)
        self.accounts.set_password(entry, password)
        return entry

    def _add_person(self, person: Account) -> None:
        dn = f"CN={escape(person.common_name)},{person.ou},{company.BASE}"
        entry = self._add_account(dn, person.account, person.password)
        for name, value in (
            ("givenName", person.first),
            ("sn", person.last),
            ("displayName", f"{person.first} {person.last}".strip()),
            ("mail", person.email),
            ("ipPhone", person.ip_phone),
            ("telephoneNumber", person.phone),
            ("title", person.title),
        ):
            if value:
                entry.set(name, value)
        now = datetime.now(UTC)
        if person.state == company.DISABLED:
            entry.set("userAccountControl", 512 | DISABLED)
        elif person.state == company.EXPIRED:
            entry.set("accountExpires", filetime(now - timedelta(days=1)))
        elif person.state == company.MUST_CHANGE:
            entry.set("pwdLastSet", 0)
        elif person.state == company.PASSWORD_EXPIRED:
            entry.set("pwdLastSet", filetime(now - timedelta(days=100)))

    def _add_group(self, group: Group, rid: int = 0) -> Entry:
        dn = f"CN={escape(group.name)},{group.ou},{company.BASE}"
        entry = self.tree.add(dn, ("top", "group"), rid=rid)
        entry.set("sAMAccountName", group.name)
        entry.set("groupType", SECURITY_GLOBAL)
        if group.description:
            entry.set("description", group.description)
        return entry

    def _join(self, group: Entry, name: str) -> None:
        member = self.tree.account(name)
        assert member is not None, name
        group.members.append(member.guid)

    def _set_primary_group(self, person: Account) -> None:
        entry, group = self.tree.account(person.account), self.tree.account(person.primary_group)
        assert entry is not None
        assert group is not None
        rid = int.from_bytes(group.values["objectsid"][0][-4:], "little")
        entry.set("primaryGroupID", rid)
        if entry.guid in group.members:
            group.members.remove(entry.guid)
