"""The contract of every `Locator`."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

from dirclient.model.directory_objects import AccountState, Guid
from tests.contracts.backends import Backend


def test_who_is_elsewhere_is_told_from_who_was_deleted(backend: Backend) -> None:
    here, moved, deleted = (backend.add(stem) for stem in ("here", "moved", "deleted"))
    backend.leave(moved)
    backend.delete(deleted)
    never = Guid(uuid.uuid4())
    located = backend.client.locate({here.guid, moved.guid, deleted.guid, never})
    assert {guid: one.deleted for guid, one in located.items()} == {
        here.guid: False,
        moved.guid: False,
        deleted.guid: True,
        never: True,
    }
    assert abs(located[here.guid].changed - datetime.now(UTC)) < timedelta(minutes=5)
    assert located[never].changed is None
    states = {guid: one.state for guid, one in located.items()}
    assert (states[here.guid], states[moved.guid]) == (AccountState.ACTIVE, AccountState.ACTIVE)


def test_the_time_of_expiry_is_the_directory_s(backend: Backend) -> None:
    """Of who has one; the tests' OpenLDAP has no states of accounts."""
    anna, expired = backend.add("anna"), backend.add("expired")
    if backend.is_ad:
        backend.set_state(expired, "expired")
    located = backend.client.locate({anna.guid, expired.guid})
    ended = located[expired.guid].expires
    assert located[anna.guid].expires is None
    assert ended is not None and ended < datetime.now(UTC) if backend.is_ad else ended is None


def test_a_disabled_account_is_told_as_such(backend: Backend) -> None:
    """The tests' OpenLDAP has no states of accounts."""
    anna = backend.add("anna")
    if backend.is_ad:
        backend.set_state(anna, "disabled")
    state = AccountState.DISABLED if backend.is_ad else AccountState.ACTIVE
    assert backend.client.locate({anna.guid})[anna.guid].state is state


def test_a_hundred_people_cost_one_request(backend: Backend) -> None:
    anna = backend.add("anna")
    backend.client.locate({anna.guid})
    for count, cost in ((100, 1), (101, 2)):
        before = backend.operations
        guids = {Guid(uuid.uuid4()) for _ in range(count - 1)} | {anna.guid}
        located = backend.client.locate(guids)
        assert backend.operations - before == (cost if backend.name != "fake" else 1)
        assert [guid for guid, one in located.items() if not one.deleted] == [anna.guid]
