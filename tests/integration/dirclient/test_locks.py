"""A locked account is read as locked, and as open again when the lock has ended."""

from __future__ import annotations

import pytest

from dirclient.client import DirectoryClient
from dirclient.config.profile import Profile
from dirclient.model.directory_objects import Guid
from tests.servers.process import wait_until
from tests.servers.samba import SambaDC

pytestmark = pytest.mark.samba


def test_a_lock_is_seen_while_it_holds_and_costs_one_search(samba_fresh: SambaDC) -> None:
    dc = samba_fresh
    dc.set_lockout_policy(2, window=600, duration=600)
    dn = dc.add_user("locked.one", dc.users_dn)
    guid = Guid(dc.guid(dn))
    client = DirectoryClient(Profile.model_validate(dc.profile()))
    client.read()  # the first one on a connection asks once more who the server is
    before = client.read()
    for _ in range(3):
        dc.refusal(f"locked.one@{dc.dns_domain}", "wrong")
    followed, read = client.catch_up(before), client.read()
    assert followed is not None
    assert [seen.people[guid].locked for seen in (before, followed, read)] == [False, True, True]
    assert {g for g, person in read.people.items() if person.locked} == {guid}
    assert read.operations == before.operations + 1

    dc.set_lockout_policy(2, window=1, duration=1)
    wait_until(lambda: not client.read().people[guid].locked, "the lock ends by itself")
    assert dc.raw(dn, "lockoutTime") not in ([], [b"0"])  # though AD still remembers it
    client.close()
