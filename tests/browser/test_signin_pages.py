"""The pages of everyone in a real browser: by keyboard alone, narrow, dark, and for axe."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from werkzeug.serving import make_server

from dirclient.model import errors
from dirclient.model.directory_objects import LockoutPolicy
from kerauno.tables.core import Department, Membership, Number, RingGroup
from tests import said
from tests.integration.site import LOCAL_PASSWORD, PASSWORD, Site, make_site
from tests.servers import chromium
from tests.servers.process import free_port, loopback

pytestmark = pytest.mark.browser


class Served:
    """A site that a browser can open at `url`."""

    def __init__(self, site: Site, url: str) -> None:
        self.site, self.url = site, url

    def populate(self) -> None:
        """Somebody with an extension and departments, and others to look up."""
        user_id = self.site.linked(extension="1001")
        self.site.linked("jane.roe", first="Jane", last="Roe", extension="1002")
        self.site.linked(
            "long.name", first="Maximiliane", last="Müller-Lüdenscheidt", extension="1003"
        )
        with self.site.services.database.write() as s:
            for name, number in (("Sales", "600"), ("Emergency Response Team", "601")):
                department = Department(name=name, imported_at=self.site.at)
                s.add(department)
                s.flush()
                ring_group = RingGroup(department_id=department.id, name=name)
                s.add_all([ring_group, Membership(department_id=department.id, user_id=user_id)])
                s.flush()
                s.add(Number(number=number, ring_group_id=ring_group.id))

    def expire_password(self) -> None:
        guid = next(iter(self.site.directory._accounts))
        self.site.directory.refuse(guid, errors.PasswordExpired)


@pytest.fixture
def served(sqlite_url: str, tmp_path: Path) -> Iterator[Served]:
    host = loopback()
    port = free_port(host)
    url = f"http://{host}:{port}"
    site = make_site(sqlite_url, tmp_path, public_url=url)
    server = make_server(host, port, site.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    made = Served(site, url)
    made.populate()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()
    site.services.close()


@pytest.fixture(params=[chromium.WIDE, chromium.NARROW])
def view(request: pytest.FixtureRequest, page: Page) -> Iterator[Page]:
    """A page at each width; a blocked script or style is an error."""
    page.set_viewport_size({"width": request.param, "height": 800})
    blocked: list[str] = []
    page.on("console", lambda message: blocked.append(message.text))
    yield page
    assert [text for text in blocked if "Content Security Policy" in text] == []


def faults(page: Page) -> list[str]:
    """Return what is wrong with the page at its width, in light and in dark."""
    assert page.viewport_size is not None
    width = page.viewport_size["width"]
    return chromium.faults(page, [(width, "light"), (width, "dark")])


def submit(page: Page) -> None:
    """Send the form by the Enter key and wait for the answer."""
    with page.expect_navigation():
        page.keyboard.press("Enter")


def sign_in(page: Page, served: Served, name: str = "john.doe", secret: str = PASSWORD) -> None:
    """Type a name and a password where the focus is, as people do."""
    page.goto(f"{served.url}/login")
    await_focus(page, "username")
    page.keyboard.type(name)
    page.keyboard.press("Tab")
    page.keyboard.type(secret)
    submit(page)


def await_focus(page: Page, name: str) -> None:
    """Wait until the browser has put the keyboard where the page asks for it."""
    page.wait_for_function("name => document.activeElement.name === name", arg=name)


def focused(page: Page) -> str:
    """The name of the element that has the keyboard."""
    return str(
        page.evaluate("(document.activeElement.name || document.activeElement.textContent).trim()")
    )


def test_the_sign_in_page(view: Page, served: Served) -> None:
    view.goto(f"{served.url}/login")
    await_focus(view, "username")
    assert faults(view) == []


def test_a_refusal_can_be_read_and_heard(view: Page, served: Served) -> None:
    sign_in(view, served, secret="nope")
    alert = view.get_by_role("alert")
    assert said.REFUSED in alert.inner_text()
    assert alert.locator("code").inner_text() == served.site.audited()[-1].code
    await_focus(view, "password")
    assert view.get_by_label(said.USERNAME_OR_EMAIL).input_value() == "john.doe"
    assert faults(view) == []


def test_home(view: Page, served: Served) -> None:
    sign_in(view, served)
    assert view.get_by_role("heading", level=1).inner_text() == "John Doe"
    assert view.locator(".extension__number").inner_text() == "1001"
    assert view.get_by_text("Emergency Response Team").is_visible()
    assert faults(view) == []


def test_the_phone_book(view: Page, served: Served) -> None:
    sign_in(view, served)
    view.goto(f"{served.url}/phonebook")
    assert view.get_by_text("Müller-Lüdenscheidt").is_visible()
    assert faults(view) == []
    view.get_by_role("searchbox").fill("nobody at all")
    submit(view)
    assert view.get_by_text(said.PHONE_BOOK_NO_MATCH).is_visible()
    assert faults(view) == []


def test_an_expired_password_is_changed_by_keyboard(view: Page, served: Served) -> None:
    served.expire_password()
    sign_in(view, served)
    assert said.CHANGE_EXPIRED[0] in view.get_by_role("alert").inner_text()
    await_focus(view, "password")
    assert faults(view) == []
    for text in (PASSWORD, "Another!2027", "Different!1"):
        view.keyboard.type(text)
        view.keyboard.press("Tab")
    view.keyboard.press("Shift+Tab")
    submit(view)
    again = view.get_by_label(said.NEW_PASSWORD_AGAIN)
    assert again.get_attribute("aria-invalid") == "true"
    assert view.get_by_text(said.PASSWORDS_DIFFER).is_visible()
    assert faults(view) == []
    await_focus(view, "password")
    for text in (PASSWORD, "Another!2027", "Another!2027"):
        view.keyboard.type(text)
        view.keyboard.press("Tab")
    view.keyboard.press("Shift+Tab")
    submit(view)
    assert view.url == f"{served.url}/"


def test_a_full_address_is_asked_for(view: Page, served: Served) -> None:
    served.site.configure(login_without_domain=False)
    sign_in(view, served)
    assert said.DOMAIN_NEEDED in view.get_by_role("alert").inner_text()
    assert faults(view) == []


def test_too_many_attempts(view: Page, served: Served) -> None:
    served.site.directory.policy = LockoutPolicy(2, 1800, 1800)
    sign_in(view, served, secret="nope")
    sign_in(view, served)
    assert said.THROTTLED_TITLE in view.get_by_role("alert").inner_text()
    assert faults(view) == []


def test_an_outage(view: Page, served: Served) -> None:
    served.site.directory.down = True
    sign_in(view, served)
    assert said.UNAVAILABLE_TITLE in view.get_by_role("alert").inner_text()
    assert faults(view) == []


@pytest.mark.parametrize("path", ["/nowhere", "/console/audit"])
def test_error_pages(view: Page, served: Served, path: str) -> None:
    sign_in(view, served)
    view.goto(f"{served.url}{path}")
    assert view.locator(".oops__code").is_visible()
    assert faults(view) == []


def test_everything_by_keyboard(page: Page, served: Served) -> None:
    sign_in(page, served)
    page.keyboard.press("Tab")
    assert focused(page) == said.SKIP
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "page"
    page.goto(served.url)
    menu = page.locator("details.person")
    for _ in range(3):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert menu.get_attribute("open") is not None
    assert faults(page) == []
    page.keyboard.press("Escape")
    assert menu.get_attribute("open") is None
    page.keyboard.press("Enter")
    for _ in range(8):
        if focused(page) == said.SIGN_OUT:
            break
        page.keyboard.press("Tab")
    submit(page)
    assert said.SIGNED_OUT in page.get_by_role("status").inner_text()
    page.goto(served.url)
    assert page.url == f"{served.url}/login"


def test_the_menu_of_a_narrow_screen(browser: Browser, served: Served) -> None:
    context = browser.new_context(viewport={"width": 400, "height": 800})
    page = context.new_page()
    sign_in(page, served)
    navigation = page.get_by_role("navigation", name=said.MAIN_NAVIGATION)
    assert not navigation.is_visible()
    page.get_by_text(said.MENU, exact=True).click()
    assert navigation.is_visible()
    assert faults(page) == []
    with page.expect_navigation():
        navigation.get_by_role("link", name=said.PHONE_BOOK).click()
    assert page.url == f"{served.url}/phonebook"
    context.close()


def test_without_scripts_everything_works(browser: Browser, served: Served) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{served.url}/login")
    page.fill("#f-username", "john.doe")
    page.fill("#f-password", PASSWORD)
    submit(page)
    page.locator("details.person summary").click()
    with page.expect_navigation():
        page.get_by_role("button", name=said.SIGN_OUT).click()
    assert page.get_by_text(said.SIGNED_OUT).is_visible()
    context.close()


def test_another_browsers_session_is_ended_here(page: Page, served: Served) -> None:
    other, _ = served.site.sign_in()
    sign_in(page, served)
    button = page.get_by_role("button", name=f"{said.END_SESSION}: {said.UNKNOWN_BROWSER}")
    with page.expect_navigation():
        button.click()
    assert page.get_by_text(said.SESSION_WAS_ENDED).is_visible()
    assert other.get("/auth/verify").status_code == 401


def test_an_administrator_signs_in_locally(page: Page, served: Served) -> None:
    served.site.admin()
    served.site.directory.down = True
    sign_in(page, served, "ada@company.com", LOCAL_PASSWORD)
    assert page.get_by_role("heading", level=1).inner_text() == "Ada Min"
    assert faults(page) == []
