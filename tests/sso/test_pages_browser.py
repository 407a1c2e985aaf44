"""The provider's pages in a real Chromium: every one wide and narrow, light and dark, and whole
flows by keyboard. The content security policy is the real one, so redirects to apps count."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from playwright.sync_api import Browser, Page
from werkzeug.serving import make_server

from kerauno.database.engine import Database
from kerauno.oauth import devices
from kerauno.tables.core import Department
from tests.servers import chromium
from tests.servers.echo import Echo
from tests.servers.process import free_port, loopback
from tests.servers.sso import CHALLENGE, Person, RegisteredApp, Sso

pytestmark = pytest.mark.browser

LOOKS: tuple[chromium.Look, ...] = (
    (chromium.WIDE, "light"),
    (chromium.WIDE, "dark"),
    (chromium.NARROW, "light"),
    (chromium.NARROW, "dark"),
)


class Served:
    """A provider at `url`, and an app that shows what it is sent."""

    def __init__(self, sso: Sso, url: str, echo: Echo) -> None:
        self.sso, self.url, self.echo = sso, url, echo
        self.callback = f"http://{echo.host}:{echo.port}/callback"

    def app(self, **more: Any) -> RegisteredApp:
        """An app that is answered at the echo."""
        return self.sso.register("Travel & Expenses", redirect_uris=(self.callback,), **more)

    def authorize(self, app: RegisteredApp, **params: str) -> str:
        """The address where the app sends people."""
        query = {
            "response_type": "code",
            "client_id": app.id,
            "redirect_uri": self.callback,
            "scope": "openid profile email phone groups offline_access",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            "state": "s",
        } | params
        return f"{self.url}/oauth/authorize?{urlencode(query)}"

    def device_code(self, app: RegisteredApp) -> str:
        """A code that a phone shows."""
        with self.sso.database.fast_write() as h:
            started = devices.start(
                h,
                self.sso.clock(),
                client_id=app.id,
                scope="openid phone",
                address="192.0.2.7",
            )
        return started.user_code


@pytest.fixture
def served(sqlite_database: Database, tmp_path: Path) -> Iterator[Served]:
    host = loopback()
    port = free_port(host)
    url = f"http://{host}:{port}"
    sso = Sso(sqlite_database, tmp_path, public_url=url)
    echo = Echo()
    server = make_server(host, port, sso.app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Served(sso, url, echo)
    server.shutdown()
    server.server_close()
    echo.stop()
    sso.services.close()


def _as(page: Page, served: Served, person: Person) -> Page:
    name, value = person.cookie
    page.context.add_cookies([{"name": name, "value": value, "url": served.url}])
    return page


def _everything(served: Served) -> tuple[Person, list[str]]:
    """An administrator, and the address of every page."""
    sso = served.sso
    admin = sso.person("ada.admin", role="admin", first_name="Ada", last_name="Admin")
    app = served.app(first_party=False, backchannel_logout_uri="https://travel.company.com/out")
    sso.register("Wiki")
    wiki = sso.register("Chat")
    sso.tokens(admin, wiki, scope="openid email offline_access")
    with sso.database.write() as s:
        s.add(Department(name="Sales", imported_at=sso.clock()))
    admin.browser.post("/console/hosts", data={"host": "wiki.company.com", "departments": "Sales"})
    code = served.device_code(app)
    paths = [
        "/apps",
        "/device",
        f"/device?user_code={code}",
        "/oauth/logout",
        "/console/clients",
        "/console/clients/new",
        f"/console/clients/{app.id}",
        f"/console/clients/{wiki.id}/edit",
        "/console/hosts",
        "/oauth/authorize?client_id=nobody",
        "/.kerauno/denied",
    ]
    return admin, [served.authorize(app), *(served.url + path for path in paths)]


def test_every_page_is_sound(served: Served, page: Page) -> None:
    admin, pages = _everything(served)
    _as(page, served, admin)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    looks = LOOKS
    for address in pages:
        page.goto(address)
        assert chromium.faults(page, looks) == [], address
        looks = looks[::-1]  # the next page is loaded in the look that this one is left in
    assert [text for text in said if "status of 40" not in text] == []


def test_consent_by_keyboard_leads_to_the_app(served: Served, page: Page) -> None:
    _as(page, served, served.sso.person())
    page.goto(served.authorize(served.app(first_party=False)))
    assert page.get_by_role("heading").inner_text() == "Share your details?"
    page.get_by_role("button", name="Allow", exact=True).focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"{served.callback}?code=*")
    page.goto(served.authorize(served.app(first_party=False)))
    page.get_by_role("button", name="Do not allow").click()
    page.wait_for_url(f"{served.callback}?error=access_denied*")


def _answer_of(page: Page) -> tuple[str, str, dict[str, str], str]:
    """Return what the app was sent: method, path, fields, and the Origin."""
    sent = json.loads(page.inner_text("body"))
    headers = {name.lower(): value for name, value in sent["headers"]}
    fields = dict(parse_qsl(sent["body"], strict_parsing=True))
    return sent["method"], sent["path"], fields, headers.get("origin", "")


def test_an_answer_by_form_is_sent_by_itself(served: Served, page: Page) -> None:
    _as(page, served, served.sso.person())
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    state = "\"><script>alert(1)</script>'&amp;+ %0a é"
    page.goto(served.authorize(served.app(), response_mode="form_post", state=state))
    page.wait_for_url(served.callback)
    method, path, fields, origin = _answer_of(page)
    assert (method, path, origin) == ("POST", "/callback", served.url)
    assert fields == {"code": fields["code"], "state": state, "iss": served.url}
    page.goto(served.authorize(served.app(), response_mode="form_post", scope="nonsense"))
    page.wait_for_url(served.callback)
    assert _answer_of(page)[2]["error"] == "invalid_scope"
    assert said == []


def test_so_it_is_after_agreeing(served: Served, page: Page) -> None:
    _as(page, served, served.sso.person())
    page.goto(served.authorize(served.app(first_party=False), response_mode="form_post"))
    page.get_by_role("button", name="Allow", exact=True).click()
    page.wait_for_url(served.callback)
    assert "code" in _answer_of(page)[2]


def test_without_scripts_a_button_sends_it(served: Served, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False, locale="en-GB")
    page = _as(context.new_page(), served, served.sso.person())
    page.goto(served.authorize(served.app(), response_mode="form_post"))
    assert page.get_by_role("heading").inner_text() == "Back to the app"
    assert "Travel & Expenses" in page.inner_text("main")
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url(served.callback)
    fields = page.evaluate("document.body.innerText")
    assert '"method": "POST"' in fields
    context.close()


def test_the_page_without_scripts_is_sound(served: Served, page: Page) -> None:
    page.route("**/form_post.js*", lambda route: route.abort())
    _as(page, served, served.sso.person())
    page.goto(served.authorize(served.app(), response_mode="form_post"))
    assert chromium.faults(page, LOOKS) == []


def test_the_form_may_lead_on_to_what_is_registered_and_nowhere_else(
    served: Served, page: Page
) -> None:
    """Chromium holds redirects of a form to `form-action`."""
    _as(page, served, served.sso.person())
    elsewhere = Echo()
    app = served.app()
    after = f"http://{elsewhere.host}:{elsewhere.port}/home"
    wider = served.app(post_logout_redirect_uris=(after,))
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    served.echo.leads_to = f"http://{served.echo.host}:{served.echo.port}/home"
    page.goto(served.authorize(app, response_mode="form_post"))
    page.wait_for_url(served.echo.leads_to)
    served.echo.leads_to = after
    page.goto(served.authorize(wider, response_mode="form_post"))
    page.wait_for_url(after)
    assert said == []
    with page.expect_console_message(lambda message: "form-action" in message.text):
        page.goto(served.authorize(app, response_mode="form_post"), wait_until="commit")
    assert elsewhere.requests.count("/home") == 1
    elsewhere.stop()


_FETCH = """async ([url, method]) => {
  const headers = {Authorization: 'Bearer x', 'X-Requested-With': 'XMLHttpRequest'};
  if (method === 'POST') headers['Content-Type'] = 'application/x-www-form-urlencoded';
  const form = 'client_id=nobody&client_secret=&grant_type=x&token=x';
  const body = method === 'POST' ? form : undefined;
  try { return (await fetch(url, {method, headers, body})).status } catch { return 0 }
}"""


def test_an_app_in_the_browser_may_call_from_its_own_site(served: Served, page: Page) -> None:
    """Each of these asks a preflight first; 0 is what the browser keeps from the script."""
    page.goto(served.callback)
    calls = {
        ("/.well-known/openid-configuration", "GET"): 200,
        ("/oauth/jwks", "GET"): 200,
        ("/oauth/userinfo", "GET"): 401,
        ("/oauth/userinfo", "POST"): 401,
        ("/oauth/token", "POST"): 400,
        ("/oauth/token", "GET"): 405,
        ("/oauth/revoke", "POST"): 401,
        ("/oauth/par", "POST"): 401,
        ("/oauth/device", "POST"): 401,
        ("/oauth/introspect", "POST"): 0,
        ("/oauth/authorize", "GET"): 0,
        ("/api/v1/me", "GET"): 0,
    }
    said = {
        (path, method): page.evaluate(_FETCH, [served.url + path, method]) for path, method in calls
    }
    assert said == calls


def test_a_device_is_connected_by_keyboard(served: Served, page: Page) -> None:
    _as(page, served, served.sso.person())
    code = served.device_code(served.app())
    page.goto(f"{served.url}/device")
    page.wait_for_function("document.activeElement.name === 'user_code'")
    page.keyboard.type(code.lower())
    assert page.get_by_label("Code").input_value() == code.lower()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Connect this device?").wait_for()
    assert "192.0.2.7" in page.inner_text("main")
    page.get_by_role("button", name="Connect").focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Device connected").wait_for()


def test_signing_out_asks_and_then_does(served: Served, page: Page) -> None:
    _as(page, served, served.sso.person())
    page.goto(f"{served.url}/oauth/logout")
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", name="You are signed out").wait_for()
    page.goto(f"{served.url}/apps")
    assert "/login" in page.url


def test_an_administrator_adds_an_app_and_copies_its_settings(served: Served, page: Page) -> None:
    _as(page, served, served.sso.person("ada.admin", role="admin"))
    page.goto(f"{served.url}/console/clients")
    page.get_by_role("link", name="Add app").click()
    page.get_by_label("Name").fill("Grafana")
    page.get_by_label("Redirect addresses").fill("https://grafana.company.com/login/generic_oauth")
    page.get_by_role("button", name="Add app").click()
    secret = page.locator("#secret").inner_text()
    page.get_by_text("Grafana", exact=True).last.click()
    assert f"client_secret = {secret}" in page.locator("#recipe-grafana").inner_text()
    page.get_by_role("link", name="Change").click()
    page.get_by_label("Name").fill("Charts")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("heading", name="Charts").wait_for()
    assert secret not in page.content()


def test_a_frame_of_another_site_shows_nothing(served: Served, page: Page) -> None:
    _as(page, served, served.sso.person())
    target = served.authorize(served.app(first_party=False))
    page.goto(served.callback)
    page.set_content(f'<iframe src="{target.replace("&", "&amp;")}"></iframe>')
    page.wait_for_function("document.querySelector('iframe').contentDocument === null")
    frame = page.frames[-1]
    assert "Share your details" not in frame.content()
