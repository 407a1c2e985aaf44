"""The view of an entry: stored values, and those that AD constructs when asked."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime

from demo import company, names
from demo.protocol import Failure
from demo.store import Entry, Tree, filetime, sid, sid_text

MAX_VALUES = 1500  # MaxValRange: how many values of one attribute AD gives at once
LOCKED_OUT, PASSWORD_EXPIRED = 0x10, 0x800000  # MS-ADTS 2.2.16
DONT_EXPIRE_PASSWORD = 0x10000
NEVER = 0x7FFFFFFFFFFFFFFF

# How attributes are written; anything else keeps the spelling it was asked or stored with.
_SPELLED = {
    one.lower(): one
    for one in (
        *("objectClass", "objectGUID", "objectSid", "objectCategory", "distinguishedName", "cn"),
        *("ou", "dc", "name", "sn", "givenName", "displayName", "mail", "title", "description"),
        *("sAMAccountName", "sAMAccountType", "userPrincipalName", "userAccountControl"),
        *("ipPhone", "telephoneNumber", "member", "memberOf", "primaryGroupID", "groupType"),
        *("pwdLastSet", "accountExpires", "lockoutTime", "badPwdCount", "whenCreated"),
        *("whenChanged", "uSNCreated", "uSNChanged", "isDeleted", "lastKnownParent"),
        *("lockoutThreshold", "lockOutObservationWindow", "lockoutDuration", "maxPwdAge"),
        *("minPwdLength", "pwdProperties", "invocationId", "msDS-Behavior-Version"),
        *("msDS-User-Account-Control-Computed", "primaryGroupToken", "tokenGroups"),
        *("instanceType", "parentGUID", "nTSecurityDescriptor"),
    )
}
DN_VALUED = frozenset(
    (
        "member",
        "memberof",
        "distinguishedname",
        "objectcategory",
        "lastknownparent",
        "manager",
        "ncname",
    )
)
ONLY_WHEN_ASKED = frozenset(
    ("msds-user-account-control-computed", "primarygrouptoken", "tokengroups", "parentguid")
)
_CATEGORY = {
    "user": "Person",
    "group": "Group",
    "organizationalUnit": "Organizational-Unit",
    "container": "Container",
    "domainDNS": "Domain-DNS",
}


def spelled(attribute: str) -> str:
    """The attribute's name as the schema writes it."""
    return _SPELLED.get(attribute.lower(), attribute)


def time_text(instant: datetime) -> bytes:
    """Generalized time, as AD writes it."""
    return instant.astimezone(UTC).strftime("%Y%m%d%H%M%S.0Z").encode()


def computed_control(tree: Tree, entry: Entry, now: datetime) -> int:
    """msDS-User-Account-Control-Computed: locked out, password expired."""
    bits = LOCKED_OUT if locked(tree, entry, now) else 0
    return bits | (PASSWORD_EXPIRED if password_expired(tree, entry, now) else 0)


def locked(tree: Tree, entry: Entry, now: datetime) -> bool:
    """Return whether too many wrong passwords were given within the lockout duration."""
    since = entry.number("lockoutTime")
    duration = -tree.find(tree.base).number("lockoutDuration")
    return bool(since) and filetime(now) < since + duration


def password_expired(tree: Tree, entry: Entry, now: datetime) -> bool:
    """Return whether the password is older than the domain allows, or must be changed anyway."""
    if entry.number("userAccountControl") & DONT_EXPIRE_PASSWORD:
        return False
    longest = -tree.find(tree.base).number("maxPwdAge")
    return entry.number("pwdLastSet") + longest < filetime(now)


