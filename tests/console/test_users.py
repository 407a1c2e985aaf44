"""Users & Devices: adding, editing, blocking, reservations, the Active Directory tab."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from kerauno.tables.core import LinkProposal, WebSession
from tests.console.helpers import LONG, asked, follow
from tests.servers.console import NOW, ConsoleSite, owned_user, row_of
from tests.texts.pseudo import Reading


class TestUsers:
    def test_add_edit_and_role(self, site: ConsoleSite) -> None:
        client = site.client()
        data = {"email": "tom@goodcompany.local", "first_name": "Tom", "last_name": "Turner",
                "extension": "201", "role": "manager", "password": "A local one!"}  # fmt: skip
        answer = client.post("/console/users/new", data=data)
        page = follow(client, answer)
        assert "Tom Turner" in page.text
        where = answer.location.partition("?")[0]
        changed = client.post(where, data=data | {"last_name": "Tailor", "role": "user"})
        assert changed.status_code == 303
        user = row_of(site, int(where.rpartition("/")[2]))
        assert (user.last_name, user.role) == ("Tailor", "user")

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"email": "nonsense"}, "email"),
            ({"email": "ADA.admin@goodcompany.local"}, "is used by Ada Admin"),
            ({"extension": "1"}, "is not an extension"),
            ({"first_name": ""}, "name"),
            ({"password": "short"}, "10 to 1024 characters"),
            ({"role": "emperor"}, "role"),
            ({"first_name": LONG}, "name"),
        ],
    )
    def test_what_cannot_be_stored_is_said_and_nothing_is_lost(
        self, site: ConsoleSite, reading: Reading, changes: dict[str, str], said: str
    ) -> None:
        reading.allow("user, manager, admin")  # what the form would have sent
        data = {"email": "tom@goodcompany.local", "first_name": "Tom", "last_name": "Keepme"}
        answer = site.client().post("/console/users/new", data=data | changes)
        assert answer.status_code == 422
        assert said in answer.text
        assert "Keepme" in answer.text

    def test_the_second_of_two_editors_is_told(self, site: ConsoleSite) -> None:
        user_id = site.user("tom@goodcompany.local", "Tom", "Turner")
        version = str(row_of(site, user_id).version)
        client = site.client()
        data = {"version": version, "last_name": "First"}
        assert client.post(f"/console/users/{user_id}", data=data).status_code == 303
        late = client.post(f"/console/users/{user_id}", data=data | {"last_name": "Second"})
        assert late.status_code == 409
        assert row_of(site, user_id).last_name == "First"

    def test_the_last_administrator_stays_one(self, site: ConsoleSite) -> None:
        client = site.client()
        for path, data in (("", {"role": "user"}), ("/block", {}), ("/deactivate", {})):
            answer = client.post(f"/console/users/{site.admin_id}{path}", data=data)
            assert answer.status_code == 422
            assert "last administrator" in answer.text
        assert row_of(site, site.admin_id).role == "admin"

    def test_block_ends_sessions_and_unblock_lets_in_again(self, site: ConsoleSite) -> None:
        user_id = site.user("tom@goodcompany.local", "Tom", "Turner")
        theirs = site.client(user_id)
        assert theirs.get("/").status_code == 200
        client = site.client()
        client.post(f"/console/users/{user_id}/block")
        assert theirs.get("/").status_code == 302
        with site.database.read() as s:
            left = s.scalar(select(func.count()).where(WebSession.user_id == user_id))
        assert left == 0
        client.post(f"/console/users/{user_id}/unblock")
        assert row_of(site, user_id).blocked is False

    def test_deactivate_keeps_the_number_and_release_frees_it(self, site: ConsoleSite) -> None:
        user_id = site.user("tom@goodcompany.local", "Tom", "Turner", extension="201")
        client = site.client()
        client.post(f"/console/users/{user_id}/deactivate")
        page = client.get("/console/users/reservations").text
        assert "201" in page
        assert "Tom Turner" in page
        client.post(f"/console/users/{user_id}/release-number")
        assert "No number is reserved" in client.get("/console/users/reservations").text
        client.post(f"/console/users/{user_id}/reactivate")
        assert row_of(site, user_id).active is True

    def test_a_synced_users_password_and_activity_are_ads(self, site: ConsoleSite) -> None:
        site.connected()
        user_id, _ = owned_user(site, 1, "Anna", "Berg")
        client = site.client()
        twice = {"password": "A local one!", "again": "A local one!"}
        assert client.post(f"/console/users/{user_id}/password", data=twice).status_code == 409
        assert client.post(f"/console/users/{user_id}/deactivate").status_code == 409

    def test_a_new_password_of_ones_own_ends_all_other_sessions(self, site: ConsoleSite) -> None:
        own, other = site.client(), site.client()
        twice = {"password": "A local one!", "again": "A local one!"}
        assert own.post(f"/console/users/{site.admin_id}/password", data=twice).status_code == 303
        assert (own.get("/console").status_code, other.get("/console").status_code) == (200, 302)
        user_id = site.user("tom@goodcompany.local", "Tom", "Turner")
        theirs = site.client(user_id)
        assert own.post(f"/console/users/{user_id}/password", data=twice).status_code == 303
        assert theirs.get("/").status_code == 302

    def test_a_proposed_link_of_an_administrator_waits_on_the_pages(
        self, site: ConsoleSite
    ) -> None:
        directory_id = site.connected()
        person = site.person(1, "Ada", "Admin", login="ada.admin@goodcompany.local")
        with site.database.write() as s:
            s.add(LinkProposal(directory_id=directory_id, guid=person, user_id=site.admin_id,
                               proposed_at=NOW))  # fmt: skip
        client = site.client()
        assert "1 administrator&#39;s link to confirm" in client.get("/console").text
        page = client.get(f"/console/users/{site.admin_id}/directory").text
        assert "This link waits for your word" in page

    def test_sync_and_de_sync_are_asked_of_the_sync_service(self, site: ConsoleSite) -> None:
        site.connected()
        synced, _ = owned_user(site, 1, "Anna", "Berg")
        local = site.user("tom@goodcompany.local", "Tom", "Turner")
        client = site.client()
        client.post(f"/console/users/{local}/directory/sync")
        client.post(f"/console/users/{synced}/directory/desync")
        client.post(f"/console/users/{synced}/directory/sync")  # is looked at in AD again
        client.post(f"/console/users/{local}/directory/desync")  # nothing to end
        assert [kind for kind, _ in asked(site)] == ["user-sync", "user-desync", "user-sync"]
