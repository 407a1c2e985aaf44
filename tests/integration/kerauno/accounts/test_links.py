"""Links: one person, one user, and nothing by accident."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from kerauno.accounts import links, users
from kerauno.base.errors import InvalidValue, NotFound
from kerauno.database.engine import Database
from kerauno.signin import sessions
from kerauno.tables.core import LinkProposal, SyncExclusion, WebSession
from tests.records import NOW, add_directory, add_linked, add_user, new_guid


def person(directory_id: int, guid: str, name: str = "john") -> links.LinkedAccount:
    return links.LinkedAccount(directory_id, guid, f"CN={name}", f"{name}@UP.test", name.upper())


def test_a_link_is_found_from_both_ends(database: Database) -> None:
    guid = new_guid()
    with database.write() as s:
        directory = add_directory(s)
        user = add_user(s, "john.doe")
        links.link(s, user.id, person(directory.id, guid), scope="full", origin="sync", now=NOW)
    with database.read() as s:
        link = links.of_person(s, directory.id, guid)
        assert link is not None
        assert link is links.of_user(s, user.id)
        assert (link.principal_key, link.account_key) == ("john@up.test", "john")
        assert (link.scope, link.origin, link.linked_at) == ("full", "sync", NOW)
        assert links.of_person(s, directory.id, new_guid()) is None
        assert users.get(s, user.id).version == 2


def test_neither_end_is_tied_twice(database: Database) -> None:
    guid = new_guid()
    with database.write() as s:
        directory = add_directory(s)
        john = add_linked(s, directory, "john.doe", guid=guid)
        jane = add_user(s, "jane.doe")
        for user_id, other in ((jane.id, guid), (john.id, new_guid())):
            with pytest.raises(InvalidValue, match="linked to") as refused:
                links.link(
                    *(s, user_id, person(directory.id, other)),
                    scope="full",
                    origin="admin",
                    now=NOW,
                )
            assert refused.value.field == "link"
        with pytest.raises(NotFound):
            links.link(
                s, 10**6, person(directory.id, new_guid()), scope="full", origin="sync", now=NOW
            )
        again = person(directory.id, guid, "renamed")
        assert links.link(s, john.id, again, scope="login", origin="admin", now=NOW).dn == (
            "CN=renamed"
        )


def test_desyncing_ends_access_and_holds_out(database: Database) -> None:
    guid = new_guid()
    with database.write() as s:
        directory = add_directory(s)
        user = add_linked(s, directory, "john.doe", guid=guid)
        links.propose(s, user.id, directory.id, new_guid(), NOW)
        sessions.create(s, user.id, method="directory", now=NOW, lifetime=sessions.Lifetime())
    with database.write() as s:
        assert links.unlink(s, user.id, by="admin", now=NOW).guid == guid
    with database.write() as s:
        assert s.execute(select(WebSession.id)).all() == []
        assert list(links.held_out(s, directory.id)) == [guid]
        held = s.execute(select(SyncExclusion)).scalar_one()
        assert (held.user_id, held.held_by, held.held_at) == (user.id, "admin", NOW)
        assert users.get(s, user.id).active
        with pytest.raises(NotFound):
            links.unlink(s, user.id, by="admin", now=NOW)
        links.link(s, user.id, person(directory.id, guid), scope="login", origin="admin", now=NOW)
        assert links.held_out(s, directory.id) == {}
        links.unlink(s, user.id, by="admin", now=NOW, hold=False)
        assert links.held_out(s, directory.id) == {}


def test_a_hold_is_released(database: Database) -> None:
    guid = new_guid()
    with database.write() as s:
        directory = add_directory(s)
        user = add_linked(s, directory, "john.doe", guid=guid)
        links.unlink(s, user.id, by="admin", now=NOW)
        links.release(s, directory.id, guid)
        links.release(s, directory.id, guid)
        assert links.held_out(s, directory.id) == {}


def test_a_proposal_waits_until_the_link_is_made(database: Database) -> None:
    guid = new_guid()
    with database.write() as s:
        directory = add_directory(s)
        admin = add_user(s, "admin", role="admin")
        for _ in range(2):
            links.propose(s, admin.id, directory.id, guid, NOW)
        proposed = s.execute(select(LinkProposal.guid, LinkProposal.user_id)).all()
        assert proposed == [(guid, admin.id)]
        links.link(s, admin.id, person(directory.id, guid), scope="login", origin="admin", now=NOW)
        assert s.execute(select(LinkProposal.guid)).all() == []
