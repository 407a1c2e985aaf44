"""Differences between kinds of directory: attribute names, identity, bind name, object filters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dirclient.config.ports import Identity
from dirclient.config.profile import AttributeMapping, PresetName, Profile
from dirclient.model.directory_objects import Guid
from dirclient.wire.decode import Entry
from dirclient.wire.filters import Filter, bits, eq


@dataclass(frozen=True, slots=True)
class Preset:
    """One kind of directory. Attribute names are lower case, as entries have them."""

    name: PresetName
    identity_attribute: str
    account_name: str
    principal_name: str  # empty where there is none
    display_name: str
    login: tuple[str, ...]
    first_name: tuple[str, ...]
    last_name: tuple[str, ...]
    extension: tuple[str, ...]
    state: tuple[
        str, ...
    ]  # attributes that `dirclient.mapping.person_mapping` weighs for the account's state
    password_set: str  # when the password was set; a FILETIME in AD, else generalized time
    changed: str  # when the object last changed, generalized time
    usn: str  # the server's own change number; empty where there is none
    members: tuple[str, ...]  # attributes of a group that name its members' DNs
    person_filter: Filter
    group_filter: Filter  # groups that may be departments
    any_group_filter: Filter  # groups that membership may lead through
    ou_filter: Filter
    exact_state: tuple[str, ...] = ()  # what the server works out for each person when asked

    @property
    def is_ad(self) -> bool:
        """Return whether AD's own rules and controls (in-chain, tokenGroups, tombstones) can be
        used."""
        return self.name is PresetName.ACTIVE_DIRECTORY

    def guid(self, entry: Entry) -> Guid | None:
        """The identity of an entry; None where it has none or it could not be read."""
        raw = entry.octets(self.identity_attribute)
        if raw is None:
            return None
        try:
            return Guid.from_ad(raw) if self.is_ad else Guid.parse(raw.decode())
        except ValueError:
            return None

    def by_guid(self, guid: Guid) -> Filter:
        """The filter that finds the object with this identity."""
        return eq(self.identity_attribute, guid_octets(guid) if self.is_ad else str(guid))

    def bind_name(self, identity: Identity) -> str:
        """The name to bind by: AD accepts the identity itself, which survives every rename.

        `<GUID=...>` is a form of DN (MS-ADTS 3.1.1.3.1.2.4) and so of a simple bind's name.
        """
        return f"<GUID={identity.guid}>" if self.is_ad else identity.dn


def guid_octets(guid: Guid) -> bytes:
    """A GUID as `objectGUID` holds it: the first three fields little-endian (MS-DTYP 2.3.4.2)."""
    raw = bytes.fromhex(guid.replace("-", ""))
    return raw[3::-1] + raw[5:3:-1] + raw[7:5:-1] + raw[8:]


ACTIVE_DIRECTORY = Preset(
    name=PresetName.ACTIVE_DIRECTORY,
    identity_attribute="objectguid",
    account_name="samaccountname",
    principal_name="userprincipalname",
    display_name="displayname",
    login=("mail", "userprincipalname"),
    first_name=("givenname",),
    last_name=("sn",),
    extension=("ipphone", "telephonenumber"),
    state=(
        "useraccountcontrol",
        "lockouttime",
        "accountexpires",
        "pwdlastset",
    ),
    exact_state=("msds-user-account-control-computed",),
    password_set="pwdlastset",  # noqa: S106 - an attribute's name
    changed="whenchanged",
    usn="usnchanged",
    members=("member",),
    # SAM_NORMAL_USER_ACCOUNT: people, but no computers, trusts or contacts; indexed everywhere.
    person_filter=eq("sAMAccountType", 0x30000000),
    group_filter=eq("objectClass", "group") & bits("groupType", 0x80000000),  # security-enabled
    any_group_filter=eq("objectClass", "group"),
    ou_filter=eq("objectClass", "organizationalUnit"),
)

OPENLDAP = Preset(
    name=PresetName.OPENLDAP,
    identity_attribute="entryuuid",
    account_name="uid",
    principal_name="",
    display_name="displayname",
    login=("mail",),
    first_name=("givenname",),
    last_name=("sn",),
    extension=("telephonenumber",),
    state=("pwdaccountlockedtime", "pwdreset", "pwdendtime", "shadowexpire"),
    password_set="pwdchangedtime",  # noqa: S106 - an attribute's name
    changed="modifytimestamp",
    usn="",
    members=("member", "uniquemember"),
    person_filter=eq("objectClass", "inetOrgPerson"),
    group_filter=eq("objectClass", "groupOfNames") | eq("objectClass", "groupOfUniqueNames"),
    any_group_filter=eq("objectClass", "groupOfNames") | eq("objectClass", "groupOfUniqueNames"),
    ou_filter=eq("objectClass", "organizationalUnit"),
)

_PRESETS: Mapping[PresetName, Preset] = {p.name: p for p in (ACTIVE_DIRECTORY, OPENLDAP)}


def of(profile: Profile) -> Preset:
    """The preset that a profile names."""
    return _PRESETS[profile.preset]


@dataclass(frozen=True, slots=True)
class AttributesInUse:
    """The attributes in use, lower case: an administrator's where given, else the preset's."""

    login: tuple[str, ...]
    first_name: tuple[str, ...]
    last_name: tuple[str, ...]
    extension: tuple[str, ...]


def attributes_in_use(profile: Profile) -> AttributesInUse:
    """Resolve the profile's attribute mapping against its preset."""
    preset, chosen = of(profile), profile.attributes
    return AttributesInUse(
        *(
            tuple(name.lower() for name in getattr(chosen, field)) or getattr(preset, field)
            for field in AttributeMapping.model_fields
        )
    )
