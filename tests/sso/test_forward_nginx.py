"""Sites behind a real nginx, with the configuration files that the product ships."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import urlencode

import pytest

from kerauno.accounts import users
from kerauno.accounts.access_revocation import end_access
from kerauno.accounts.users import NewUser
from kerauno.database.engine import Database
from kerauno.signin import protected_sites
from kerauno.tables.core import Department, Membership
from kerauno.tables.oauth import ProtectedHost
from tests.servers.browser import Browser
from tests.servers.echo import Echo
from tests.servers.nginx import Nginx
from tests.servers.process import wait_until
from tests.servers.web import Installation

pytestmark = pytest.mark.relying_party

PASSWORD = "Passw0rd!Local"
JOHN = "john.doe@goodcompany.local"
ZOE = "zoe@goodcompany.local"
SALES = "Sales, EMEA"


@dataclass
class Site:
    """A guarded app, its nginx and the sign-in service."""

    web: Installation
    nginx: Nginx
    app: Echo
    database: Database

    def url(self, path: str = "/") -> str:
        """An address of the guarded site."""
        return f"http://{self.nginx.authority}{path}"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The site; john.doe is in Sales, zoe is not."""
    web = Installation(tmp_path_factory.mktemp("installation"))
    web.must("authsvc", "db", "upgrade")
    web.start()
    app = Echo()
    nginx = Nginx(
        tmp_path_factory.mktemp("nginx"),
        kerauno=f"{web.host}:{web.port}",
        app=f"{app.host}:{app.port}",
    ).start()
    database = Database(web.database_url)
    now = datetime.now(UTC)
    with database.write() as s:
        s.add(Department(name=SALES, imported_at=now))
        users.create(s, NewUser(JOHN, "John", "Doe", password=PASSWORD), now)
        users.create(s, NewUser(ZOE, "Zoë", "Müller", password=PASSWORD), now)
    yield Site(web, nginx, app, database)
    nginx.stop()
    app.stop()
    database.close()
    web.stop()


@pytest.fixture
def site(running: Site) -> Site:
    """The site as it is at first: everyone may enter."""
    now = datetime.now(UTC)
    with running.database.write() as s:
        s.query(ProtectedHost).delete()
        protected_sites.put(s, running.nginx.authority, (), now)
        sales = s.query(Department).one().id
        john = users.by_email(s, JOHN).id
        s.merge(Membership(department_id=sales, user_id=john, static=False))
    running.app.requests.clear()
    return running


def _only_sales(site: Site) -> None:
    with site.database.write() as s:
        protected_sites.put(s, site.nginx.authority, (SALES,), datetime.now(UTC))


def test_a_person_is_led_to_sign_in_and_back_to_the_page(site: Site) -> None:
    browser = Browser()
    page = "/a%20page?q=1&r=%26x#".rstrip("#")
    landed = browser.sign_in(site.url(page), JOHN, PASSWORD)
    assert (landed.status, landed.seen["path"]) == (200, page)
    assert landed.sent("Remote-User") == ["john.doe"]
    assert landed.sent("Remote-Email") == [JOHN]
    assert landed.sent("Remote-Name") == ["John Doe"]
    assert landed.sent("Remote-Groups") == ["Sales%2C EMEA"]
    assert site.app.requests == [page]
    again = browser.get(site.url("/next"))
    assert (again.status, again.seen["path"]) == (200, "/next")
    assert "kerauno" not in browser.cookies[site.nginx.authority]  # the session's own stays home


def test_headers_cannot_be_smuggled_in(site: Site) -> None:
    browser = Browser()
    browser.sign_in(site.url(), ZOE, PASSWORD)
    answer = browser.get(
        site.url(), Remote_User="admin", Remote_Groups="Sales", Remote_Email="x", Remote_Name="y"
    )
    assert answer.sent("Remote-User") == ["zoe"]
    assert answer.sent("Remote-Name") == ["Zoë Müller"]
    assert answer.sent("Remote-Groups") == []
    assert answer.sent("Remote-Email") == [ZOE]


def test_without_a_session_nothing_reaches_the_app(site: Site) -> None:
    stranger = Browser()
    first = stranger.get(site.url("/secret"), Remote_User="admin")
    assert (first.status, first.headers["Location"]) == (
        302,
        f"http://{site.nginx.authority}/.kerauno/start?rd=/secret",
    )
    assert stranger.send("POST", site.url("/form"), "x=1").status == 401
    for cookie in ("kerauno=x", "kerauno-app=x", "kerauno-app=" + "x" * 5000):
        assert stranger.get(site.url("/"), Cookie=cookie).status in (302, 400)
    assert stranger.get(site.url("/.kerauno/verify")).status == 404
    assert site.app.requests == []


