"""An administrator who has never seen it: a real Samba AD from nothing to synced, in the browser.

The pictures of the manual are made here, so that they stay true.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from kerauno.database.engine import Database
from tests.servers import chromium
from tests.servers.process import PROJECT
from tests.servers.samba import SambaDC, Scratch
from tests.servers.web import Installation, configure_directory

pytestmark = [pytest.mark.samba, pytest.mark.browser, pytest.mark.timeout(300)]

ADMIN, PASSWORD = "ada@company.com", "Secret!Pass2026"
PICTURES = PROJECT / "docs" / "images"
SLOW = 30_000  # milliseconds for what the sync service does


@pytest.fixture
def serving(web: Installation) -> Iterator[Installation]:
    """An installation with an administrator, whose web and sync services run."""
    web.must(
        *("authsvc", "admin", "create", ADMIN, "--first", "Ada", "--last", "Admin"),
        "--password-stdin",
        stdin=f"{PASSWORD}\n",
    )
    sync = web.spawn("syncsvc", "serve", log="sync.log")
    yield web
    sync.signal(signal.SIGTERM)
    sync.stop()


@pytest.fixture
def admin(serving: Installation, browser: Browser) -> Iterator[Page]:
    """A browser page that the administrator is signed in on; script errors fail the test."""
    context = browser.new_context(
        base_url=serving.url,
        viewport={"width": 1280, "height": 900},
        locale="en-GB",
        timezone_id="Europe/Berlin",
    )
    context.set_default_timeout(10_000)
    page = context.new_page()
    faults: list[str] = []
    said: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda one: said.append(one.text))
    sign_in(page)
    yield page
    context.close()
    assert faults + [text for text in said if "Content Security" in text] == []


def sign_in(page: Page) -> None:
    """Sign in as the administrator."""
    page.goto("/login")
    page.locator("[name=username]").fill(ADMIN)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/")


def picture(page: Page, name: str) -> None:
    """A picture for the manual; written only when asked for, so that a test run changes no file."""
    assert chromium.violations(page) == []
    if os.environ.get("KEEP_PICTURES"):
        PICTURES.mkdir(parents=True, exist_ok=True)
        page.mouse.move(0, 0)
        page.screenshot(path=PICTURES / f"{name}.png", animations="disabled")


def top(page: Page) -> None:
    """Back to the head of the page."""
    page.evaluate("window.scrollTo(0, 0)")


def fill_credentials(page: Page, dc: SambaDC, folder: Path) -> None:
    """The AD Credentials form, as an administrator fills it in."""
    given = dc.profile()
    ca_file = folder / "company-ca.pem"
    ca_file.write_text(given["ca_certificates"])
    page.get_by_label("AD Server").fill(given["servers"][0])
    page.get_by_label("AD Port").fill(str(given["port"]))
    page.get_by_label("TLS name").fill(given["tls_name"])
    page.get_by_label("CA certificate").set_input_files(str(ca_file))
    page.get_by_label("AD Username").fill(given["username"])
    page.locator("#f-password").fill(given["password"])


def wait_for_people(page: Page) -> None:
    """The first read is seconds away: look at the table until it is there."""
    for _ in range(60):
        page.goto("/console/directory/users")
        if page.get_by_role("table").count():
            return
        page.wait_for_timeout(500)
    raise AssertionError("the sync service did not read the directory")


def test_from_nothing_to_synced_people_and_departments(
    admin: Page, samba_dc: SambaDC, tmp_path: Path
) -> None:
    page = admin
    page.goto("/console")
    page.get_by_role("link", name="Open AD Credentials").click()
    fill_credentials(page, samba_dc, tmp_path)

    # The search DNs understand people.
    people = page.get_by_label("AD User Search DN")
    people.press_sequentially("PhoneUsers")
    page.get_by_role("button", name="CN=Kerauno_PhoneUsers").wait_for()
    picture(page, "credentials-suggestions")
    people.press("ArrowDown")
    page.keyboard.press("Enter")
    assert people.input_value() == samba_dc.phone_users_dn
    page.get_by_label("AD Department Search DN").fill(
        "OU= Departments\n\nDC=goodcompany\n\nDC=local"
    )
    page.get_by_role("button", name="What is this?").first.click()
    expect(page.locator("#f-user_search_dn-found")).to_contain_text("security group, 42 people")

    page.get_by_role("button", name="Test AD Credentials").click()
    expect(page.locator("#test-result")).to_contain_text("The test passed", timeout=SLOW)
    top(page)
    picture(page, "credentials-test")
    page.get_by_role("button", name="Save AD Credentials").click()
    expect(page.get_by_text("AD Credentials saved")).to_be_visible()

    wait_for_people(page)
    picture(page, "ad-users")
    page.get_by_role("link", name="Import conflicts").click()
    picture(page, "ad-users-conflicts")
    row = page.get_by_role("row").filter(has_text="Ulrich Stein")
    expect(row).to_contain_text("Extension is missing")
    row.get_by_role("link", name="View Details").click()
    expect(page.locator(".command__line")).to_contain_text("Set-ADUser -Identity")
    picture(page, "ad-user-details")

    # Synchronize Users: the plan first, then exactly it.
    page.goto("/console/directory/users")
    page.get_by_role("button", name="Synchronize Users").click()
    apply = page.get_by_role("button", name="Apply exactly this plan")
    apply.wait_for(timeout=SLOW)
    picture(page, "synchronize-plan")
    apply.click()
    expect(page.locator("#request")).to_contain_text("32 created", timeout=SLOW)
    picture(page, "synchronize-done")
    page.goto("/console/directory/users?state=synced")
    expect(page.get_by_role("link", name="Synced 32")).to_be_visible()

    # A department with its ring group.
    page.goto("/console/directory/departments")
    number = page.get_by_label("Ring Group Number of Sales", exact=True)
    number.press_sequentially("1001")
    expect(page.get_by_text("1001 is used by John Doe (john.doe).")).to_be_visible()
    number.fill("")
    number.press_sequentially("600")
    expect(page.get_by_text("600 is free.")).to_be_visible()
    picture(page, "ad-departments")
    number.press("Enter")
    picture(page, "department-import")
    page.get_by_role("button", name="Import Department").click()
    expect(page.locator("#request")).to_contain_text("Applied", timeout=SLOW)
    page.goto("/console/directory/departments")
    page.get_by_role("link", name="Sales", exact=True).click()
    picture(page, "department")

    page.goto("/phonebook?q=sales")
    expect(page.get_by_role("row").filter(has_text="600")).to_be_visible()
    picture(page, "phone-book")
    page.goto("/console")
    expect(page.locator("#servers")).to_contain_text("reachable")
    picture(page, "dashboard")


@pytest.fixture
def synced(serving: Installation, samba_dc: SambaDC, fresh_ou: Scratch) -> Scratch:
    """Three people of the test's own, built from AD."""
    for number, first in enumerate(("Ann", "Bob", "Cleo")):
        fresh_ou.user(
            first.lower(), givenName=first, sn="Fresh", ipPhone=str(7000 + number),
            mail=f"{fresh_ou.name(first.lower())}@company.com",
        )  # fmt: skip
    profile = samba_dc.profile(user_search_dn=fresh_ou.dn)
    configure_directory(serving, profile)
    assert serving.json("syncsvc", "once", "--build")["created"] == 3
    return fresh_ou


