"""The company goodcompany.local as data: its people, groups and organizational units.

The demo directory serves it, and the tests load it into a real Samba AD. It holds what every
real company holds: nested departments, and people whose account cannot be built as it stands.
"""

from __future__ import annotations

from dataclasses import dataclass

BASE = "DC=goodcompany,DC=local"
DNS_DOMAIN = "goodcompany.local"
MAIL_DOMAIN = "company.com"
NETBIOS = "COMPANY"
PASSWORD = "Welcome!2026"  # every demo person's password
PHONE_USERS = "Kerauno_PhoneUsers"

STAFF = "OU=Staff"
GROUPS = "OU=Groups"
DEPARTMENTS = "OU=Departments"

DISABLED = "disabled"
EXPIRED = "expired"
MUST_CHANGE = "must-change"
PASSWORD_EXPIRED = "password-expired"
NO_HOURS = "no-hours"
WORKSTATION = "workstation"


@dataclass(frozen=True, slots=True)
class Account:
    """A person account. `mail` None means `account@company.com`; an empty string means none.

    `ou` is relative to the base. `state` is empty or one of the states above. `primary_group`
    names the group that `primaryGroupID` points to, instead of Domain Users.
    """

    account: str
    first: str
    last: str
    ou: str = STAFF
    ip_phone: str = ""
    phone: str = ""
    mail: str | None = None
    cn: str = ""
    title: str = ""
    state: str = ""
    primary_group: str = ""
    password: str = PASSWORD

    @property
    def common_name(self) -> str:
        """The `cn`: as given, else first and last name."""
        return self.cn or f"{self.first} {self.last}".strip()

    @property
    def email(self) -> str:
        """The `mail` value, or an empty string."""
        return f"{self.account}@{MAIL_DOMAIN}" if self.mail is None else self.mail

    @property
    def principal(self) -> str:
        """The `userPrincipalName`."""
        return f"{self.account}@{DNS_DOMAIN}"


@dataclass(frozen=True, slots=True)
class Group:
    """A security group. `members` are `sAMAccountName`s of people or names of groups."""

    name: str
    members: tuple[str, ...] = ()
    ou: str = DEPARTMENTS
    description: str = ""


UNITS: tuple[str, ...] = (
    STAFF,
    f"OU=Sales,{STAFF}",
    f"OU=EMEA,OU=Sales,{STAFF}",
    f"OU=Americas,OU=Sales,{STAFF}",
    f"OU=Engineering,{STAFF}",
    f"OU=Support,{STAFF}",
    f"OU=Administration,{STAFF}",
    GROUPS,
    DEPARTMENTS,
)

_SALES, _EMEA, _AMERICAS = UNITS[1], UNITS[2], UNITS[3]
_ENGINEERING, _SUPPORT, _ADMINISTRATION = UNITS[4], UNITS[5], UNITS[6]