def test_a_rule_of_departments_keeps_others_out(site: Site) -> None:
    site.web.must("authsvc", "forward", "add", site.nginx.authority, "--department", "Sales, EMEA")
    allowed, other = Browser(), Browser()
    landed = allowed.sign_in(site.url("/x"), JOHN, PASSWORD)
    assert landed.seen["path"] == "/x"
    refused = other.sign_in(site.url("/x"), ZOE, PASSWORD)
    assert refused.status == 403
    assert "may not open this site" in refused.body
    with site.database.write() as s:
        s.query(Membership).delete()
    wait_until(lambda: allowed.get(site.url("/x")).status == 403, "the rule holds")
    assert "may not open this site" in allowed.get(site.url("/x")).body
    assert site.app.requests[0] == "/x"


def test_the_end_of_a_session_counts_at_once(site: Site) -> None:
    browser = Browser()
    browser.sign_in(site.url(), JOHN, PASSWORD)
    assert browser.get(site.url()).status == 200
    with site.database.write() as s:
        end_access(s, [users.by_email(s, JOHN).id])
    assert browser.get(site.url()).status == 302


def test_a_ticket_works_once_and_in_its_own_browser(site: Site) -> None:
    browser, thief = Browser(), Browser()
    browser.sign_in(site.url(), JOHN, PASSWORD)
    start = browser.get(site.url("/.kerauno/start?rd=/again"))
    home = browser.get(start.headers["Location"])
    callback = home.headers["Location"]
    assert callback.startswith(site.url("/.kerauno/callback?ticket="))
    assert browser.get(callback).headers["Location"] == "/again"
    assert browser.get(callback).status == 400
    assert thief.get(callback).status == 400


@pytest.mark.parametrize("began", [True, False])
def test_a_ticket_shown_in_the_wrong_browser_is_used_up(site: Site, began: bool) -> None:
    browser, thief = Browser(), Browser()
    browser.sign_in(site.url(), JOHN, PASSWORD)
    start = browser.get(site.url("/.kerauno/start?rd=/again"))
    callback = browser.get(start.headers["Location"]).headers["Location"]
    if began:
        thief.get(site.url("/.kerauno/start?rd=/again"))
    assert thief.get(callback).status == 400
    assert browser.get(callback).status == 400
    assert browser.get(site.url()).status == 200  # what was signed in before stays so


@pytest.mark.parametrize(
    "host", ["secret.company.com:444", "open.company.com", "nowhere.example", "a b", "x" * 300]
)
def test_the_block_that_nginx_matched_decides(site: Site, host: str) -> None:
    """Whatever a browser writes as Host: it is asked about the site that it gets."""
    _only_sales(site)
    with site.database.write() as s:
        protected_sites.put(s, "open.company.com", (), datetime.now(UTC))
    other = Browser()
    assert other.sign_in(site.url("/x"), ZOE, PASSWORD).status == 403
    session = other.cookies[f"{site.web.host}:{site.web.port}"]["kerauno"]
    answer = Browser().get(site.url("/x"), Host=host, Cookie=f"kerauno={session}")
    assert answer.status == (400 if host == "a b" else 403)
    assert site.app.requests == []


def test_a_host_that_is_named_and_has_no_rule_is_nobodys(site: Site) -> None:
    with site.database.write() as s:
        protected_sites.put(s, "secret.company.com", (SALES,), datetime.now(UTC))
        protected_sites.put(s, "open.company.com", (), datetime.now(UTC))
    person = Browser()
    person.sign_in(site.url(), ZOE, PASSWORD)  # everyone may enter this one, Zoë is not in Sales
    session = person.cookies[f"{site.web.host}:{site.web.port}"]["kerauno"]
    verify = f"{site.web.url}/auth/verify"

    def status(host: str) -> int:
        answer = Browser().get(verify, X_Forwarded_Host=host, Cookie=f"kerauno={session}")
        assert ("Remote-User" in answer.headers) == (answer.status == 200)
        return answer.status

    own = f"{site.web.host}:{site.web.port}"
    assert Browser().get(verify, Cookie=f"kerauno={session}").status == 200
    assert status(own) == 200
    refused = (
        "secret.company.com",
        "SECRET.company.com.",
        "secret.company.com:443",
        "secret.company.com:444",
        "unknown.example",
        "open.company.com, secret.company.com",
        f"{own}, secret.company.com",
        "user@secret.company.com",
        "secret.company.com/",
        "[::1",
    )
    assert {host: status(host) for host in refused} == dict.fromkeys(refused, 403)
    # A host that she may enter has a cookie of its own: the session's is not for it.
    wait_until(lambda: status("open.company.com") == 401, "the new rules are known")