def test_a_run_is_shown_and_undone(admin: Page, synced: Scratch, serving: Installation) -> None:
    page = admin
    page.goto("/console/runs")
    page.get_by_role("row").filter(has_text="3 created").get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="Changes: 3")).to_be_visible()
    picture(page, "run")
    page.get_by_role("link", name="Undo…").click()
    picture(page, "run-undo")
    page.get_by_role("button", name="Undo run").click()
    expect(page.get_by_role("link", name="Open run")).to_be_visible(timeout=SLOW)
    assert [one for one in serving.json("authsvc", "user", "list") if one["active"]] == [
        one for one in serving.json("authsvc", "user", "list") if one["role"] == "admin"
    ]


def test_de_sync_and_sync_with_ad_on_the_users_tab(
    admin: Page, synced: Scratch, serving: Installation
) -> None:
    page = admin
    page.goto("/console/users?q=Ann")
    page.get_by_role("link", name="Ann Fresh").click()
    expect(page.get_by_label("First name")).to_have_attribute("readonly", "")
    picture(page, "user")
    page.get_by_role("navigation").get_by_role("link", name="Active Directory").click()
    picture(page, "user-directory")
    page.get_by_role("button", name="De-Sync").click()
    expect(page.get_by_text("is no longer synced")).to_be_visible(timeout=SLOW)
    page.get_by_role("link", name="Back").click()
    page.get_by_role("button", name="Sync with AD").click()
    expect(page.get_by_text("now signs in as")).to_be_visible(timeout=SLOW)
    page.get_by_role("link", name="Back").click()
    expect(page.get_by_text("Signs in with AD; names and extension are Kerauno's")).to_be_visible()
    page.get_by_role("link", name="Timeline").click()
    expect(page.get_by_text("De-synced", exact=True)).to_be_visible()
    picture(page, "timeline")
    found = next(
        one for one in serving.json("authsvc", "user", "list") if one["first_name"] == "Ann"
    )
    assert found["synced"] is True


