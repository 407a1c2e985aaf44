"""The AD Users and AD Departments tabs: search, paging, plans, numbers, hostile names."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from kerauno.sync import runs
from kerauno.tables.core import RunRequest, SyncExclusion
from tests.console.helpers import LONG, MARKUP, asked, follow
from tests.servers.console import NOW, ConsoleSite, guid, owned_user


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
            s.add(SyncExclusion(directory_id=directory_id, guid=person, held_at=NOW, held_by="bea"))
        client = site.client()
        assert "Held out since a De-Sync" in client.get(f"/console/directory/users/{person}").text
        client.post(f"/console/directory/users/{person}/release")
        with site.database.read() as s:
            assert s.get(SyncExclusion, (directory_id, person)) is None


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
        assert "1 member is a Kerauno user already" in page
        assert "1 member is recognized but not synced yet" in page
        assert "1 member has an import conflict" in page
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

    def test_import_mentions_members_who_left_or_are_leaving(self, site: ConsoleSite) -> None:
        site.connected()
        people = [site.person(number, "Nils", f"Berg{number}", state=state)
                  for number, state in enumerate(["left", "left", "leaving"], 1)]  # fmt: skip
        department = site.seen_department(9, "Sales", people)
        client = site.client()
        page = client.get(f"/console/directory/departments/{department}/import").text
        assert "2 members have left: disabled or expired in AD." in page
        assert "1 member would be deactivated by a run that is held." in page
        listed = client.get(f"/console/directory/departments/{department}?state=leaving").text
        assert "Berg3" in listed
        assert "Berg1" not in listed
        people_page = client.get("/console/directory/users?state=leaving").text
        assert "Leaving, held" in people_page
        assert "Berg3" in people_page
        assert "Berg1" not in people_page

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
