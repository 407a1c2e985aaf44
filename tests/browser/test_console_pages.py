"""Every page of the console in every state: no accessibility fault, no sideways scrolling,
nothing that the content security policy had to stop; keyboard alone; calm progress."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import insert, select

from kerauno import audit
from kerauno.base.lookup_keys import lookup_key, sort_key
from kerauno.sync import directory_settings, runs
from kerauno.tables.core import Attempt, Run, RunRequest, SeenPerson, SyncExclusion, Throttle
from tests.servers import chromium
from tests.servers.console import NOW, ConsoleSite, guid, owned_user

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

HOSTILE = "<img src=x onerror=alert(1)>"
LONG = "Wolfeschlegelsteinhausenbergerdorff" * 40


@pytest.fixture
def site(tmp_path: Path, sqlite_url: str) -> Iterator[ConsoleSite]:
    """An installation without a directory."""
    made = ConsoleSite(tmp_path, sqlite_url)
    with made.serving():
        yield made
    made.close()


def conflict(code: str, **more: str) -> dict[str, str]:
    """A conflict as the sync service stores it."""
    return {"code": code, "field": "", "value": "", "other": "", "remedy": "Mend it in AD."} | more


def fill(site: ConsoleSite) -> dict[str, Any]:
    """One of everything, with names that are long, foreign and hostile; gives what to look at."""
    directory_id = site.connected(ring_group_first="600", ring_group_last="699")
    user_id, person = owned_user(site, 1, "Anna", "Berg")
    odd = [
        site.person(2, HOSTILE, LONG, login=f"{HOSTILE}@x.de", extension=LONG),
        site.person(3, "שרה", "כהן"),
        site.person(4, "Tom", "Turner", state="conflict", conflicts=[
            conflict("extension_taken", value="600", other="ring group Sales"),
            conflict("email_missing"),
        ]),
        site.person(5, "Bea", "Held", state="held-out", conflicts=[conflict("held_out")]),
    ]  # fmt: skip
    sales = site.seen_department(60, "Sales", [person, *odd])
    ou = site.seen_department(61, LONG, odd, kind="ou", path=["Staff", HOSTILE, LONG])
    site.department(sales, "Sales", "600", [user_id])
    gone = site.user("gone@goodcompany.local", "Gone", HOSTILE, extension="299")
    site.client().post(f"/console/users/{gone}/deactivate")
    plan = {
        "actions": [{"action": "deactivate", "guid": guid(n), "username": f"user{n}", "email": LONG,
                     "extension": "2001", "changes": {"active": {"before": True, "after": False}}}
                    for n in range(30)],
        "conflicts": [conflict("name_missing")], "emptied": ["Sales"], "digest": "d",
        "departments": [{"action": "import", "name": LONG, "number": "601", "add": 3, "remove": 0}],
    }  # fmt: skip
    changes = [
        {"action": "update", "subject": "user", "guid": person, "subject_id": user_id,
         "name": HOSTILE, "before": {"last_name": LONG}, "after": {"last_name": "Berg"}}
    ]  # fmt: skip
    found: dict[str, Any] = {
        "user": user_id, "person": odd[0], "conflict": odd[2], "held": odd[3], "department": ou,
        "sales": sales,
        "run": site.run(changes=changes, counts={"updated": 1}, delay_seconds=1.2, people=5),
        "held_run": site.run(status="held", plan=plan, finished=None,
                             expires_at=NOW + timedelta(days=3), error="30 would go."),
        "running": site.run(status="running", finished=None, phase="apply", done=40, total=140),
        "failed": site.run(status="failed", error=f"dc1 did not answer. {LONG}"),
    }  # fmt: skip
    with site.database.write() as s:
        s.add(SyncExclusion(directory_id=directory_id, guid=odd[3], held_at=NOW, held_by="bea"))
        for scope, label in (("account", f"{HOSTILE} {LONG}"), ("address", "2001:db8::1")):
            s.add(Attempt(key=scope, failures=3, pending=0, generation=0, counted_from=NOW))
            s.add(Throttle(key=scope, scope=scope, label=label[:320], limit=3, seconds=3600,
                           refused=12, code="ABCD-23", noted_at=NOW))  # fmt: skip
        for number in range(60):
            audit.append(s, "sign-in", now=NOW - timedelta(hours=number), user_id=user_id,
                         outcome="wrong_password" if number % 3 else "ok", actor=HOSTILE,
                         address="10.0.0.7", code="ABCD-23", detail={"note": LONG})  # fmt: skip
        for kind, state in (("plan", "running"), ("build", "failed")):
            asked = runs.request(s, directory_id, kind, now=NOW, by="ada", payload={})
            found[f"request_{state}"] = asked
            row = s.get(RunRequest, asked)
            assert row is not None
            row.taken_at = NOW
            if state == "failed":
                runs.finish_request(s, asked, NOW, error=LONG)
            else:
                row.run_id = found["running"]
    return found


PAGES = {
    "dashboard": "/console",
    "servers": "/console/servers",
    "credentials": "/console/directory/credentials",
    "people": "/console/directory/users",
    "conflicts": "/console/directory/users?state=conflict",
    "nobody": "/console/directory/users?q=nobody-at-all",
    "person": "/console/directory/users/{person}",
    "person-conflict": "/console/directory/users/{conflict}",
    "person-held": "/console/directory/users/{held}",
    "departments": "/console/directory/departments",
    "department": "/console/directory/departments/{department}",
    "import": "/console/directory/departments/{department}/import?number=600",
    "unimport": "/console/directory/departments/{sales}/unimport",
    "users": "/console/users",
    "user-new": "/console/users/new",
    "user": "/console/users/{user}",
    "user-directory": "/console/users/{user}/directory",
    "user-sessions": "/console/users/{user}/sessions",
    "timeline": "/console/users/{user}/timeline",
    "reservations": "/console/users/reservations",
    "runs": "/console/runs",
    "run": "/console/runs/{run}",
    "run-held": "/console/runs/{held_run}",
    "run-running": "/console/runs/{running}",
    "run-failed": "/console/runs/{failed}",
    "run-undo": "/console/runs/{run}/undo",
    "request-running": "/console/runs/requests/{request_running}",
    "request-failed": "/console/runs/requests/{request_failed}",
    "audit": "/console/audit",
    "code": "/console/audit/code?code=ABCD23",
    "phones": "/console/phones",
    "throttles": "/console/throttles",
    "own-departments": "/departments",
    "own-department": "/departments/1",
    "phone-book": "/phonebook",
}
EMPTY = (
    "dashboard", "servers", "credentials", "people", "departments", "users", "reservations",
    "runs", "audit", "phones", "throttles", "own-departments", "phone-book",
)  # fmt: skip
LOOKS: tuple[chromium.Look, ...] = ((1440, "light"), (chromium.NARROW, "dark"))


def look_at(site: ConsoleSite, browser: Browser, paths: dict[str, str]) -> list[str]:
    """Return what is wrong with these pages, in light on a wide screen and in dark on a phone."""
    wrong: list[str] = []
    looks = LOOKS
    with site.opened(browser) as page:
        listen(page, wrong)
        for name, path in paths.items():
            page.goto(path)
            wrong += [f"{name} {one}" for one in chromium.faults(page, looks)]
            looks = looks[::-1]  # the next page is loaded in the look that this one is left in
    return wrong


def listen(page: Page, wrong: list[str]) -> None:
    """Note what must never happen on a page."""
    page.on("dialog", lambda dialog: wrong.append(f"script ran: {dialog.message}"))
    page.on("pageerror", lambda error: wrong.append(f"script error: {error}"))
    page.on(
        "console", lambda one: wrong.append(one.text) if "Content Security" in one.text else None
    )


def test_every_page_while_nothing_is_set_up(site: ConsoleSite, browser: Browser) -> None:
    assert look_at(site, browser, {name: PAGES[name] for name in EMPTY}) == []


def test_every_page_with_one_of_everything(site: ConsoleSite, browser: Browser) -> None:
    found = fill(site)
    paths = {name: path.format(**found) for name, path in PAGES.items()}
    assert look_at(site, browser, paths) == []


def test_pages_with_thousands(site: ConsoleSite, browser: Browser) -> None:
    directory_id = site.connected()
    with site.database.write() as s:
        s.execute(insert(SeenPerson), [_row(directory_id, n) for n in range(3000)])
    for number in range(200):
        site.seen_department(50_000 + number, f"Department {number}", [])
    names = ("people", "conflicts", "departments", "dashboard")
    assert look_at(site, browser, {name: PAGES[name] for name in names}) == []


def _row(directory_id: int, number: int) -> dict[str, Any]:
    first, last = f"First{number}", f"Last{number % 997}"
    login = f"{first}.{last}@goodcompany.local".lower()
    odd = number % 7 == 0
    return {
        "directory_id": directory_id, "guid": guid(number), "dn": f"CN={first} {last}",
        "first_name": first, "last_name": last, "login": login, "extension": str(10_000 + number),
        "state": "conflict" if odd else "ready", "user_id": None, "digest": "",
        "conflicts": [conflict("extension_missing")] if odd else [],
        "sort_key": sort_key(last, first, login),
        "search_text": lookup_key(f"{first} {last} {login} {10_000 + number}"),
    }  # fmt: skip


def test_the_people_table_by_keyboard_alone(site: ConsoleSite, browser: Browser) -> None:
    site.connected()
    for number in range(1, 61):
        site.person(number, f"P{number:02}", "Same")
    with site.opened(browser) as page:
        page.goto("/console/directory/users")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()
        page.keyboard.press("Enter")
        for _ in range(12):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == "q":
                break
        page.keyboard.type("P42")
        expect(page.get_by_text("1 of 1 people")).to_be_visible()
        for _ in range(30):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.name") == "guid":
                break
        page.keyboard.press("Space")
        expect(page.get_by_label("Select P42 Same")).to_be_checked()
        page.keyboard.press("Enter")  # sends the form that the box is in
        expect(page.get_by_text("Working out the plan")).to_be_visible()
    with site.database.read() as s:
        request = s.scalars(select(RunRequest)).one()
    assert request.payload == {"build": True, "guids": [guid(42)]}


def test_progress_moves_nothing_on_the_page(site: ConsoleSite, browser: Browser) -> None:
    directory_id = site.connected()
    run_id = site.run(status="running", finished=None, phase="people", done=0, total=0)
    with site.database.write() as s:
        asked = runs.request(s, directory_id, "build", now=NOW, by="ada", payload={})
        row = s.get(RunRequest, asked)
        assert row is not None
        row.taken_at, row.run_id = NOW, run_id
    with site.opened(browser) as page:
        page.goto(f"/console/runs/requests/{asked}")
        page.evaluate(
            """() => { window.moved = 0; new PerformanceObserver(list => {
                 for (const one of list.getEntries()) window.moved += one.value;
               }).observe({type: "layout-shift", buffered: true}); }"""
        )
        for done in (1, 70, 140):
            with site.database.write() as s:
                runs.progress(s, run_id, "apply", done, 140)
            expect(page.get_by_text(f"{done} of 140")).to_be_visible()
        expect(page.get_by_role("progressbar")).to_have_attribute("value", "100")
        assert page.evaluate("window.moved") == 0
        with site.database.write() as s:
            done_run = s.get(Run, run_id)
            assert done_run is not None
            done_run.status, done_run.counts = "applied", {"created": 140}
            runs.finish_request(s, asked, NOW, result={"run": run_id})
        expect(page.get_by_text("140 created")).to_be_visible()
        expect(page.locator("[hx-trigger^=every]")).to_have_count(0)  # nothing asks any more
        expect(page.get_by_role("link", name=f"Open run {run_id}")).to_be_visible()


def test_moments_stand_in_the_viewers_zone(site: ConsoleSite, browser: Browser) -> None:
    directory_id = site.connected()
    with site.database.write() as s:
        directory_settings.set_state(s, directory_id, heard_at=NOW)
    with site.opened(browser) as page:  # Europe/Berlin: one hour ahead of UTC in November
        page.goto("/console")
        expect(page.get_by_text("last heard of 23 Nov 2026, 10:30")).to_be_visible()


def test_a_command_is_copied_by_its_button(site: ConsoleSite, browser: Browser) -> None:
    found = fill(site)
    with site.opened(browser, permissions=["clipboard-read", "clipboard-write"]) as page:
        page.goto(PAGES["person-conflict"].format(**found))
        page.get_by_role("button", name="Copy the PowerShell line").first.click()
        expect(page.get_by_text("Copied")).to_be_visible()
        line = page.evaluate("navigator.clipboard.readText()")
    assert line == f"Set-ADUser -Identity '{guid(4)}' -Replace @{{ipPhone='100'}}"


def test_enter_in_a_box_saves_and_a_failed_step_leads_to_its_field(
    site: ConsoleSite, browser: Browser
) -> None:
    site.connected()
    site.directory.down = True
    with site.opened(browser) as page:
        page.goto("/console/directory/credentials")
        page.get_by_role("button", name="Test AD Credentials").click()
        expect(page.get_by_text("The test failed")).to_be_visible()
        page.get_by_role("link", name="Go to AD Server").click()
        expect(page.get_by_label("AD Server")).to_be_in_viewport()
        page.get_by_label("Ring group numbers").fill("600-699")
        page.get_by_label("Ring group numbers").press("Enter")
        expect(page.get_by_text("AD Credentials saved")).to_be_visible()
    with site.database.read() as s:
        saved = directory_settings.load(s)
    assert saved is not None
    assert saved.ring_group_first == "600"
