"""The AD Credentials form: what was typed, what it means, and what is wrong with it.

Text stays as typed until it is saved, so that nothing a person wrote is lost to an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

from authsvc.i18n.translate import N_, gettext, ngettext
from dirclient.config.pem import NoCertificates, read_certificates
from dirclient.config.profile import Encryption, PresetName, Profile
from kerauno.accounts.dial_plan import parse_range
from kerauno.base.errors import InvalidValue
from kerauno.tables.core import Directory

LONGEST = 10_000
LARGEST_UPLOAD = 256 * 1024
_MAPPED = ("login", "first_name", "last_name", "extension")
_NUMBERS = {
    "port": (1, 65535, 389),
    "sync_minutes": (1, 1440, 60),
    "reserve_days": (0, 3650, 30),
    "guard_count": (0, 1_000_000, 5),
    "guard_percent": (0, 100, 10),
}
LABELS: Mapping[str, str] = {
    "preset": N_("Directory type"),
    "servers": N_("AD Server"),
    "port": N_("AD Port"),
    "encryption": N_("Encryption"),
    "plaintext_accepted": N_("Passwords readable on the network"),
    "tls_name": N_("TLS name"),
    "ca_file": N_("CA certificate"),
    "ca_certificates": N_("CA certificate"),
    "username": N_("AD Username"),
    "password": N_("Password"),
    "user_search_dn": N_("AD User Search DN"),
    "department_search_dn": N_("AD Department Search DN"),
    "advanced": N_("Advanced Search DN?"),
    "user_filter": N_("Filter for people"),
    "department_filter": N_("Filter for departments"),
    "auto_sync": N_("Auto-Synchronization"),
    "login_without_domain": N_("Login Without Email Domain"),
    "ring_group_range": N_("Ring group numbers"),
    "map_login": N_("Attribute of username/email"),
    "map_first_name": N_("Attribute of first name"),
    "map_last_name": N_("Attribute of last name"),
    "map_extension": N_("Attribute of extension"),
    "sync_minutes": N_("Complete read every (minutes)"),
    "reserve_days": N_("Keep a leaver's number for (days)"),
    "guard_count": N_("Hold a run: people"),
    "guard_percent": N_("Hold a run: percent"),
    "role_groups": N_("Roles from AD groups"),
}
ERROR_PLACES = {"attributes": "map_login", "ca_certificates": "ca_file"}
"""Where the form shows what is wrong with a setting that has no box of its name."""
MORE = frozenset(
    {*(f"map_{name}" for name in _MAPPED), "sync_minutes", "reserve_days", "guard_count",
     "guard_percent", "role_groups"}
)  # fmt: skip
_SEARCHED = frozenset(
    {"user_search_dn", "department_search_dn", "user_filter", "department_filter", *MORE}
)
# What decides to which machine the stored password would go, and as whom.
_PASSWORD_GOES_WITH = ("servers", "port", "tls_name", "encryption", "username")


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of one field, and its remedy."""

    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """The parsed form. `columns` are the settings of `kerauno.sync.directory_settings.save`."""

    profile: Profile
    columns: Mapping[str, Any]


@dataclass(slots=True)
class Draft:
    """The form as typed, with the faults found in it (by field name)."""

    typed: dict[str, str]
    roles: dict[str, str] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)

    def fault(self, name: str, message: str, remedy: str = "") -> None:
        """Note what is wrong with a field; the first fault of a field stands."""
        self.faults.setdefault(ERROR_PLACES.get(name, name), Fault(message, remedy))


@dataclass(frozen=True, slots=True)
class Certificate:
    """One CA certificate for people. `soon`: it expires within 30 days, or has expired."""

    subject: str
    until: datetime
    soon: bool


