"""The lockout policy of the domain, so that Kerauno's own throttle can stay below it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from dirclient.config import presets
from dirclient.config.profile import Profile
from dirclient.connection import result_codes
from dirclient.connection.ldap_connection import Connection, Entry
from dirclient.connection.pool import Pool
from dirclient.mapping.person_mapping import filetime, generalized_time
from dirclient.model.directory_objects import Guid, LockoutPolicy
from dirclient.model.errors import Incomplete, NotFound
from dirclient.operations.rootdse import RootDse, Roots, clock_offset
from dirclient.wire.filters import EVERYTHING, eq

FOREVER = 0x7FFFFFFF
"""Seconds that stand for "until an administrator unlocks" or "until a good sign-in"."""

_PSO = ("msDS-LockoutThreshold", "msDS-LockoutObservationWindow", "msDS-LockoutDuration")
_BAD_PASSWORDS = ("badPwdCount", "badPasswordTime")
_DOMAIN = ("lockoutThreshold", "lockOutObservationWindow", "lockoutDuration")
_PPOLICY = ("pwdMaxFailure", "pwdFailureCountInterval", "pwdLockoutDuration", "pwdLockout")


class LdapPolicies:
    """`Policies` over LDAP."""

    def __init__(self, profile: Profile, pool: Pool, roots: Roots) -> None:
        self._preset = presets.of(profile)
        self._pool = pool
        self._roots = roots

    def lockout_policy(self, guid: Guid | None = None) -> LockoutPolicy:
        """See `Policies`."""

        def ask(connection: Connection) -> LockoutPolicy:
            root = self._roots.look(connection)
            if self._preset.is_ad:
                return _of_ad(connection, root, guid)
            return _of_openldap(connection, root, guid, self._preset)

        return self._pool.ask(ask)

    def wrong_passwords(self, guid: Guid, window: timedelta) -> int:
        """See `Policies`."""

        def ask(connection: Connection) -> int:
            # By the server's own clock: ours may have been set since.
            ahead = timedelta(seconds=clock_offset(connection))
            since = datetime.now(UTC) + ahead - window
            if self._preset.is_ad:
                return _wrong_in_ad(connection, guid, since)
            root = self._roots.look(connection)
            return _wrong_in_openldap(connection, root, guid, since, self._preset)

        return max(self._pool.ask_each(ask))


def strictest(policies: Iterable[LockoutPolicy]) -> LockoutPolicy:
    """Return what keeps below all of them: the lowest threshold, the longest window and duration.

    Named after the policy with the lowest threshold. Of none: one that never locks.
    """
    locking = [policy for policy in policies if policy.threshold > 0]
    if not locking:
        return LockoutPolicy(0, 0, 0)
    lowest = min(locking, key=lambda policy: policy.threshold)
    return LockoutPolicy(
        threshold=lowest.threshold,
        window=max(policy.window for policy in locking),
        duration=max(policy.duration for policy in locking),
        source=lowest.source,
    )


def _of_ad(connection: Connection, root: RootDse, guid: Guid | None) -> LockoutPolicy:
    """The domain's own policy (MS-ADTS 3.1.1.5.4) and its password settings objects.

    The PSO that holds for an account is known exactly where the service account may read it;
    where it may not, any of those it can read may hold, and so may the domain's.
    """
    domain = connection.search(
        root.domain, EVERYTHING, _DOMAIN, scope="base", expecting=result_codes.HIDDEN
    )
    if not domain.entries:
        raise Incomplete(f"The domain's lockout policy cannot be read. {domain.message}".rstrip())
    policies = [_ad_policy(domain.entries[0], _DOMAIN, "domain")]
    if guid is not None:
        resultant = _resultant(connection, guid)
        if resultant is not None:
            return resultant
    container = f"CN=Password Settings Container,CN=System,{root.domain}"
    answer = connection.search(
        container,
        eq("objectClass", "msDS-PasswordSettings"),
        ("cn", *_PSO),
        scope="one",
        expecting=result_codes.HIDDEN,
    )
    policies += [_ad_policy(entry, _PSO, entry.text("cn") or entry.dn) for entry in answer.entries]
    return strictest(policies)


def _resultant(connection: Connection, guid: Guid) -> LockoutPolicy | None:
    """The PSO that applies to this account; None where there is none or it may not be read."""
    account = connection.search(
        f"<GUID={guid}>", EVERYTHING, ("msDS-ResultantPSO",), "base", expecting=result_codes.HIDDEN
    )
    applied = account.entries[0].text("msDS-ResultantPSO") if account.entries else None
    if not applied:
        return None
    answer = connection.search(
        applied, EVERYTHING, ("cn", *_PSO), scope="base", expecting=result_codes.HIDDEN
    )
    if not answer.entries or answer.entries[0].text(_PSO[0]) is None:
        return None
    return _ad_policy(answer.entries[0], _PSO, answer.entries[0].text("cn") or applied)


def _ad_policy(entry: Entry, names: tuple[str, str, str], source: str) -> LockoutPolicy:
    threshold, window, duration = names
    return LockoutPolicy(
        threshold=entry.integer(threshold),
        window=_interval(entry.integer(window)),
        duration=_interval(entry.integer(duration)),
        source=source,
    )


def _interval(value: int) -> int:
    """A negative count of 100 ns as seconds, rounded up. AD writes "forever" as 0 or the lowest
    number there is (MS-SAMR 2.2.3.1, MS-ADTS 3.1.1.5.4)."""
    return min(-(value // 10_000_000), FOREVER) if value < 0 else FOREVER


def _of_openldap(
    connection: Connection, root: RootDse, guid: Guid | None, preset: presets.Preset
) -> LockoutPolicy:
    """The policies of slapo-ppolicy: the account's own where it names one, else any of them."""
    policies: list[LockoutPolicy] = []
    own: str | None = None
    if guid is not None:
        for context in root.contexts:
            account = connection.search(
                context, preset.by_guid(guid), ("pwdPolicySubentry",), expecting=result_codes.HIDDEN
            )
            if account.entries:
                own = account.entries[0].text("pwdPolicySubentry")
    if own:
        answer = connection.search(
            own, EVERYTHING, ("cn", *_PPOLICY), scope="base", expecting=result_codes.HIDDEN
        )
        policies = [_ppolicy(entry) for entry in answer.entries]
    if not policies:
        for context in root.contexts:
            answer = connection.search(
                context,
                eq("objectClass", "pwdPolicy"),
                ("cn", *_PPOLICY),
                expecting=result_codes.HIDDEN,
            )
            policies += [_ppolicy(entry) for entry in answer.entries]
    return strictest(policies)