class View:
    """Reads entries of a tree."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._made: dict[str, Callable[[Entry], list[bytes]]] = {
            "objectguid": lambda entry: [entry.guid.bytes_le],
            "distinguishedname": lambda entry: [entry.dn.encode()],
            "memberof": self._member_of,
            "member": self._members,
            "objectcategory": self._category,
            "whencreated": lambda entry: [time_text(entry.when_created)],
            "whenchanged": lambda entry: [time_text(entry.when_changed)],
            "usncreated": lambda entry: [str(entry.created).encode()],
            "usnchanged": lambda entry: [str(entry.changed).encode()],
            "instancetype": lambda entry: [b"5" if entry.name == tree.base else b"4"],
            "samaccounttype": self._account_type,
            "primarygrouptoken": self._primary_group_token,
            "tokengroups": self._token_groups,
            "parentguid": self._parent_guid,
            "msds-user-account-control-computed": self._control,
        }

    def values(self, entry: Entry, attribute: str) -> list[bytes]:
        """All values of an attribute, constructed or stored; empty where there is none."""
        lower = attribute.lower()
        if made := self._made.get(lower):
            return made(entry)
        return entry.values.get(lower, [])

    def shown(
        self, entry: Entry, wanted: Iterable[str], extended: int | None = None
    ) -> Iterator[tuple[str, list[bytes]]]:
        """Names and values for a searchResEntry. `extended`: the form of extended DNs, if asked."""
        asked = [one for one in wanted if one != "1.1"]
        if "*" in asked or not list(wanted):
            stored = {*entry.values, *self._made} - ONLY_WHEN_ASKED
            asked = [*sorted(stored), *(one for one in asked if one != "*")]
        for one in asked:
            attribute, _, option = one.partition(";")
            values = self.values(entry, attribute)
            if extended is not None and attribute.lower() in DN_VALUED:
                values = [self.extended(value, extended) for value in values]
            if values:
                yield from _ranged(spelled(attribute), values, option.lower())

    def extended(self, dn: bytes, form: int) -> bytes:
        """`<GUID=…>;<SID=…>;dn` (MS-ADTS 3.1.1.3.4.1.5); form 0 in hexadecimal, 1 as text."""
        try:
            entry = self._tree.find(names.parse(dn.decode()))
        except Failure:  # names of the schema, which this directory does not hold
            return dn
        raw = entry.values.get("objectsid", [b""])[0]
        guid = str(entry.guid) if form else entry.guid.bytes_le.hex()
        parts = [f"<GUID={guid}>"]
        if raw:
            parts.append(f"<SID={sid_text(raw) if form else raw.hex()}>")
        return ";".join((*parts, dn.decode())).encode()

    def _members(self, entry: Entry) -> list[bytes]:
        return [self._tree.with_guid(one).dn.encode() for one in entry.members]

    def _member_of(self, entry: Entry) -> list[bytes]:
        return [one.dn.encode() for one in self._tree.groups_of(entry.guid)]

    def _category(self, entry: Entry) -> list[bytes]:
        for one, category in _CATEGORY.items():
            if entry.is_a(one):
                return [f"CN={category},CN=Schema,CN=Configuration,{company.BASE}".encode()]
        return []

    def _account_type(self, entry: Entry) -> list[bytes]:
        if entry.deleted:
            return []
        kinds = {"user": 0x30000000, "group": 0x10000000}
        return [str(number).encode() for one, number in kinds.items() if entry.is_a(one)]

    def _primary_group_token(self, entry: Entry) -> list[bytes]:
        raw = entry.values.get("objectsid")
        if not raw or not entry.is_a("group"):
            return []
        return [sid_text(raw[0]).rsplit("-", 1)[1].encode()]

    def _token_groups(self, entry: Entry) -> list[bytes]:
        groups = [self._tree.with_guid(one) for one in self._tree.chain_up(entry.guid)]
        found = [one.values["objectsid"][0] for one in groups]
        if primary := entry.number("primaryGroupID"):
            found.append(sid(primary))
        return found

    def _parent_guid(self, entry: Entry) -> list[bytes]:
        parent: uuid.UUID | None = None
        if len(entry.name) > len(self._tree.base):
            parent = self._tree.find(entry.name[1:]).guid
        return [parent.bytes_le] if parent else []

    def _control(self, entry: Entry) -> list[bytes]:
        if not entry.is_a("user"):
            return []
        return [str(computed_control(self._tree, entry, datetime.now(UTC))).encode()]


def _ranged(name: str, values: list[bytes], option: str) -> Iterator[tuple[str, list[bytes]]]:
    """Range retrieval (MS-ADTS 3.1.1.3.1.3.3): no more than so many values at once."""
    low, high = 0, len(values) - 1
    if option.startswith("range="):
        first, _, last = option[6:].partition("-")
        low = int(first)
        high = high if last in ("*", "") else int(last)
    elif len(values) <= MAX_VALUES:
        yield name, values
        return
    else:
        yield name, []
    cut = values[low : min(high, low + MAX_VALUES - 1) + 1]
    end = low + len(cut) - 1
    yield f"{name};range={low}-{'*' if end >= len(values) - 1 else end}", cut
