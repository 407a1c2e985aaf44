"""The tests' domain: goodcompany.local, and people with awkward names besides."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from ldap3.utils.dn import escape_rdn

from demo import company
from demo.company import Account, Group

ADMIN_PASSWORD = "Passw0rd!Admin"
SERVICE_PASSWORD = "Service!Pass1"
REALM = company.DNS_DOMAIN.upper()

ODD_PEOPLE = "OU=Odd People"
ODD_DEPARTMENTS = "OU=Odd Departments"
TESTS = "OU=Tests"

# One account for each sign that has broken somebody's DN, filter or page.
ODDITIES: tuple[Account, ...] = (
    Account("odd.comma", "Anna", "Comma", ODD_PEOPLE, "2001", cn="Comma, Anna"),
    Account("odd.plus", "Anna", "Plus", ODD_PEOPLE, "2002", cn="Anna+Plus"),
    Account("odd.quote", "Anna", 'Quo"te', ODD_PEOPLE, "2003", cn='Anna "The" Quote'),
    Account("odd.hash", "Anna", "Hash", ODD_PEOPLE, "2004", cn="#1 Anna"),
    Account("odd.blank", "Anna", "Blank", ODD_PEOPLE, "2005", cn=" Anna Blank"),
    Account("odd.umlaut", "Jürgen", "Größe", ODD_PEOPLE, "2006"),
    Account("odd.apostrophe", "Sinéad", "O'Connor", ODD_PEOPLE, "2007"),
    Account("odd.emoji", "Ana", "Smile 😀", ODD_PEOPLE, "2008"),
    Account("odd.rtl", "שרה", "כהן", ODD_PEOPLE, "2009"),
    Account("odd.nfd", unicodedata.normalize("NFD", "Zoë"), "Nfd", ODD_PEOPLE, "2010", cn="Zoe N"),
    Account("odd.backslash", "Anna", "Back\\slash", ODD_PEOPLE, "2011", cn="Anna \\ Slash"),
    Account("odd.angle", "Anna", "<b>Angle</b>", ODD_PEOPLE, "2012", cn="Anna <b>;=</b>"),
    Account("odd.star", "Anna", "Star*", ODD_PEOPLE, "2013", cn="Anna (*) Star"),
    Account("odd.script", "<script>alert(1)</script>", "X", ODD_PEOPLE, "2014", cn="Script"),
    Account("odd.unicode", "太郎", "山田", ODD_PEOPLE, "2015", mail="山田@company.com"),
    Account("odd.hours", "Anna", "Hours", ODD_PEOPLE, "2016", state=company.NO_HOURS),
    Account("odd.workstation", "Anna", "Desk", ODD_PEOPLE, "2017", state=company.WORKSTATION),
    Account("odd.digits", "Anna", "Digits", ODD_PEOPLE, phone="+1 317 555 0199;ext=2018"),
    Account("odd.password", "Anna", "Pass", ODD_PEOPLE, "2019", password='P "w\\ö€1 A'),
    Account("odd.upper", "Anna", "Upper", ODD_PEOPLE, "2020", mail="ODD.Upper@Company.COM"),
)

ODD_GROUPS: tuple[Group, ...] = (
    Group("Research, Development", ("odd.comma", "odd.plus", "Ring A"), ODD_DEPARTMENTS),
    Group("Ring A", ("odd.umlaut", "Ring B"), ODD_DEPARTMENTS),
    Group("Ring B", ("odd.emoji", "Ring C"), ODD_DEPARTMENTS),
    Group("Ring C", ("odd.rtl", "Ring A"), ODD_DEPARTMENTS),
    Group("Primary Only", (), ODD_DEPARTMENTS),
    Group("#Vertrieb+Süd", ("odd.hash",), ODD_DEPARTMENTS),
    Group("Odd Phone Users", tuple(one.account for one in ODDITIES), company.GROUPS),
)

ODD_PRIMARY_GROUPS = {"odd.star": "Primary Only", "odd.digits": "Primary Only"}


@dataclass(frozen=True, slots=True)
class Service:
    """A service account: `name` is its sAMAccountName."""

    name: str
    dn: str
    password: str = SERVICE_PASSWORD

    @property
    def upn(self) -> str:
        """The `userPrincipalName`."""
        return f"{self.name}@{company.DNS_DOMAIN}"


READER = Service("svc-kerauno", f"CN=svc-kerauno,CN=Users,{company.BASE}")
TRACKER = Service("svc-tracker", f"CN=svc-tracker,CN=Users,{company.BASE}")
SINGLE_SIGN_ON = Service("svc-sso", f"CN=svc-sso,CN=Users,{company.BASE}")
SSO_HOST = f"sso.{company.DNS_DOMAIN}"


def dn_of(account: Account) -> str:
    """The person's DN, escaped as RFC 4514 says."""
    return f"CN={escape_rdn(account.common_name)},{account.ou},{company.BASE}"


