"""Locate people who are no longer found: deleted, or elsewhere in the domain."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

from dirclient.config import presets
from dirclient.config.profile import Profile
from dirclient.connection import result_codes
from dirclient.connection.ldap_connection import Connection, Entry
from dirclient.connection.pool import Pool
from dirclient.mapping.person_mapping import ad_state, expires_at, generalized_time, ldap_state
from dirclient.model.directory_objects import AccountState, Guid, Whereabouts
from dirclient.operations.rootdse import Roots
from dirclient.wire.decode import SHOW_DELETED, Control
from dirclient.wire.filters import any_of

_AT_ONCE = 100  # identities in one search
MOST = 1000
"""Identities that are asked for; of the others nothing is said."""

_SHOW_DELETED = Control(SHOW_DELETED)  # not critical: whoever does not know it leaves them out
_NO_ANSWERS = frozenset(
    (
        result_codes.NO_SUCH_OBJECT,
        result_codes.SIZE_LIMIT,
        result_codes.INSUFFICIENT_ACCESS,
        result_codes.REFERRAL,
    )
)
"""Result codes after which nothing is known of who was not found."""


def _state(entry: Entry, preset: presets.Preset) -> AccountState | None:
    if preset.is_ad:
        readable = "useraccountcontrol" in entry.attributes
        return ad_state(entry, datetime.now(UTC))[0] if readable else None
    return ldap_state(entry, datetime.now(UTC))[0]


class LdapLocator:
    """`Locator` over LDAP: one search below the domain for each hundred people."""

    def __init__(self, profile: Profile, pool: Pool, roots: Roots) -> None:
        self._preset = presets.of(profile)
        self._pool = pool
        self._roots = roots
        self._domain = ""

    def locate(self, guids: Collection[Guid]) -> Mapping[Guid, Whereabouts]:
        """See `Locator`."""
        part = sorted(guids)[:MOST]
        located: dict[Guid, Whereabouts] = {}
        for start in range(0, len(part), _AT_ONCE):
            located |= self._locate(part[start : start + _AT_ONCE])
        return located

    def _locate(self, guids: Sequence[Guid]) -> dict[Guid, Whereabouts]:
        preset = self._preset
        attributes = tuple(
            filter(None, (preset.identity_attribute, preset.changed, *preset.state, "isdeleted"))
        )
        controls = (_SHOW_DELETED,) if preset.is_ad else ()
        anybody = any_of(preset.by_guid(guid) for guid in guids)

        def ask(connection: Connection) -> dict[Guid, Whereabouts]:
            if not self._domain:
                self._domain = self._roots.look(connection).domain
            answer = connection.search(
                self._domain, anybody, attributes, controls=controls, expecting=_NO_ANSWERS
            )
            if answer.code != result_codes.SUCCESS:
                return {}
            located = dict.fromkeys(guids, Whereabouts(deleted=True))
            for entry in answer.entries:
                guid = preset.guid(entry)
                if guid is not None:
                    deleted = (entry.text("isdeleted") or "").upper() == "TRUE"
                    changed = generalized_time(entry.text(preset.changed))
                    located[guid] = Whereabouts(
                        deleted, changed, expires_at(entry, preset), _state(entry, preset)
                    )
            return located

        return self._pool.ask(ask)