def test_nobody_is_signed_in_as_somebody_else_by_a_link(site: Site) -> None:
    """A ticket for the nonce of a browser that has none must not fit every such browser."""
    attacker, victim = Browser(), Browser()
    attacker.sign_in(site.url(), JOHN, PASSWORD)
    query = urlencode({"host": site.nginx.authority, "nonce": sha256(b"").hexdigest()})
    callback = attacker.get(f"{site.web.url}/auth/start?{query}").headers["Location"]
    assert victim.get(callback).status == 400
    assert victim.get(site.url()).status == 302


def test_the_way_in_leads_nowhere_else(site: Site) -> None:
    browser = Browser()
    browser.sign_in(site.url(), JOHN, PASSWORD)
    for page in (
        "//evil.example/",
        "https://evil.example/",
        "/\\evil.example",
        "%2F%2Fevil.example",
    ):
        start = browser.get(site.url(f"/.kerauno/start?rd={page}"))
        _, landed = browser.follow(start.headers["Location"])
        assert landed.status == 200
        assert landed.seen["path"] == "/"
    nonce = "0" * 64
    for host in ("evil.example", site.nginx.authority + ".evil.example", "", "a b"):
        query = urlencode({"host": host, "nonce": nonce})
        answer = browser.get(f"{site.web.url}/auth/start?{query}")
        assert (answer.status, "Location" in answer.headers) == (400, False)


def test_other_proxies_are_told_where_to_send_a_person(site: Site) -> None:
    stranger = Browser()
    asked = {
        "X_Forwarded_Host": site.nginx.authority,
        "X_Forwarded_Uri": "/a?b=1&c=2",
        "X_Forwarded_Method": "GET",
    }
    page = stranger.get(f"{site.web.url}/auth/forward", **asked)
    assert (page.status, page.headers["Location"]) == (
        302,
        "/.kerauno/start?rd=%2Fa%3Fb%3D1%26c%3D2",
    )
    script = stranger.get(
        f"{site.web.url}/auth/forward", **(asked | {"Accept": "application/json"})
    )
    assert script.status == 401
    form = stranger.get(f"{site.web.url}/auth/forward", **(asked | {"X_Forwarded_Method": "POST"}))
    assert form.status == 401


@pytest.mark.parametrize(
    "page",
    ["/a?x=1&y=2", "/a%20b", "/a;b=1", "/a%2Fb", "/a+b?c+d=%2B", "/a?", "/?rd=/b&rd=%2Fc",
     "/%ff", "/b%C3%BCcher?q=%E2%82%AC", "/a?next=https%3A%2F%2Fx%2F%3Fy%3D1%26z%3D2", "/%25",
     "/a,b'(c)!*"],
)  # fmt: skip
def test_the_page_comes_back_to_the_byte_through_every_proxy(site: Site, page: str) -> None:
    """By nginx, which hands it on as it is, and by proxies that hand on this service's answer."""
    by_nginx, by_others = Browser(), Browser()
    assert by_nginx.sign_in(site.url(page), JOHN, PASSWORD).seen["path"] == page
    asked = {"X_Forwarded_Host": site.nginx.authority, "X_Forwarded_Uri": page}
    answer = by_others.get(f"{site.web.url}/auth/forward", **asked)
    way = site.url(answer.headers["Location"])
    assert by_others.sign_in(way, JOHN, PASSWORD).seen["path"] == page


def test_hosts_are_added_listed_and_removed(site: Site) -> None:
    run, authority = site.web.run, site.nginx.authority
    assert run("authsvc", "forward", "add", "x.com", "--department", "Nobody").returncode == 1
    site.web.must("authsvc", "forward", "add", "X.com:443", "--department", SALES)
    assert site.web.json("authsvc", "forward", "list") == [
        {"host": authority, "departments": []},
        {"host": "x.com", "departments": [SALES]},
    ]
    site.web.must("authsvc", "forward", "remove", authority)
    assert run("authsvc", "forward", "remove", authority).returncode == 1
    assert Browser().get(site.url("/.kerauno/start?rd=/")).status == 404