def group_dn(group: Group) -> str:
    """The group's DN."""
    return f"CN={escape_rdn(group.name)},{group.ou},{company.BASE}"


def sam_of(name: str) -> str:
    """A `sAMAccountName` for a group: AD refuses some signs there (MS-ADTS 3.1.1.6)."""
    return "".join("_" if sign in '"[]:;|=+*?<>/\\,' else sign for sign in name)


def _person(account: Account) -> dict[str, object]:
    attributes = {
        "sAMAccountName": account.account,
        "userPrincipalName": account.principal,
        "givenName": account.first,
        "sn": account.last,
        "displayName": f"{account.first} {account.last}".strip(),
        "mail": account.email,
        "ipPhone": account.ip_phone,
        "telephoneNumber": account.phone,
        "title": account.title,
    }
    return {
        "dn": dn_of(account),
        "password": account.password,
        "state": account.state,
        "attributes": attributes,
    }


def _service(service: Service, **attributes: object) -> dict[str, object]:
    attributes |= {"sAMAccountName": service.name, "userPrincipalName": service.upn}
    return {
        "dn": service.dn,
        "password": service.password,
        "state": "",
        "attributes": attributes,
    }


def domain() -> dict[str, object]:
    """All of it, as `samba_offline.py provision` reads it."""
    people = (*company.PEOPLE, *ODDITIES)
    groups = (*company.GROUPS_ALL, *ODD_GROUPS)
    dns = {one.account: dn_of(one) for one in people} | {one.name: group_dn(one) for one in groups}
    primary = {one.account: one.primary_group for one in people if one.primary_group}
    primary |= ODD_PRIMARY_GROUPS
    members = {one.name: list(one.members) for one in groups}
    for account, group in primary.items():
        members[group].append(account)  # AD asks for membership before it takes the primary group
    return {
        "base": company.BASE,
        "realm": REALM,
        "netbios": company.NETBIOS,
        "admin_password": ADMIN_PASSWORD,
        "units": [
            f"{unit},{company.BASE}"
            for unit in (*company.UNITS, ODD_PEOPLE, ODD_DEPARTMENTS, TESTS)
        ],
        "accounts": [
            *(_person(one) for one in people),
            _service(READER),
            _service(TRACKER),
            _service(
                SINGLE_SIGN_ON,
                **{
                    "servicePrincipalName": f"HTTP/{SSO_HOST}",
                    "msDS-SupportedEncryptionTypes": "24",
                },
            ),
        ],
        "groups": [
            {
                "dn": group_dn(one),
                "attributes": {"sAMAccountName": sam_of(one.name), "description": one.description},
                "members": [dns[name] for name in members[one.name]],
            }
            for one in groups
        ],
        "primary_groups": [[dns[account], dns[group]] for account, group in primary.items()],
        "tracker": TRACKER.dn,
    }