def test_a_held_run_is_confirmed_only_with_the_word(
    admin: Page, synced: Scratch, samba_dc: SambaDC, serving: Installation
) -> None:
    page = admin
    page.goto("/console/directory/credentials")
    page.get_by_text("Attribute mapping, timing and safety").click()
    page.get_by_label("Hold a run that deactivates more than").fill("0")
    page.get_by_label("… or more than this share of synced users").fill("0")
    page.get_by_role("button", name="Save AD Credentials").click()
    expect(page.get_by_text("AD Credentials saved")).to_be_visible()
    samba_dc.disable(samba_dc.dn(synced.name("bob")))
    page.goto("/console/runs")
    held = page.get_by_role("link", name="Look at the list")
    for _ in range(60):
        if held.count():
            break
        page.wait_for_timeout(500)
        page.reload()
    held.first.click()
    picture(page, "run-held")
    page.get_by_role("button", name="Confirm those ticked").click()  # the browser asks for the word
    expect(page.get_by_label("To apply what is ticked, type CONFIRM")).to_be_focused()
    page.get_by_label("To apply what is ticked, type CONFIRM").fill("confirm")
    page.get_by_role("button", name="Confirm those ticked").click()
    expect(page.locator("#request")).to_contain_text("1 deactivated", timeout=SLOW)


def test_saving_another_scope_shows_its_effect_first(
    admin: Page, synced: Scratch, samba_dc: SambaDC, serving: Installation
) -> None:
    page = admin
    page.goto("/console/directory/credentials")
    page.get_by_label("AD User Search DN").fill(samba_dc.phone_users_dn)
    page.get_by_role("button", name="Save AD Credentials").click()
    expect(page.get_by_text("3 people would no longer be recognized")).to_be_visible(timeout=SLOW)
    picture(page, "credentials-effect")
    page.get_by_role("link", name="Keep the present settings").click()
    stored = serving.json("authsvc", "directory", "show")
    assert stored["user_search_dn"] == synced.dn


def test_the_whole_way_without_a_script(
    serving: Installation, browser: Browser, synced: Scratch, samba_dc: SambaDC
) -> None:
    context = browser.new_context(base_url=serving.url, java_script_enabled=False)
    context.set_default_timeout(SLOW)
    page = context.new_page()
    sign_in(page)
    page.goto("/console/directory/credentials")
    page.get_by_role("button", name="Test AD Credentials").click()
    expect(page.get_by_text("The test passed")).to_be_visible(timeout=SLOW)
    page.goto("/console/directory/users")
    page.get_by_label("Search people").fill("Cleo")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.get_by_text("1 of 1 people")).to_be_visible()
    page.get_by_role("button", name="Synchronize Users").click()
    expect(page.get_by_text("Nothing to do")).to_be_visible(timeout=SLOW)  # the page refreshes
    context.close()


def test_a_changed_server_asks_for_the_password_again(
    admin: Page, synced: Scratch, serving: Installation, sqlite_url: str
) -> None:
    page = admin
    page.goto("/console/directory/credentials")
    page.get_by_label("AD Server").fill("127.0.0.1")
    page.get_by_role("button", name="Test AD Credentials").click()
    expect(page.locator("#test-result")).to_contain_text("Type the password again.")
    database = Database(sqlite_url)
    with database.read() as s:
        assert "Service!Pass" not in str(
            s.connection().exec_driver_sql("SELECT * FROM directory").all()
        )
    database.close()
