"""From a directory entry to a `Person`: the one place that reads names and account states.

Both the complete reader and the one-person look-up come through here, so they cannot disagree.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dirclient.config import presets
from dirclient.config.profile import Profile
from dirclient.model.directory_objects import AccountState, Person
from dirclient.wire.decode import Entry
from dirclient.wire.filters import Filter, any_of, bits, present

UAC_DISABLED = 0x2  # ADS_UF_ACCOUNTDISABLE, MS-ADTS 2.2.16
UAC_LOCKED = 0x10  # in the computed attribute only
UAC_NEVER_EXPIRES = 0x10000  # ADS_UF_DONT_EXPIRE_PASSWD

_NEVER = (0, 0x7FFFFFFFFFFFFFFF)  # accountExpires: both mean never (MS-ADA1 2.3)
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)  # of a FILETIME, in units of 100 ns
_PERMANENT_LOCK = "000001010000Z"  # pwdAccountLockedTime: until an administrator unlocks

_LDAP_STATE = frozenset(presets.OPENLDAP.state)


def clean(text: str | None) -> str | None:
    """NFC-normalised and stripped; None for nothing, for blanks and for what holds a NUL."""
    if text is None:
        return None
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    text = text.strip()
    return text if text and "\0" not in text else None


@dataclass(frozen=True, slots=True)
class PersonReader:
    """Turns entries into people by the rules of one profile. Build once, use for all."""

    preset: presets.Preset
    names: presets.AttributesInUse

    @classmethod
    def of(cls, profile: Profile) -> PersonReader:
        """The reader for a profile."""
        return cls(presets.of(profile), presets.attributes_in_use(profile))

    @property
    def attributes(self) -> tuple[str, ...]:
        """Return what a search must ask for so that `person` sees everything."""
        return (*self.bulk_attributes, *self.preset.exact_state)

    @property
    def bulk_attributes(self) -> tuple[str, ...]:
        """Those without what a server works out again for each person it is asked about."""
        p, n = self.preset, self.names
        attributes = (
            p.identity_attribute,
            *n.login,
            *n.first_name,
            *n.last_name,
            *n.extension,
            p.display_name,
            p.account_name,
            p.principal_name,
            *p.state,
            p.password_set,
            p.changed,
            p.usn,
        )
        return tuple(dict.fromkeys(filter(None, attributes)))

    def person(self, entry: Entry, now: datetime) -> Person | None:
        """The person; None where the entry has no readable identity. `now` decides on expiry."""
        preset, names = self.preset, self.names
        guid = preset.guid(entry)
        if guid is None:
            return None
        login, login_attribute = first(entry, names.login)
        extension, extension_attribute = first(entry, names.extension)
        state, locked, must_change = (ad_state if preset.is_ad else ldap_state)(entry, now)
        return Person(
            guid=guid,
            dn=entry.dn,
            login=login,
            first_name=first(entry, names.first_name)[0],
            last_name=first(entry, names.last_name)[0],
            extension=extension,
            login_attribute=login_attribute,
            extension_attribute=extension_attribute,
            display_name=clean(entry.text(preset.display_name)),
            account_name=clean(entry.text(preset.account_name)),
            principal_name=clean(entry.text(preset.principal_name)),
            state=state,
            locked=locked,
            must_change_password=must_change,
            password_set=password_set(entry, preset),
            changed=generalized_time(entry.text(preset.changed)),
            usn=entry.integer(preset.usn),
        )


def password_set(entry: Entry, preset: presets.Preset) -> datetime | None:
    """When the password was set, as far as the service account may read that."""
    text = entry.text(preset.password_set)
    if not preset.is_ad or text is None:
        return generalized_time(text)
    value = entry.integer(preset.password_set, -1)
    return filetime(value) if value >= 0 else None


def first(entry: Entry, names: Iterable[str]) -> tuple[str | None, str]:
    """The first of these attributes that holds something, and which it was."""
    for name in names:
        for raw in entry.attributes.get(name, ()):
            if (text := clean(raw.decode("utf-8", "replace"))) is not None:
                return text, name
    return None, ""


def filetime(value: int) -> datetime:
    """An AD interval as an instant; the far future where a calendar cannot hold it."""
    try:
        return _EPOCH + timedelta(microseconds=value // 10)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def generalized_time(text: str | None) -> datetime | None:
    """`20261123085221.0Z` (RFC 4517 3.3.13) as an instant; None where it is none."""
    if not text or not text.endswith("Z"):
        return None
    digits, _, fraction = text[:-1].partition(".")
    if len(digits) != 14 or not digits.isascii() or not digits.isdigit():
        return None
    if digits.endswith("60"):  # a leap second, which a calendar cannot hold
        digits = f"{digits[:12]}59"
    try:
        at = datetime.fromisoformat(f"{digits[:8]}T{digits[8:]}+00:00")
        return at + timedelta(seconds=float(f"0.{fraction}")) if fraction.strip("0") else at
    except (ValueError, OverflowError):
        return None


def ad_state(entry: Entry, now: datetime) -> tuple[AccountState, bool, bool]:
    """State, locked, must change: userAccountControl, its computed bits, accountExpires.

    Without the computed bits `locked` means that the account was locked and that nobody signed in
    since: lockoutTime stays set when a lock ends by itself (MS-ADTS 3.1.1.4.5.17).
    """
    control = entry.integer("useraccountcontrol")
    computed = entry.attributes.get("msds-user-account-control-computed")
    expires = entry.integer("accountexpires")
    # pwdLastSet is absent where it may not be read: that must not look like "must change".
    must_change = entry.integer("pwdlastset", -1) == 0 and not control & UAC_NEVER_EXPIRES
    if control & UAC_DISABLED:
        state = AccountState.DISABLED
    elif expires not in _NEVER and expires > 0 and filetime(expires) <= now:
        state = AccountState.EXPIRED
    else:
        state = AccountState.ACTIVE
    if computed:
        locked = bool(entry.integer("msds-user-account-control-computed") & UAC_LOCKED)
    else:
        locked = entry.integer("lockouttime") > 0
    return state, locked, must_change


def expires_at(entry: Entry, preset: presets.Preset) -> datetime | None:
    """When the account ends or has ended by itself; None: never, or not to be read."""
    if preset.is_ad:
        value = entry.integer("accountexpires")
        return filetime(value) if value not in _NEVER and value > 0 else None
    ends = generalized_time(entry.text("pwdendtime"))
    days = entry.integer("shadowexpire", -1)
    if ends is None and days >= 0:
        return datetime.fromtimestamp(0, UTC) + timedelta(days=min(days, 2_000_000))
    return ends


def ldap_state(entry: Entry, now: datetime) -> tuple[AccountState, bool, bool]:
    """State, locked, must change of a POSIX or ppolicy account (slapo-ppolicy(5))."""
    if entry.attributes.keys().isdisjoint(_LDAP_STATE):  # most accounts
        return AccountState.ACTIVE, False, False
    locked_at = entry.text("pwdaccountlockedtime")
    ends = generalized_time(entry.text("pwdendtime"))
    days = entry.integer("shadowexpire", -1)
    expired = ends is not None and ends <= now
    if days >= 0:
        expired = expired or now.timestamp() >= days * 86400
    if locked_at == _PERMANENT_LOCK:
        state = AccountState.DISABLED
    else:
        state = AccountState.EXPIRED if expired else AccountState.ACTIVE
    return state, locked_at is not None, (entry.text("pwdreset") or "").upper() == "TRUE"


def person_filter(profile: Profile) -> Filter:
    """Return who counts as a person in this profile.

    Every person account; with Advanced Search DN only enabled ones that have an email, narrowed
    by the administrator's own filter. Raises `InvalidFilter` for a filter that is none.
    """
    preset = presets.of(profile)
    if not profile.advanced:
        return preset.person_filter
    filter_ = preset.person_filter & any_of(map(present, presets.attributes_in_use(profile).login))
    if preset.is_ad:
        filter_ &= ~bits("userAccountControl", UAC_DISABLED)
    if profile.user_filter.strip():
        filter_ &= Filter.raw(profile.user_filter)
    return filter_


def department_filter(profile: Profile) -> Filter:
    """Which groups and OUs count as directory departments; narrowed like `person_filter`."""
    preset = presets.of(profile)
    filter_ = preset.group_filter | preset.ou_filter
    if profile.advanced and profile.department_filter.strip():
        filter_ &= Filter.raw(profile.department_filter)
    return filter_
