"""Runs, audit and timeline, and what is said while something is away."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest
from sqlalchemy import select

from authsvc.services import Services
from dirclient.connection.result_codes import refusal
from dirclient.model.directory_objects import ServerState
from kerauno import audit
from kerauno.base.errors import Throttled
from kerauno.signin import throttle, throttle_list
from kerauno.signin.throttle import Budget
from kerauno.signin.throttle_list import ThrottledKey
from kerauno.sync import directory_settings, runs
from kerauno.tables.core import Audit, RunRequest
from tests.console.helpers import CREDENTIALS, MARKUP, asked, follow, form
from tests.records import audit_events
from tests.servers.console import NOW, PROFILE, ConsoleSite, guid, owned_user
from tests.servers.process import loopback
from tests.texts.pseudo import Reading

BUDGET = Budget(1, timedelta(minutes=30), rolling=True)


class TestRuns:
    def test_a_held_run_needs_the_word(self, site: ConsoleSite) -> None:
        site.connected()
        run_id = site.run(status="held", plan={"actions": [], "digest": "d"}, finished=None)
        client = site.client()
        wrong = client.post(f"/console/runs/{run_id}/confirm", data={"typed": "yes", "digest": "d"})
        assert wrong.status_code == 422
        assert asked(site) == []
        right = {"typed": "confirm", "digest": "d"}
        assert client.post(f"/console/runs/{run_id}/confirm", data=right).status_code == 303
        assert asked(site) == [("confirm", {"run": run_id, "digest": "d"})]
        client.post(f"/console/runs/{run_id}/discard")
        assert asked(site)[-1][0] == "discard"

    def test_a_held_run_shows_the_reason_beside_each_person(self, site: ConsoleSite) -> None:
        site.connected()
        leaver = {"action": "deactivate", "guid": guid(1), "name": "Nils Berg",
                  "username": "nils.berg", "email": "nils.berg@company.com",
                  "changes": {"active": {"before": True, "after": False}}}  # fmt: skip
        since = "2026-11-20T08:00:00+00:00"
        actions = [leaver | {"reason": "expired", "since": since, "since_by": "ad"},
                   leaver | {"guid": guid(2), "reason": "out_of_scope"}]  # fmt: skip
        run_id = site.run(status="held", plan={"actions": actions, "digest": "d"}, finished=None)
        page = site.client().get(f"/console/runs/{run_id}").text
        expired, unknown = page.split(">Nils Berg<")[1:]
        assert "Expired in AD, since" in expired
        assert "(by AD’s own time)" in expired
        assert 'datetime="2026-11-20T08:00' in expired
        assert "No longer found in AD below the search DNs" in unknown

    def test_some_of_a_held_run_are_ticked(self, site: ConsoleSite) -> None:
        """All are ticked at first; the sync service is told whom to leave out."""
        site.connected()
        who = [{"action": "deactivate", "guid": guid(n), "name": f"Nils {n}", "changes": {}}
               for n in (1, 2)]  # fmt: skip
        sales = {"action": "update", "guid": guid(9), "name": "Sales", "remove": 2}
        plan = {"actions": who, "departments": [sales], "digest": "d"}
        run_id = site.run(status="held", plan=plan, finished=None)
        client = site.client()
        page = client.get(f"/console/runs/{run_id}").text
        boxes = page.split('<input type="checkbox" form="confirm" name="ticked"')[1:]
        assert [" checked>" in box.partition("\n")[0] for box in boxes] == [True] * 3
        assert 'aria-label="Confirm Nils 1"' in page
        assert "untick the people to leave out" in page
        path = f"/console/runs/{run_id}/confirm"
        form = {"digest": "d", "choice": "1", "typed": "CONFIRM"}
        nobody = client.post(path, data=form)
        assert (nobody.status_code, asked(site)) == (422, [])
        assert "Nobody is ticked." in nobody.text
        wrong = client.post(path, data=form | {"ticked": [guid(2)], "typed": "no"})
        boxes = wrong.text.split('form="confirm" name="ticked"')[1:]
        assert ["checked>" in box.partition("\n")[0] for box in boxes] == [False, True, False]
        client.post(path, data=form | {"ticked": [guid(1), guid(9)]})
        assert asked(site) == [("confirm", {"run": run_id, "digest": "d", "keep": [guid(2)]})]
        client.post(path, data=form | {"ticked": [guid(1), guid(2), guid(9)]})
        assert asked(site)[-1] == ("confirm", {"run": run_id, "digest": "d"})

    def test_a_preview_has_no_ticks(self, site: ConsoleSite) -> None:
        site.connected()
        actions = [{"action": "create", "guid": guid(1), "name": "Nils", "changes": {}}]
        run_id = site.run(status="planned", plan={"actions": actions, "digest": "d"}, finished=None)
        assert 'name="ticked"' not in site.client().get(f"/console/runs/{run_id}").text

    def test_changes_before_and_after_and_undo(self, site: ConsoleSite) -> None:
        site.connected()
        change = {"action": "update", "subject": "user", "guid": guid(1), "subject_id": 1,
                  "name": MARKUP, "before": {"last_name": "Berg", "active": True},
                  "after": {"last_name": "Meyer", "active": True}}  # fmt: skip
        run_id = site.run(changes=[change], counts={"updated": 1})
        client = site.client()
        page = client.get(f"/console/runs/{run_id}").text
        assert "<del>Berg</del>" in page
        assert "<ins>Meyer</ins>" in page
        assert "<script>alert" not in page
        assert "Undo run" in client.get(f"/console/runs/{run_id}/undo").text
        client.post(f"/console/runs/{run_id}/undo")
        assert asked(site) == [("undo", {"run": run_id})]

    def test_the_charts_have_their_numbers_as_a_table(self, site: ConsoleSite) -> None:
        site.connected()
        site.run(delay_seconds=1.5, people=143, counts={"conflicts": 4})
        page = site.client().get("/console/runs").text
        assert page.count('role="img"') == 3
        assert "worst 1.50 s" in page

    def test_a_failed_request_says_why_and_that_nothing_changed(self, site: ConsoleSite) -> None:
        site.connected()
        client = site.client()
        where = client.post("/console/runs").location
        with site.database.write() as s:
            request = s.scalars(select(RunRequest)).one()
            runs.finish_request(s, request.id, NOW, error=f"The person is gone. {MARKUP}")
        page = client.get(where).text
        assert "Nothing was changed" in page
        assert "The person is gone." in page
        assert "<script>alert" not in page


class TestAuditAndTimeline:
    def test_a_code_that_was_read_out_tells_the_reason(self, site: ConsoleSite) -> None:
        user_id = site.user("tom@goodcompany.local", "Tom", "Turner")
        code = audit.new_code()
        with site.database.write() as s:
            audit.append(s, "sign-in", now=NOW, outcome="account_locked", user_id=user_id,
                         actor="tom@goodcompany.local", code=code)  # fmt: skip
        sloppy = f" {code.lower().replace('-', ' ')} "
        page = site.client().get("/console/audit/code", query_string={"code": sloppy}).text
        assert "The AD account is locked" in page
        assert "Unlock the account in AD" in page

    def test_a_throttle_is_found_and_cleared(self, any_site: ConsoleSite) -> None:
        user_id = any_site.user("tom@goodcompany.local", "Tom", "Turner")
        full = Throttled(60, scope="account", key="name:x", limit=1, window=timedelta(minutes=30))
        with any_site.database.fast_write() as h:
            refusal = ThrottledKey("sign-in", "tom@goodcompany.local", "10.0.0.1", user_id)
            code = throttle_list.note(h, full, refusal, NOW)
        slot = throttle.reserve(any_site.database, "name:x", "addr:x", BUDGET, BUDGET, NOW)
        with any_site.database.fast_write() as h:
            throttle.fail(h, slot, NOW)
        client = any_site.client()
        page = client.get("/console/throttles?q=tom@").text
        assert "tom@goodcompany.local" in page
        assert code in page
        assert "tom@goodcompany.local" not in client.get("/console/throttles?q=nobody").text
        told = client.get("/console/audit/code", query_string={"code": code}).text
        assert "Too many attempts" in told
        cleared = client.post("/console/throttles/clear", data={"key": "name:x"})
        assert cleared.headers["Location"] == "/console/throttles?cleared=1"
        assert "tom@goodcompany.local" not in client.get("/console/throttles").text
        with any_site.database.read() as s:
            event = audit_events(s, "attempts-cleared")[0]
        assert (event.user_id, event.detail) == (user_id, {"name": "tom@goodcompany.local"})
        assert client.post("/console/throttles/clear", data={"key": "\0"}).status_code == 303

    def test_filters_and_export_agree(self, site: ConsoleSite) -> None:
        with site.database.write() as s:
            for number in range(60):
                audit.append(s, "sign-in", now=NOW - timedelta(days=number), address="10.0.0.1",
                             outcome="ok" if number % 2 else "wrong_password",
                             actor="=cmd()", detail={"note": MARKUP})  # fmt: skip
        client = site.client()
        query = "?outcome=wrong_password&since=2026-11-01&until=2026-11-23"
        page = client.get(f"/console/audit{query}").text
        assert "<script>alert" not in page
        export = client.get(f"/console/audit.csv{query}").get_data(as_text=True)
        assert len(export.splitlines()) == 1 + 12
        assert ",'=cmd()," in export

    def test_the_timeline_merges_sign_ins_and_runs_newest_first(self, site: ConsoleSite) -> None:
        site.connected()
        user_id, person = owned_user(site, 1, "Anna", "Berg")
        with site.database.write() as s:
            audit.append(s, "sign-in", now=NOW - timedelta(hours=1), outcome="ok", user_id=user_id)
            audit.append(s, "sign-in", now=NOW + timedelta(hours=1), outcome="inactive",
                         user_id=user_id)  # fmt: skip
        site.run(changes=[{"action": "deactivate", "subject": "user", "guid": person,
                           "subject_id": user_id, "name": "Anna", "before": {"active": True},
                           "after": {"active": False}}])  # fmt: skip
        client = site.client()
        page = client.get(f"/console/users/{user_id}/timeline").text
        assert page.index("The user is inactive") < page.index("Deactivate</strong> by")
        assert page.index("Deactivate</strong> by") < page.rindex("<strong>Sign-in</strong>")
        found = client.get(f"/console/users/{user_id}/timeline?q=inactive").text
        assert "Deactivate</strong> by" not in found

    def test_a_long_timeline_is_paged_without_loss(
        self, any_site: ConsoleSite, reading: Reading
    ) -> None:
        reading.allow("Step")  # an action that nobody knows
        site = any_site
        site.connected()
        user_id, person = owned_user(site, 1, "Anna", "Berg")
        with site.database.write() as s:
            for number in range(70):
                audit.append(s, "sign-in", now=NOW - timedelta(minutes=number), outcome="ok",
                             user_id=user_id, address=f"10.0.0.{number}")  # fmt: skip
        for number in range(40):
            site.run(finished=NOW - timedelta(minutes=2 * number, seconds=30), changes=[
                {"action": f"step{number}", "subject": "user", "guid": person,
                 "subject_id": user_id, "name": "Anna"}
            ])  # fmt: skip
        client = site.client()
        seen = ""
        path: str | None = f"/console/users/{user_id}/timeline"
        pages = 0
        while path:
            page = client.get(path).text
            seen += page.partition('class="story"')[2]
            pages += 1
            path = page.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&")
        assert pages == 3
        assert all(seen.count(f"10.0.0.{number}<") == 1 for number in range(70))
        assert all(seen.count(f"<strong>Step{number}</strong>") == 1 for number in range(40))

    def test_what_administrators_do_is_audited(self, site: ConsoleSite) -> None:
        client = site.client()
        client.post(CREDENTIALS, data=form())
        client.post("/console/directory/users/synchronize")
        with site.database.read() as s:
            found = [(one.event, one.actor) for one in s.scalars(select(Audit).order_by(Audit.id))]
        assert found == [
            ("settings-saved", "ada.admin@goodcompany.local"),
            ("sync-requested", "ada.admin@goodcompany.local"),
        ]


class TestWhenThingsAreAway:
    def test_a_silent_sync_service_is_said_where_one_waits(self, site: ConsoleSite) -> None:
        site.connected(heard=False)
        client = site.client()
        assert "The sync service does not answer" in client.get("/console").text
        answer = client.post("/console/runs")
        assert "The sync service does not answer" in follow(client, answer).text

    def test_a_locked_database_is_a_page_that_says_to_try_again(
        self, site: ConsoleSite, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        site.connected()
        client = site.client()
        monkeypatch.setattr("kerauno.database.engine.LOCK_SECONDS", 0.05)
        with closing(sqlite3.connect(str(site.database.url.database))) as other:
            other.execute("BEGIN IMMEDIATE")
            answer = client.post("/console/runs")
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
        assert asked(site) == []

    def test_a_failed_read_is_told_and_nobody_is_removed(self, site: ConsoleSite) -> None:
        directory_id = site.connected()
        site.person(1, "Anna", "Berg")
        with site.database.write() as s:
            directory_settings.set_state(s, directory_id, error="dc1: no answer within 2.0 s.")
        page = site.client().get("/console/directory/users").text
        assert "dc1: no answer within 2.0 s." in page
        assert "Nobody was changed or removed" in page
        assert "Anna Berg" in page

    def test_a_server_that_lags_is_told(self, site: ConsoleSite) -> None:
        directory_id = site.connected()
        words = (
            "dc2 has not caught up with dc1 since 2026-11-23 09:00 UTC: "
            "changes that would take something away wait."
        )
        client = site.client()
        assert "has not caught up" not in client.get("/console").text
        with site.database.write() as s:
            directory_settings.set_state(s, directory_id, lagging=words)
        assert words in client.get("/console").text


def test_a_server_that_is_set_aside_shows_why(site: ConsoleSite, reading: Reading) -> None:
    """It may be reachable all the same."""
    address = loopback()
    reading.allow(address, "connection refused")  # the system's own words
    profile = PROFILE.model_copy(update={"servers": (address,)})
    site.connected(profile=profile.stored())
    services: Services = site.app.extensions["kerauno"]
    services.directories.current()
    assert "set aside" not in site.client().get("/console/servers").text
    site.directory.tell_of_server(
        ServerState(address, False, "bind", str(refusal(address, 49, "data 51f")), NOW, NOW)
    )
    page = site.client().get("/console/servers").text
    assert "set aside" in page
    assert f"{address} could not judge the sign-in (result code 49, data 51f)." in page
    site.directory.tell_of_server(ServerState(address, True))
    assert "set aside" not in site.client().get("/console/servers").text
