"""The console's forms and pages: bad input, two administrators, double presses, silence."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from authsvc.console.keyset import pack
from kerauno import audit, directories, runs
from kerauno.tables import Audit, Directory, HeldOut, LinkProposal, RunRequest, WebSession
from tests.servers.console import NOW, PROFILE, ConsoleSite, guid, owned_user, row_of

MARKUP = "<script>alert(1)</script><b>'\"&{{ 7*7 }}"
LONG = "x" * 10_000
CREDENTIALS = "/console/directory/credentials"


@pytest.fixture
def site(tmp_path: Path, sqlite_url: str) -> Iterator[ConsoleSite]:
    """An installation without a directory."""
    made = ConsoleSite(tmp_path, sqlite_url)
    yield made
    made.close()


@pytest.fixture
def any_site(tmp_path: Path, database_url: str) -> Iterator[ConsoleSite]:
    """An installation without a directory, once on SQLite and once on PostgreSQL."""
    made = ConsoleSite(tmp_path, database_url)
    yield made
    made.close()


def form(**changes: str) -> dict[str, str]:
    """The AD Credentials form, filled in as `PROFILE` has it."""
    return {
        "version": "0",
        "preset": "active-directory",
        "servers": "dc1.goodcompany.local",
        "port": "389",
        "encryption": "starttls",
        "username": PROFILE.username,
        "password": "Service!Pass1",
        "user_search_dn": PROFILE.user_search_dn,
        "department_search_dn": PROFILE.department_search_dn,
        "auto_sync": "no",
        "login_without_domain": "yes",
    } | changes


def asked(site: ConsoleSite) -> list[tuple[str, dict[str, Any]]]:
    """The requests to the sync service, oldest first."""
    with site.database.read() as s:
        rows = s.scalars(select(RunRequest).order_by(RunRequest.id)).all()
    return [(row.kind, dict(row.payload)) for row in rows]


def stored(site: ConsoleSite) -> Directory:
    """The directory as saved."""
    with site.database.read() as s:
        found = directories.load(s)
    assert found is not None
    return found


def follow(client: FlaskClient, answer: TestResponse) -> TestResponse:
    """The page that a form led to."""
    assert answer.status_code == 303
    return client.get(answer.location)


class TestCredentials:
    def test_the_first_save_stores_and_asks_for_a_read(self, site: ConsoleSite) -> None:
        client = site.client()
        answer = client.post(CREDENTIALS, data=form(ring_group_range="600-699", map_login="mail"))
        assert "AD Credentials saved" in follow(client, answer).text
        saved = stored(site)
        assert (saved.ring_group_first, saved.ring_group_last) == ("600", "699")
        assert saved.profile["attributes"]["login"] == ["mail"]
        assert saved.login_without_domain is True
        assert site.sealer.open(saved.sealed_password) == "Service!Pass1"
        assert asked(site) == [("keep", {})]

    def test_the_password_never_comes_back_to_a_browser(self, site: ConsoleSite) -> None:
        site.connected()
        page = site.client().get(CREDENTIALS).text
        assert "Service!Pass1" not in page
        assert stored(site).sealed_password not in page

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"servers": ""}, "AD Server"),
            ({"servers": "ldap://dc1"}, "AD Server"),
            ({"port": "ninety"}, "AD Port"),
            ({"port": "70000"}, "AD Port"),
            ({"encryption": "none"}, "Encryption"),
            ({"username": ""}, "AD Username"),
            ({"user_search_dn": ""}, "AD User Search DN"),
            ({"advanced": "yes", "user_filter": "((("}, "Filter for people"),
            ({"ring_group_range": "699-600"}, "Ring group numbers"),
            ({"reserve_days": "-1"}, "Keep a leaver"),
        ],
    )
    def test_each_fault_names_its_field_and_nothing_is_lost(
        self, site: ConsoleSite, changes: dict[str, str], field: str
    ) -> None:
        answer = site.client().post(CREDENTIALS, data=form(tls_name="kept.example", **changes))
        assert answer.status_code == 422
        assert field in answer.text
        assert "kept.example" in answer.text
        with site.database.read() as s:
            assert directories.load(s) is None

    def test_several_faults_are_told_at_once(self, site: ConsoleSite) -> None:
        answer = site.client().post(CREDENTIALS, data=form(servers="", port="x", username=""))
        assert "3 fields need your attention" in answer.text

    def test_an_empty_box_keeps_the_stored_password(self, site: ConsoleSite) -> None:
        site.connected()
        version = str(stored(site).version)
        client = site.client()
        answer = client.post(CREDENTIALS, data=form(password="", version=version, reserve_days="7"))
        assert follow(client, answer).status_code == 200
        assert site.sealer.open(stored(site).sealed_password) == "Service!Pass1"
        assert stored(site).reserve_days == 7

    @pytest.mark.parametrize(
        "changes",
        [
            {"servers": "evil.example"},
            {"servers": "dc1.goodcompany.local, evil.example"},
            {"port": "3389"},
            {"tls_name": "evil.example"},
            {"username": "other@goodcompany.local"},
            {"encryption": "none", "plaintext_accepted": "yes"},
        ],
    )
    @pytest.mark.parametrize("path", ["", "/test", "/find?field=user_search_dn", "/suggest"])
    def test_the_stored_password_goes_to_no_other_server(
        self, site: ConsoleSite, changes: dict[str, str], path: str
    ) -> None:
        site.connected()
        version = str(stored(site).version)
        data = form(password="", version=version, part="1", field="user_search_dn", **changes)
        site.client().post(CREDENTIALS + path, data=data).get_data()
        sent = [profile.password.get_secret_value() for profile in site.profiles]
        assert "Service!Pass1" not in sent
        assert site.sealer.open(stored(site).sealed_password) == "Service!Pass1"

    def test_the_second_of_two_administrators_is_shown_the_firsts_change(
        self, site: ConsoleSite
    ) -> None:
        site.connected()
        seen = str(stored(site).version)
        client = site.client()
        first = client.post(CREDENTIALS, data=form(version=seen, reserve_days="90"))
        assert first.status_code == 303
        second = client.post(CREDENTIALS, data=form(version=seen, reserve_days="10"))
        assert second.status_code == 409
        assert "saved these settings while you had them open" in second.text
        assert "90" in second.text
        assert stored(site).reserve_days == 90
        again = client.post(
            CREDENTIALS, data=form(version=str(stored(site).version), reserve_days="10")
        )
        assert again.status_code == 303
        assert stored(site).reserve_days == 10

    def test_a_change_of_scope_is_planned_before_it_is_saved(self, site: ConsoleSite) -> None:
        site.connected()
        owned_user(site, 1, "Anna", "Berg")
        version = stored(site).version
        client = site.client()
        new = "OU=Staff,DC=goodcompany,DC=local"
        answer = client.post(CREDENTIALS, data=form(version=str(version), user_search_dn=new))
        assert "/review/" in answer.location
        (kind, payload), *_ = asked(site)
        assert kind == "plan"
        assert payload["settings"]["profile"]["user_search_dn"] == new
        assert "Service!Pass1" not in str(payload)
        assert stored(site).profile["user_search_dn"] == PROFILE.user_search_dn
        page = follow(client, answer)
        assert "Working out the effect" in page.text
        plan = {
            "actions": [
                {"action": "deactivate", "guid": guid(1), "username": MARKUP, "email": "a@b.de",
                 "extension": "2001", "changes": {"active": {"before": True, "after": False}}}
            ],
            "departments": [], "conflicts": [], "emptied": ["Sales"], "digest": "d",
        }  # fmt: skip
        with site.database.write() as s:
            request = s.scalars(select(RunRequest)).one()
            runs.finish_request(s, request.id, NOW, result={"plan": plan})
        page = client.get(answer.location)
        assert "1 person would no longer be recognized" in page.text
        assert "Sales" in page.text
        assert "<script>alert" not in page.text
        assert client.post(answer.location).status_code == 303
        assert stored(site).profile["user_search_dn"] == new

    def test_a_reviewed_save_is_stale_when_somebody_saved_meanwhile(
        self, site: ConsoleSite
    ) -> None:
        site.connected()
        owned_user(site, 1, "Anna", "Berg")
        version = str(stored(site).version)
        client = site.client()
        answer = client.post(CREDENTIALS, data=form(version=version, advanced="yes"))
        with site.database.write() as s:
            directories.save(s, {"reserve_days": 60}, by="bea@goodcompany.local", now=NOW)
        late = client.post(answer.location)
        assert late.status_code == 409
        assert "bea@goodcompany.local" in late.text
        assert stored(site).profile["advanced"] is False

    def test_without_a_sync_service_one_may_save_without_knowing_the_effect(
        self, site: ConsoleSite
    ) -> None:
        site.connected(heard=False)
        owned_user(site, 1, "Anna", "Berg")
        version = str(stored(site).version)
        client = site.client()
        answer = client.post(CREDENTIALS, data=form(version=version, advanced="yes"))
        page = follow(client, answer)
        assert "The sync service does not answer" in page.text
        assert "Save without knowing the effect" in page.text

    def test_the_steps_of_a_test_arrive_with_their_remedy(self, site: ConsoleSite) -> None:
        site.directory.down = True
        answer = site.client().post(f"{CREDENTIALS}/test", data=form(part="1"))
        assert "The test failed" in answer.text
        assert "Start the server." in answer.text
        site.directory.down = False
        answer = site.client().post(f"{CREDENTIALS}/test", data=form())
        assert "The test was successful" in answer.text
        assert answer.text.rstrip().endswith("</html>")  # a whole page without a script

    def test_a_file_that_is_no_certificate_is_refused(self, site: ConsoleSite) -> None:
        import io

        data = form() | {"ca_file": (io.BytesIO(b"\x30\x82DER"), "ca.crt")}  # type: ignore[dict-item]
        answer = site.client().post(CREDENTIALS, data=data, content_type="multipart/form-data")
        assert answer.status_code == 422
        assert "holds no certificate in PEM form" in answer.text

    @pytest.mark.parametrize("text", [LONG, MARKUP, "\x00", "\u202e", "\uffff", "{{ 7*7 }}"])
    def test_no_text_in_any_field_breaks_the_page_or_runs(
        self, site: ConsoleSite, text: str
    ) -> None:
        client = site.client()
        for name in [*form(), "tls_name", "user_filter", "map_login", "guard_count"]:
            answer = client.post(CREDENTIALS, data=form(**{name: text}))
            assert answer.status_code in (303, 409, 422)
            assert "<script>alert" not in answer.text
            assert ">49<" not in answer.text


class TestPeople:
    def test_before_anything_is_set_up_the_page_says_what_to_do(self, site: ConsoleSite) -> None:
        assert "Open AD Credentials" in site.client().get("/console/directory/users").text

    def test_search_filter_sort_and_counts(self, site: ConsoleSite) -> None:
        site.connected()
        owned_user(site, 1, "Anna", "Berg")
        site.person(2, "Zoë", "Müller")
        site.person(3, "Tom", "Turner", state="conflict", extension=None, conflicts=[
            {"code": "extension_missing", "value": "", "other": "", "remedy": "Fill it in."}
        ])  # fmt: skip
        client = site.client()
        page = client.get("/console/directory/users").text
        assert page.index("Anna Berg") < page.index("Zoë Müller") < page.index("Tom Turner")
        down = client.get("/console/directory/users?sort=-name").text
        assert down.index("Tom Turner") < down.index("Anna Berg")
        assert "Zoë Müller" in client.get("/console/directory/users?q=MÜLLER").text
        found = client.get("/console/directory/users?state=conflict").text
        assert "Tom Turner" in found
        assert "Anna Berg" not in found
        assert "Fill it in." in found
        narrowed = client.get("/console/directory/users?state=conflict&conflict=email_missing").text
        assert "Nobody matches" in narrowed

    def test_paging_reaches_everyone_once_and_back(self, site: ConsoleSite) -> None:
        site.connected()
        for number in range(1, 121):
            site.person(number, f"P{number:03}", "Same")
        client = site.client()
        seen: list[str] = []
        path: str | None = "/console/directory/users"
        pages: list[list[str]] = []
        while path:
            page = client.get(path).text
            names = [part.partition("<")[0] for part in page.split('dir="auto">P')[1:]]
            pages.append(names)
            seen += names
            rest = page.partition('rel="next" href="')[2]
            path = rest.partition('"')[0].replace("&amp;", "&") or None
        assert seen == [f"{n:03} Same" for n in range(1, 121)]
        assert [len(page) for page in pages] == [50, 50, 20]

    def test_details_say_which_attribute_each_value_came_from(self, site: ConsoleSite) -> None:
        site.connected()
        person = site.person(1, "Anna", "Berg", extension="+49 30 1234 x2001", locked=True)
        site.seen_department(60, "Sales", [person])
        page = site.client().get(f"/console/directory/users/{person}").text
        assert "ipPhone" in page
        assert "AD holds “+49 30 1234 x2001”" in page
        assert "Locked after too many wrong passwords" in page
        assert "Sales" in page

    def test_names_in_ad_are_text_and_nothing_of_them_runs(self, site: ConsoleSite) -> None:
        site.connected()
        hostile = {
            "dn": f"CN={MARKUP}", "display_name": MARKUP, "account_name": MARKUP,
            "principal_name": MARKUP, "login_attribute": "mail", "state": "conflict",
            "conflicts": [
                {"code": "email_taken", "value": MARKUP, "other": MARKUP, "remedy": MARKUP}
            ],
        }  # fmt: skip
        person = site.person(1, MARKUP, LONG, login=MARKUP, extension=MARKUP, **hostile)
        department = site.seen_department(60, MARKUP, [person], path=[MARKUP, LONG], dn=MARKUP)
        client = site.client()
        for path in (
            "/console",
            "/console/directory/users",
            f"/console/directory/users/{person}",
            f"/console/directory/users/{person}/timeline",
            "/console/directory/departments",
            f"/console/directory/departments/{department}",
            f"/console/directory/departments/{department}/import",
        ):
            page = client.get(path)
            assert page.status_code == 200
            assert "<script>alert" not in page.text
            assert "<b>'" not in page.text

    def test_synchronize_users_asks_for_a_plan_once(self, site: ConsoleSite) -> None:
        site.connected()
        client = site.client()
        first = client.post("/console/directory/users/synchronize")
        second = client.post("/console/directory/users/synchronize")
        assert first.location == second.location
        assert asked(site) == [("plan", {"build": True})]

    def test_selected_people_alone(self, site: ConsoleSite) -> None:
        site.connected()
        person = site.person(1, "Anna", "Berg")
        data = {"only": "selected", "guid": [person, guid(999), "nonsense"]}
        site.client().post("/console/directory/users/synchronize", data=data)
        assert asked(site) == [("plan", {"build": True, "guids": [person]})]

    def test_nobody_selected_asks_for_nothing(self, site: ConsoleSite) -> None:
        site.connected()
        client = site.client()
        answer = client.post("/console/directory/users/synchronize", data={"only": "selected"})
        assert "Nobody is selected" in follow(client, answer).text
        assert asked(site) == []

    def test_exactly_the_plan_that_was_shown_is_confirmed(self, site: ConsoleSite) -> None:
        site.connected()
        client = site.client()
        where = client.post("/console/directory/users/synchronize").location
        plan = {"actions": [{"action": "create", "guid": guid(1), "username": "a", "changes": {}}],
                "conflicts": [], "departments": [], "digest": "shown"}  # fmt: skip
        run_id = site.run(status="planned", plan=plan, kind="build")
        with site.database.write() as s:
            request = s.scalars(select(RunRequest)).one()
            request.taken_at, request.run_id = NOW, run_id
            runs.finish_request(s, request.id, NOW, result={"run": run_id})
        assert "Apply exactly this plan" in client.get(where).text
        client.post(f"{where}/apply", data={"digest": "another"})
        assert len(asked(site)) == 1
        answer = client.post(f"{where}/apply", data={"digest": "shown"})
        assert asked(site)[-1] == ("confirm", {"run": run_id, "digest": "shown"})
        assert "Working" in follow(client, answer).text

    def test_a_hold_is_ended_by_hand(self, site: ConsoleSite) -> None:
        directory_id = site.connected()
        person = site.person(1, "Anna", "Berg", state="held-out")
        with site.database.write() as s:
            s.add(HeldOut(directory_id=directory_id, guid=person, held_at=NOW, held_by="bea"))
        client = site.client()
        assert "Held out since a De-Sync" in client.get(f"/console/directory/users/{person}").text
        client.post(f"/console/directory/users/{person}/release")
        with site.database.read() as s:
            assert s.get(HeldOut, (directory_id, person)) is None


class TestDepartments:
    @pytest.mark.parametrize(
        ("typed", "said"),
        [
            ("600", "600 is used by ring group Sales."),
            ("2001", "2001 is used by Anna Berg (anna.berg)."),
            ("601", "601 is free."),
            ("6", "A ring group number has 2 to 10 digits."),
            ("６００", "A ring group number has 2 to 10 digits."),
            ("", "Type 2 to 10 digits."),
            (LONG, "A ring group number has 2 to 10 digits."),
        ],
    )
    def test_a_number_is_judged_while_it_is_typed(
        self, site: ConsoleSite, typed: str, said: str
    ) -> None:
        site.connected()
        user_id, person = owned_user(site, 1, "Anna", "Berg")
        site.department(site.seen_department(60, "Sales", [person]), "Sales", "600", [user_id])
        answer = site.client().get(
            "/console/directory/departments/number", query_string={"number": typed}
        )
        assert said in answer.text

    def test_import_says_first_what_it_does(self, site: ConsoleSite) -> None:
        site.connected(ring_group_first="700", ring_group_last="709")
        _, person = owned_user(site, 1, "Anna", "Berg")
        others = [site.person(2, "Bob", "Ready"), site.person(3, "Cleo", "Odd", state="conflict")]
        department = site.seen_department(60, "Sales", [person, *others])
        client = site.client()
        page = client.get(f"/console/directory/departments/{department}/import").text
        assert "1 members are Kerauno users already" in page
        assert "1 members are recognized but not synced yet" in page
        assert "1 members have an import conflict" in page
        assert 'value="700"' in page
        answer = client.post(
            f"/console/directory/departments/{department}/import", data={"number": "700"}
        )
        assert answer.status_code == 303
        assert asked(site)[0][0] == "import"
        assert asked(site)[0][1]["number"] == "700"

    def test_a_number_just_taken_is_refused(self, site: ConsoleSite) -> None:
        site.connected()
        department = site.seen_department(60, "Sales", [])
        site.user("tom@goodcompany.local", "Tom", "Turner", extension="600")
        client = site.client()
        answer = client.post(
            f"/console/directory/departments/{department}/import", data={"number": "600"}
        )
        assert "600 is used by Tom Turner (tom)." in follow(client, answer).text
        assert asked(site) == []

    def test_unimport_names_those_whom_only_it_brought_in(self, site: ConsoleSite) -> None:
        site.connected()
        person = site.person(1, "Anna", "Berg")
        user_id = site.user("anna.berg@goodcompany.local", extension="2001")
        site.link(user_id, person, origin="department")
        department = site.seen_department(60, "Sales", [person])
        site.department(department, "Sales", "600", [user_id])
        client = site.client()
        page = client.get(f"/console/directory/departments/{department}/unimport").text
        assert "Anna Berg (anna.berg@goodcompany.local)" in page
        client.post(f"/console/directory/departments/{department}/unimport")
        assert asked(site)[0][0] == "unimport"

    def test_another_number_for_an_imported_department(self, site: ConsoleSite) -> None:
        site.connected()
        department = site.seen_department(60, "Sales", [])
        site.department(department, "Sales", "600", [])
        site.user("tom@goodcompany.local", "Tom", "Turner", extension="601")
        client = site.client()
        path = f"/console/directory/departments/{department}"
        refused = client.post(f"{path}/number", data={"number": "601"})
        assert refused.status_code == 422
        assert "Number 601 is used by Tom Turner (tom)." in refused.text
        assert client.post(f"{path}/number", data={"number": "602"}).status_code == 303
        assert "602" in client.get(path).text

    def test_a_department_that_left_ad_can_still_be_unimported(self, site: ConsoleSite) -> None:
        site.connected()
        site.department(guid(61), "Gone", "600", [])
        client = site.client()
        assert "gone from AD" in client.get("/console/directory/departments").text
        assert client.get(f"/console/directory/departments/{guid(61)}/unimport").status_code == 200


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
        self, site: ConsoleSite, changes: dict[str, str], said: str
    ) -> None:
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

    def test_a_proposed_link_of_an_administrator_waits_on_the_pages(
        self, site: ConsoleSite
    ) -> None:
        directory_id = site.connected()
        person = site.person(1, "Ada", "Admin", login="ada.admin@goodcompany.local")
        with site.database.write() as s:
            s.add(LinkProposal(directory_id=directory_id, guid=person, user_id=site.admin_id,
                               proposed_at=NOW))  # fmt: skip
        client = site.client()
        assert "links to confirm" in client.get("/console").text
        page = client.get(f"/console/users/{site.admin_id}/directory").text
        assert "This link waits for your word" in page

    def test_sync_and_de_sync_are_asked_of_the_sync_service(self, site: ConsoleSite) -> None:
        site.connected()
        synced, _ = owned_user(site, 1, "Anna", "Berg")
        local = site.user("tom@goodcompany.local", "Tom", "Turner")
        client = site.client()
        client.post(f"/console/users/{local}/directory/sync")
        client.post(f"/console/users/{synced}/directory/desync")
        client.post(f"/console/users/{synced}/directory/sync")  # synced already: nothing to ask
        assert [kind for kind, _ in asked(site)] == ["user-sync", "user-desync"]


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

    def test_a_long_timeline_is_paged_without_loss(self, any_site: ConsoleSite) -> None:
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
        monkeypatch.setattr("kerauno.db.LOCK_SECONDS", 0.05)
        with site.database._turn:
            answer = client.post("/console/runs")
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
        assert asked(site) == []

    def test_a_failed_read_is_told_and_nobody_is_removed(self, site: ConsoleSite) -> None:
        directory_id = site.connected()
        site.person(1, "Anna", "Berg")
        with site.database.write() as s:
            directories.set_state(s, directory_id, error="dc1: no answer within 2.0 s.")
        page = site.client().get("/console/directory/users").text
        assert "dc1: no answer within 2.0 s." in page
        assert "Nobody was changed or removed" in page
        assert "Anna Berg" in page


class TestOddAddresses:
    """What a browser never sends, on both kinds of database."""

    def test_an_id_that_no_record_can_have_is_not_found(self, any_site: ConsoleSite) -> None:
        any_site.connected()
        client = any_site.client()
        huge = 10**30
        for path in (
            f"/console/users/{huge}",
            f"/console/users/{huge}/timeline",
            f"/console/runs/{huge}",
            f"/console/runs/requests/{huge}",
            f"/console/directory/users/{'x' * 500}",
            f"/console/directory/departments/{'%00'}",
            f"/departments/{huge}",
            f"/phonebook/user-{huge}.vcf",
            f"/api/v1/users/{huge}",
        ):
            assert client.get(path).status_code == 404, path

    def test_a_cursor_made_by_hand_is_no_cursor(self, any_site: ConsoleSite) -> None:
        any_site.connected()
        client = any_site.client()
        huge, texts = pack([2**62]), pack(["\0", "\0"])
        for path, cursor in (
            ("/console/audit", huge),
            ("/console/runs", huge),
            ("/console/runs", "nonsense"),
            ("/console/directory/users", texts),
            ("/console/users", pack(["a", "b", 2**62])),
            (f"/console/users/{any_site.admin_id}/timeline", pack([2**62, 2**62])),
        ):
            answer = client.get(path, query_string={"after": cursor})
            assert answer.status_code == 200, (path, answer.status_code)

    def test_a_nul_is_refused_or_passed_over(self, any_site: ConsoleSite) -> None:
        any_site.connected()
        client = any_site.client()
        for path in ("directory/users", "directory/departments", "users", "audit", "audit/code"):
            answer = client.get(f"/console/{path}", query_string={"q": "a\0b", "code": "\0"})
            assert answer.status_code == 400
        for path in ("/phonebook", "/phonebook.csv", "/phonebook.vcf"):
            assert client.get(path, query_string={"q": "a\0b"}).status_code == 200

    @pytest.mark.parametrize("name", ["email", "first_name", "last_name", "username", "extension"])
    def test_a_nul_in_a_users_field_is_said_to_be_wrong(
        self, any_site: ConsoleSite, name: str
    ) -> None:
        data = {"email": "tom@goodcompany.local", "first_name": "Tom", "last_name": "Turner"}
        answer = any_site.client().post("/console/users/new", data=data | {name: "a\0b"})
        assert answer.status_code == 422

    def test_hostile_forms_ask_for_nothing(self, any_site: ConsoleSite) -> None:
        any_site.connected()
        client = any_site.client()
        data = {"only": "selected", "guid": ["\0", "x" * 10_000, guid(999)]}
        client.post("/console/directory/users/synchronize", data=data)
        assert asked(any_site)[0][1].get("guids", []) == []
        answer = client.post("/console/phones", data={"name": "\0", "kind": "cisco"})
        assert answer.status_code == 422
        path = f"/console/users/{any_site.admin_id}/sessions/end"
        assert client.post(path, data={"handle": "\0" * 50}).status_code in (303, 400)