def stored(directory: Directory | None) -> Draft:
    """The form as it opens: what is stored, or the defaults."""
    profile = Profile.from_stored(directory.profile, "") if directory is not None else Profile()
    typed = {
        "preset": profile.preset.value,
        "servers": ", ".join(profile.servers),
        "port": str(profile.port),
        "encryption": profile.encryption.value,
        "plaintext_accepted": _yes(profile.plaintext_accepted),
        "tls_name": profile.tls_name,
        "ca_certificates": profile.ca_certificates,
        "username": profile.username,
        "user_search_dn": profile.user_search_dn,
        "department_search_dn": profile.department_search_dn,
        "advanced": _yes(profile.advanced),
        "user_filter": profile.user_filter,
        "department_filter": profile.department_filter,
        "auto_sync": _yes(directory is not None and directory.auto_sync),
        "login_without_domain": _yes(directory is not None and directory.login_without_domain),
        "ring_group_range": "",
        "sync_minutes": "60",
        "reserve_days": "30",
        "guard_count": "5",
        "guard_percent": "10",
    }
    typed.update({f"map_{n}": ", ".join(getattr(profile.attributes, n)) for n in _MAPPED})
    if directory is None:
        return Draft(typed)
    if directory.ring_group_first and directory.ring_group_last:
        typed["ring_group_range"] = f"{directory.ring_group_first}-{directory.ring_group_last}"
    typed["sync_minutes"] = str(max(1, directory.sync_interval // 60))
    for name in ("reserve_days", "guard_count", "guard_percent"):
        typed[name] = str(getattr(directory, name))
    return Draft(typed, {guid: str(role) for guid, role in directory.role_groups.items()})


def posted(form: Mapping[str, str], upload: bytes | None, roles: Mapping[str, str]) -> Draft:
    """The form as a browser sent it, an uploaded CA certificate taken in."""
    draft = stored(None)
    for name in draft.typed:
        draft.typed[name] = form.get(name, "")[:LONGEST]
    draft.roles = {guid[:36]: role for guid, role in roles.items() if guid and role}
    shown = form.get("ca_certificates", "")[:200_000].encode()
    kept = b"" if form.get("ca_remove") == "yes" else shown
    draft.typed["ca_certificates"] = _authorities(draft, upload) or _authorities(draft, kept)
    return draft


def _authorities(draft: Draft, octets: bytes | None) -> str:
    """Return the certificates that were sent, as PEM. What was refused is not kept in the form."""
    if not octets or not octets.strip():
        return ""
    try:
        return read_certificates(octets)
    except NoCertificates as refused:
        draft.fault("ca_file", str(refused), refused.remedy)
        return ""


def certificates(pem: str, now: datetime) -> tuple[Certificate, ...]:
    """The CA certificates for people; none where the text holds none."""
    try:
        certificates = x509.load_pem_x509_certificates(pem.encode("ascii", "replace"))
    except ValueError:
        return ()
    return tuple(
        Certificate(
            _subject(certificate),
            certificate.not_valid_after_utc,
            (certificate.not_valid_after_utc - now).days < 30,
        )
        for certificate in certificates
    )


def _subject(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else certificate.subject.rfc4514_string()


def preset_name(draft: Draft) -> PresetName:
    """The directory type that is chosen."""
    openldap = draft.typed["preset"] == PresetName.OPENLDAP.value
    return PresetName.OPENLDAP if openldap else PresetName.ACTIVE_DIRECTORY


def _profile(draft: Draft, port: int, password: str) -> Profile | None:
    typed = draft.typed
    profile, faults = Profile.examine(
        {
            "preset": preset_name(draft),
            "servers": _several(typed["servers"]),
            "port": port,
            "tls_name": typed["tls_name"].strip(),
            "encryption": _encryption(typed["encryption"]),
            "plaintext_accepted": typed["plaintext_accepted"] == "yes",
            "ca_certificates": typed["ca_certificates"],
            "username": typed["username"].strip(),
            "user_search_dn": typed["user_search_dn"].strip(),
            "department_search_dn": typed["department_search_dn"].strip(),
            "advanced": typed["advanced"] == "yes",
            "user_filter": typed["user_filter"].strip(),
            "department_filter": typed["department_filter"].strip(),
            "attributes": {name: _several(typed[f"map_{name}"]) for name in _MAPPED},
        },
        password,
    )
    for fault in faults:
        draft.fault(fault.field, fault.message, fault.remedy)
    return profile


def understand(draft: Draft, password: str) -> Settings | None:
    """The settings that the form means, or None with `draft.faults` filled in."""
    typed = draft.typed
    numbers = {name: _number(draft, name) for name in _NUMBERS}
    ends = _range(draft)
    profile = _profile(draft, numbers["port"], password)
    if profile is None or draft.faults:
        return None
    return Settings(
        profile,
        {
            "profile": profile.stored(),
            "auto_sync": typed["auto_sync"] == "yes",
            "login_without_domain": typed["login_without_domain"] == "yes",
            "ring_group_first": ends[0],
            "ring_group_last": ends[1],
            "sync_interval": numbers["sync_minutes"] * 60,
            "reserve_days": numbers["reserve_days"],
            "guard_count": numbers["guard_count"],
            "guard_percent": numbers["guard_percent"],
            "role_groups": draft.roles,
        },
    )


def connection_alone(draft: Draft, password: str) -> Profile | None:
    """The profile of a form whose only faults are in what to search: enough to ask for names."""
    if draft.faults.keys() - _SEARCHED:
        return None
    plain = {**draft.typed, **dict.fromkeys(_SEARCHED, "")}
    return _profile(Draft(plain), _number(Draft(plain), "port"), password)


def password_may_go(old: Profile, draft: Draft) -> bool:
    """Return whether the stored password may be used with this form: same server, account,
    protection.

    Fewer of the same servers are the same servers.
    """
    before = stored_like(old)
    servers = set(_several(draft.typed["servers"]))
    if not servers or not servers <= set(old.servers):
        return False
    return all(
        draft.typed[name].strip() == before[name]
        for name in _PASSWORD_GOES_WITH
        if name != "servers"
    )


def stored_like(profile: Profile) -> dict[str, str]:
    """The fields of a profile that say where a password would go, as the form has them."""
    return {
        "servers": ", ".join(profile.servers),
        "port": str(profile.port),
        "tls_name": profile.tls_name,
        "encryption": profile.encryption.value,
        "username": profile.username,
    }


# What a change of these could do to people who are linked already.
SCOPE = (
    "preset", "servers", "port", "user_search_dn", "department_search_dn", "advanced",
    "user_filter", "department_filter", "attributes",
)  # fmt: skip


def touches_people(old: Directory, new: Settings) -> bool:
    """Return whether saving could change who is recognized, or what is stored about them."""
    before, after = old.profile, new.columns["profile"]
    defaults = Profile().model_dump(mode="json")
    if any(before.get(name, defaults[name]) != after[name] for name in SCOPE):
        return True
    return bool(dict(old.role_groups) != new.columns["role_groups"])


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that another administrator changed meanwhile: theirs and yours."""

    name: str
    label: str
    theirs: str
    yours: str


def differences(theirs: Draft, mine: Draft) -> tuple[Difference, ...]:
    """Return where the form differs from what is stored now, for the second of two
    administrators."""
    faults = [
        Difference(
            name, gettext(LABELS[name]), _shown(name, theirs.typed[name]), _shown(name, text)
        )
        for name, text in mine.typed.items()
        if _normal(theirs.typed[name]) != _normal(text)
    ]
    if theirs.roles != mine.roles:
        faults.append(
            Difference(
                "role_groups",
                gettext(LABELS["role_groups"]),
                _groups(theirs),
                _groups(mine),
            )
        )
    return tuple(faults)


def _normal(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _shown(name: str, text: str) -> str:
    if name == "ca_certificates":
        count = text.count("BEGIN CERTIFICATE")
        return ngettext("%(n)s certificate", "%(n)s certificates", count)
    return text


def _groups(draft: Draft) -> str:
    return ngettext("%(n)s group", "%(n)s groups", len(draft.roles))


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _several(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in re.split(r"[,;\n]", text) if part.strip())


def _encryption(text: str) -> Encryption:
    return Encryption(text) if text in set(Encryption) else Encryption.STARTTLS


def _number(draft: Draft, name: str) -> int:
    lowest, highest, usual = _NUMBERS[name]
    text = draft.typed[name].strip()
    if not text:
        return usual
    if not re.fullmatch(r"[0-9]{1,7}", text) or not lowest <= int(text) <= highest:
        message = gettext(
            "This must be a number from %(lowest)s to %(highest)s.",
            lowest=str(lowest),
            highest=str(highest),
        )
        draft.fault(name, message)
        return usual
    return int(text)


def _range(draft: Draft) -> tuple[str | None, str | None]:
    text = draft.typed["ring_group_range"].strip()
    if not text:
        return None, None
    try:
        return parse_range(text)
    except InvalidValue as error:
        draft.fault("ring_group_range", str(error), error.remedy)
        return None, None
