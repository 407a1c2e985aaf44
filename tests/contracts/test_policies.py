"""The contract of every `Policies`: the strictest lockout that may hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

import pytest

from dirclient.client import DirectoryClient
from dirclient.config.ports import Identity
from dirclient.config.profile import Profile
from dirclient.fake.directory import FakeDirectory
from dirclient.model.directory_objects import Guid, LockoutPolicy
from dirclient.model.errors import BadCredentials, NotFound
from dirclient.operations.lockout_policy import FOREVER, strictest
from tests.contracts.backends import Backend
from tests.servers.samba import SambaDC

HALF_HOUR = timedelta(minutes=30)


def test_a_directory_that_never_locks_says_threshold_nought(backend: Backend) -> None:
    john = backend.add("john")
    assert backend.client.lockout_policy().threshold == 0
    assert backend.client.lockout_policy(john.guid).threshold == 0


def test_the_strictest_keeps_below_all() -> None:
    policies = [
        LockoutPolicy(0, 600, 600, "never"),
        LockoutPolicy(5, 1800, 60, "domain"),
        LockoutPolicy(3, 60, FOREVER, "managers"),
    ]
    assert strictest(policies) == LockoutPolicy(3, 1800, FOREVER, "managers")
    assert strictest(policies[:1]) == LockoutPolicy(0, 0, 0)
    assert strictest([]) == LockoutPolicy(0, 0, 0)


def test_the_fake_tells_a_persons_own_policy() -> None:
    fake = FakeDirectory(policy=LockoutPolicy(5, 1800, 60))
    own = LockoutPolicy(3, 300, 300, "managers")
    john, jane = fake.add_person("john"), fake.add_person("jane")
    fake.set_policy(john.guid, own)
    assert fake.lockout_policy(john.guid) == own
    assert fake.lockout_policy(jane.guid) == LockoutPolicy(5, 1800, 60)
    assert fake.lockout_policy() == LockoutPolicy(3, 1800, 300, "managers")


def test_nobody_s_wrong_passwords_cannot_be_told(backend: Backend) -> None:
    with pytest.raises(NotFound):
        backend.client.wrong_passwords(Identity.nobody().guid, HALF_HOUR)


def test_an_account_without_wrong_passwords_has_none(backend: Backend) -> None:
    assert backend.client.wrong_passwords(backend.add("john").guid, HALF_HOUR) == 0


def test_the_fake_counts_within_the_window() -> None:
    moment = datetime(2026, 11, 27, tzinfo=UTC)
    fake = FakeDirectory(policy=LockoutPolicy(5, 1800, 60), now=lambda: moment)
    john = fake.add_person("john")
    fake.count_wrong(john.guid, 2)
    assert fake.wrong_passwords(john.guid, HALF_HOUR) == 2
    moment += HALF_HOUR
    assert fake.wrong_passwords(john.guid, HALF_HOUR) == 0


@pytest.fixture
def domain(samba_fresh: SambaDC) -> SambaDC:
    """A domain of one's own that locks after five."""
    samba_fresh.set_lockout_policy(5, window=1800, duration=900)
    return samba_fresh


def policy(dc: SambaDC, guid: str = "", *, administrator: bool = False) -> LockoutPolicy:
    """Return what a client of this domain reads."""
    who = {"username": dc.admin_upn, "password": dc.admin_password} if administrator else {}
    client = DirectoryClient(Profile.model_validate(dc.profile(**who)))
    found = client.lockout_policy(Guid(guid) if guid else None)
    client.close()
    return found


@pytest.mark.samba
def test_wrong_passwords_are_counted_by_the_domain(domain: SambaDC) -> None:
    dn = domain.add_user("guess.me", domain.users_dn)
    identity = Identity(Guid(domain.guid(dn)), dn)
    client = DirectoryClient(Profile.model_validate(domain.profile()))
    for _ in range(3):
        with pytest.raises(BadCredentials):
            client.authenticate(identity, "wrong")
    before = client.operations
    assert client.wrong_passwords(identity.guid, HALF_HOUR) == 3
    assert client.operations - before == 3  # a bind, a look at the clock, and a search
    assert client.wrong_passwords(identity.guid, timedelta(0)) == 0
    client.close()


@pytest.mark.samba
def test_the_domain_and_its_fine_grained_policies_are_read(domain: SambaDC) -> None:
    general = LockoutPolicy(5, 1800, 900, "domain")
    john, jane = domain.dn("john.doe"), domain.dn("jane.roe")
    assert policy(domain) == general
    assert policy(domain, domain.guid(john)) == general

    domain.add_pso("Managers", [john], threshold=3, window=60, duration=120)
    managers = LockoutPolicy(3, 60, 120, "Managers")
    assert policy(domain, domain.guid(john), administrator=True) == managers
    # Jane may yet come under Managers, and nobody in particular may be anybody.
    either = LockoutPolicy(3, 1800, 900, "Managers")
    for who in ("", domain.guid(jane)):
        assert policy(domain, who, administrator=True) == either
    # A plain account may not read such policies.
    assert policy(domain, domain.guid(john)) == general

    domain.set_lockout_policy(0)
    assert policy(domain, domain.guid(jane)).threshold == 0
    assert policy(domain, administrator=True) == managers


@pytest.mark.samba
def test_a_lock_until_an_administrator_unlocks_lasts_for_ever(domain: SambaDC) -> None:
    domain.modify(domain.base, lockoutDuration=str(-(2**63)))
    assert policy(domain) == LockoutPolicy(5, 1800, FOREVER, "domain")


@pytest.mark.samba
@pytest.mark.parametrize("hours", [1, -1])
def test_wrong_passwords_are_dated_by_the_directory_s_clock(
    domain: SambaDC, hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Moved(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Moved:
            return cls.fromtimestamp(datetime.now(UTC).timestamp() + hours * 3600, tz)

    for module in ("dirclient.operations.lockout_policy", "dirclient.operations.rootdse"):
        monkeypatch.setattr(f"{module}.datetime", Moved)
    dn = domain.add_user("clock.one", domain.users_dn)
    for _ in range(2):
        domain.refusal(f"clock.one@{domain.dns_domain}", "wrong")
    client = DirectoryClient(Profile.model_validate(domain.profile()))
    guid = Guid(domain.guid(dn))
    assert client.wrong_passwords(guid, HALF_HOUR) == 2
    client.close()