def _wrong_in_ad(connection: Connection, guid: Guid, since: datetime) -> int:
    """badPwdCount starts again when the window has passed (MS-ADTS 3.1.1.5.2): then none counts."""
    answer = connection.search(
        f"<GUID={guid}>", EVERYTHING, _BAD_PASSWORDS, scope="base", expecting=result_codes.HIDDEN
    )
    count = answer.entries[0].text("badPwdCount") if answer.entries else None
    if count is None:
        raise NotFound("The account's count of wrong passwords cannot be read.")
    last = filetime(answer.entries[0].integer("badPasswordTime"))
    return int(count) if last > since else 0


def _wrong_in_openldap(
    connection: Connection, root: RootDse, guid: Guid, since: datetime, preset: presets.Preset
) -> int:
    """slapo-ppolicy keeps the moment of each wrong password."""
    for context in root.contexts:
        answer = connection.search(
            context, preset.by_guid(guid), ("pwdFailureTime",), expecting=result_codes.HIDDEN
        )
        if answer.entries:
            moments = map(generalized_time, answer.entries[0].texts("pwdFailureTime"))
            return sum(moment is not None and moment > since for moment in moments)
    raise NotFound("The account cannot be read.")


def _ppolicy(entry: Entry) -> LockoutPolicy:
    locks = (entry.text("pwdLockout") or "").upper() == "TRUE"
    return LockoutPolicy(
        threshold=entry.integer("pwdMaxFailure") if locks else 0,
        window=entry.integer("pwdFailureCountInterval") or FOREVER,
        duration=entry.integer("pwdLockoutDuration") or FOREVER,
        source=entry.text("cn") or entry.dn,
    )