PEOPLE: tuple[Account, ...] = (
    Account("john.doe", "John", "Doe", _SALES, "1001", title="Head of Sales"),
    Account("jane.roe", "Jane", "Roe", _SALES, "1002", title="Account manager"),
    Account("marta.kowalska", "Marta", "Kowalska", _EMEA, "1010", title="Sales EMEA"),
    Account("pierre.dubois", "Pierre", "Dubois", _EMEA, "1011", title="Sales France"),
    Account("giulia.rossi", "Giulia", "Rossi", _EMEA, "1012", title="Sales Italy"),
    Account("zoe.muller", "Zoë", "Müller", _EMEA, "1013", title="Sales Germany"),
    Account("carlos.garcia", "Carlos", "García", _AMERICAS, "1020", title="Sales Mexico"),
    Account("emily.clark", "Emily", "Clark", _AMERICAS, "1021", title="Sales US East"),
    Account("noah.wilson", "Noah", "Wilson", _AMERICAS, "1022", title="Sales US West"),
    Account(
        "olivia.brown",
        "Olivia",
        "Brown",
        _AMERICAS,
        phone="+1 317 555 0100 x1023",
        title="Sales Indiana",
    ),
    Account("ada.lindgren", "Ada", "Lindgren", _ENGINEERING, "1100", title="Head of Engineering"),
    Account("bruno.keller", "Bruno", "Keller", _ENGINEERING, "1101", title="Developer"),
    Account("chiara.bianchi", "Chiara", "Bianchi", _ENGINEERING, "1102", title="Developer"),
    Account("deniz.yilmaz", "Deniz", "Yılmaz", _ENGINEERING, "1103", title="Developer"),
    Account("erik.hansen", "Erik", "Hansen", _ENGINEERING, "1104", title="Tester"),
    Account("fatima.zahra", "Fatima", "Zahra", _ENGINEERING, "1105", title="Tester"),
    Account("goran.petrovic", "Goran", "Petrović", _ENGINEERING, "1106", title="Operations"),
    Account("hana.suzuki", "花", "鈴木", _ENGINEERING, "1107", title="Operations"),
    Account("ines.costa", "Inês", "Costa", _SUPPORT, "1200", title="Head of Support"),
    Account("jack.oneill", "Jack", "O'Neill", _SUPPORT, "1201", title="First line"),
    Account("kim.lee", "Kim", "Lee", _SUPPORT, "1202", title="First line"),
    Account("liam.murphy", "Liam", "Murphy", _SUPPORT, "1203", title="First line"),
    Account("mia.novak", "Mia", "Novák", _SUPPORT, "1204", title="Second line"),
    Account("nils.berg", "Nils", "Berg", _SUPPORT, "1205", title="Second line"),
    Account("orla.byrne", "Orla", "Byrne", _SUPPORT, "1206", primary_group="Front Desk"),
    Account("paul.smith", "Paul", "Smith", _ADMINISTRATION, "1300", title="Finance"),
    Account("quinn.adams", "Quinn", "Adams", _ADMINISTRATION, "1301", title="Finance"),
    Account("rosa.martin", "Rosa", "Martín", _ADMINISTRATION, "1302", title="People"),
    Account("sven.olsen", "Sven", "Olsen", _ADMINISTRATION, "1303", title="People"),
    Account(
        "teresa.vega", "Teresa", "Vega", _ADMINISTRATION, "1304", cn="Vega, Teresa", title="Legal"
    ),
    # What goes wrong in every real company, one of each.
    Account("ulrich.stein", "Ulrich", "Stein", _SALES, title="No extension"),
    Account("vera.lang", "Vera", "Lang", _SALES, "1002", title="Jane Roe's extension"),
    Account("walter.gross", "Walter", "Gross", _SUPPORT, "reception", title="Not a number"),
    Account("xenia.popov", "Xenia", "", _SUPPORT, "1210", cn="Xenia", title="No last name"),
    Account("yann.leroy", "Yann", "Leroy", _ENGINEERING, "1110", mail="", title="No email"),
    Account("zara.khan", "Zara", "Khan", _ENGINEERING, "1111", mail="zara.khan at company"),
    Account("alex.kim", "Alex", "Kim", _SALES, "1030", mail="alex@company.com"),
    Account("alexandra.kim", "Alexandra", "Kim", _SALES, "1031", mail="Alex@company.com"),
    Account("dora.frank", "Dora", "Frank", _ADMINISTRATION, "1310", state=DISABLED),
    Account("emil.frank", "Emil", "Frank", _ADMINISTRATION, "1311", state=EXPIRED),
    Account("nina.new", "Nina", "New", _ADMINISTRATION, "1312", state=MUST_CHANGE),
    Account("otto.old", "Otto", "Old", _ADMINISTRATION, "1313", state=PASSWORD_EXPIRED),
)

DEPARTMENT_GROUPS: tuple[Group, ...] = (
    Group(
        "Sales",
        ("john.doe", "jane.roe", "ulrich.stein", "vera.lang", "Sales EMEA", "Sales Americas"),
        description="Everyone who sells",
    ),
    Group("Sales EMEA", ("marta.kowalska", "pierre.dubois", "giulia.rossi", "zoe.muller")),
    Group("Sales Americas", ("carlos.garcia", "emily.clark", "noah.wilson", "olivia.brown")),
    Group(
        "Engineering",
        (
            "ada.lindgren",
            "bruno.keller",
            "chiara.bianchi",
            "deniz.yilmaz",
            "yann.leroy",
            "zara.khan",
            "Quality",
            "Operations",
        ),
    ),
    Group("Quality", ("erik.hansen", "fatima.zahra")),
    Group("Operations", ("goran.petrovic", "hana.suzuki", "On Call")),
    Group("On Call", ("goran.petrovic", "nils.berg", "Operations")),
    Group(
        "Support",
        (
            "ines.costa",
            "jack.oneill",
            "kim.lee",
            "liam.murphy",
            "mia.novak",
            "nils.berg",
            "walter.gross",
            "xenia.popov",
        ),
    ),
    Group("Front Desk", ("kim.lee",), description="Orla is here by her primary group"),
    Group(
        "Administration",
        (
            "paul.smith",
            "quinn.adams",
            "rosa.martin",
            "sven.olsen",
            "teresa.vega",
            "dora.frank",
            "emil.frank",
        ),
    ),
    Group("Empty Office", ()),
)

GROUPS_ALL: tuple[Group, ...] = (
    *DEPARTMENT_GROUPS,
    Group(PHONE_USERS, tuple(person.account for person in PEOPLE), GROUPS, "Who has a phone"),
    Group("Kerauno_Administrators", ("ada.lindgren",), GROUPS),
)
