"""Access to the console: each path of the console with each role, and requests of other sites."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from kerauno.accounts import users
from tests.servers.console import ConsoleSite, guid, owned_user
from tests.servers.databases import SqliteDatabases


def filled(folder: Path, database_url: str) -> ConsoleSite:
    """An installation with somebody of each role, a department of the manager and one not."""
    made = ConsoleSite(folder, database_url)
    made.connected()
    user_id, person = owned_user(made, 1, "Anna", "Berg")
    assert user_id == 2
    manager = made.user("mia.manager@goodcompany.local", "Mia", "Manager", role="manager")
    theirs = made.seen_department(50, "Sales", [person])
    other = made.seen_department(51, "Support", [])
    made.department(theirs, "Sales", "600", [manager, user_id])
    made.department(other, "Support", "601", [user_id])
    made.run()
    return made


@pytest.fixture
def site(tmp_path: Path, sqlite_url: str) -> Iterator[ConsoleSite]:
    """An installation of the test's own."""
    made = filled(tmp_path, sqlite_url)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory, _sqlite_databases: SqliteDatabases
) -> Iterator[ConsoleSite]:
    """An installation for tests that change nothing."""
    with _sqlite_databases.url() as url:
        made = filled(tmp_path_factory.mktemp("console"), url)
        yield made
        made.close()


SECTIONS = [
    "/console",
    "/console/servers",
    "/console/directory/credentials",
    "/console/directory/users",
    "/console/directory/departments",
    "/console/directory/departments/number?number=600",
    "/console/users",
    "/console/users/new",
    "/console/users/reservations",
    "/console/runs",
    "/console/phones",
    "/console/throttles",
    "/console/audit",
    "/console/audit/code?code=K7F3-2Q",
    "/console/audit.csv",
    "/api/v1/users",
]
OBJECTS = [
    f"/console/directory/users/{guid(1)}",
    f"/console/directory/users/{guid(1)}/timeline",
    f"/console/directory/departments/{guid(50)}",
    f"/console/directory/departments/{guid(50)}/unimport",
    "/console/users/2",
    "/console/users/2/directory",
    "/console/users/2/sessions",
    "/console/users/2/timeline",
    "/console/runs/1",
    "/api/v1/users/2",
    "/api/v1/departments/1/members",
]
POSTS = [
    "/console/directory/credentials",
    "/console/directory/credentials/test",
    "/console/directory/credentials/suggest",
    "/console/directory/credentials/find",
    "/console/directory/credentials/advanced",
    "/console/directory/users/synchronize",
    "/console/users/new",
    "/console/runs",
    "/console/phones",
    "/console/throttles/clear",
]
OBJECT_POSTS = [
    "/console/directory/credentials/review/1",
    f"/console/directory/users/{guid(1)}/release",
    f"/console/directory/departments/{guid(50)}/import",
    f"/console/directory/departments/{guid(50)}/unimport",
    f"/console/directory/departments/{guid(50)}/number",
    "/console/users/2",
    "/console/users/2/password",
    "/console/users/2/block",
    "/console/users/2/unblock",
    "/console/users/2/deactivate",
    "/console/users/2/reactivate",
    "/console/users/2/sessions/end",
    "/console/users/2/release-number",
    "/console/users/2/directory/sync",
    "/console/users/2/directory/desync",
    "/console/runs/1/confirm",
    "/console/runs/1/discard",
    "/console/runs/1/undo",
    "/console/runs/requests/1/apply",
    "/console/phones/1/remove",
]


def client_of(site: ConsoleSite, role: str) -> FlaskClient:
    """A client signed in with this role."""
    if role == "nobody":
        return site.anonymous()
    return site.client({"admin": 1, "user": 2, "manager": 3}[role])


def test_every_page_of_the_console_is_in_these_lists(shared: ConsoleSite) -> None:
    known = {path.partition("?")[0] for path in (*SECTIONS, *OBJECTS, *POSTS, *OBJECT_POSTS)}
    adapter = shared.app.url_map.bind("localhost")
    rules = {adapter.match(path, method=method, return_rule=True)[0].rule
             for path in known for method in ("GET", "POST")
             if adapter.test(path, method)}  # fmt: skip
    missing = {
        rule.rule
        for rule in shared.app.url_map.iter_rules()
        if rule.endpoint.startswith("console_")
        and not rule.endpoint.startswith(("console_clients", "console_hosts"))  # tested elsewhere
        and rule.rule not in rules
    }
    assert missing <= {
        "/api/v1/departments/<int:department_id>/members/<int:user_id>",
        "/console/runs/requests/<int:request_id>",
    }


@pytest.mark.parametrize("path", [*SECTIONS, *OBJECTS])
def test_an_administrator_may_open_everything(shared: ConsoleSite, path: str) -> None:
    assert client_of(shared, "admin").get(path).status_code == 200


@pytest.mark.parametrize("role", ["user", "manager"])
@pytest.mark.parametrize("path", SECTIONS)
def test_nobody_else_may_open_a_section(shared: ConsoleSite, role: str, path: str) -> None:
    assert client_of(shared, role).get(path).status_code == 403


@pytest.mark.parametrize("role", ["user", "manager"])
@pytest.mark.parametrize("path", OBJECTS)
def test_to_others_an_object_does_not_exist(shared: ConsoleSite, role: str, path: str) -> None:
    client = client_of(shared, role)
    assert client.get(path).status_code == 404
    gone = path.replace(guid(1), guid(999)).replace("/2", "/999")
    assert client.get(gone).status_code == 404


@pytest.mark.parametrize("role", ["user", "manager"])
@pytest.mark.parametrize("path", [*POSTS, *OBJECT_POSTS])
def test_nobody_else_may_change_anything(shared: ConsoleSite, role: str, path: str) -> None:
    expected = 404 if path in OBJECT_POSTS else 403
    assert client_of(shared, role).post(path, data={}).status_code == expected


@pytest.mark.parametrize("path", [*SECTIONS, *OBJECTS])
def test_who_is_not_signed_in_is_led_to_sign_in(shared: ConsoleSite, path: str) -> None:
    answer = client_of(shared, "nobody").get(path)
    if path.startswith("/api/"):
        assert answer.status_code == 401
        assert answer.content_type == "application/problem+json"
    else:
        assert answer.status_code == 302
        assert answer.location.startswith("/login?next=%2Fconsole") or answer.location.startswith(
            "/login?next=/console"
        )


@pytest.mark.parametrize("path", [*POSTS, *OBJECT_POSTS])
def test_a_form_of_another_site_is_refused(shared: ConsoleSite, path: str) -> None:
    client = client_of(shared, "admin")
    by_fetch = client.post(path, data={}, headers={"Sec-Fetch-Site": "cross-site"})
    by_origin = client.post(path, data={}, headers={"Origin": "https://evil.example"})
    assert (by_fetch.status_code, by_origin.status_code) == (403, 403)


def test_a_role_that_was_taken_ends_on_the_next_request(site: ConsoleSite) -> None:
    second = site.user("bea.boss@goodcompany.local", "Bea", "Boss", role="admin")
    client = site.client(second)
    assert client.get("/console/users").status_code == 200
    with site.database.write() as s:
        users.set_role(s, second, "user", site.now)
    assert client.get("/console/users").status_code == 403


def test_an_ended_session_ends_on_the_next_request(site: ConsoleSite) -> None:
    second = site.user("bea.boss@goodcompany.local", "Bea", "Boss", role="admin")
    client = site.client(second)
    assert site.client().post(f"/console/users/{second}/sessions/end").status_code == 303
    assert client.get("/console/users").status_code == 302


def test_a_manager_sees_the_own_departments_and_no_others(shared: ConsoleSite) -> None:
    client = client_of(shared, "manager")
    page = client.get("/departments")
    assert page.status_code == 200
    assert "Sales" in page.text
    assert "Support" not in page.text
    assert client.get("/departments/1").status_code == 200
    assert client.get("/departments/2").status_code == 404
    assert client.get("/departments/99").status_code == 404


def test_a_user_sees_no_department_page(shared: ConsoleSite) -> None:
    assert client_of(shared, "user").get("/departments").status_code == 403


@pytest.mark.parametrize("role", ["user", "manager", "admin"])
def test_everyone_may_read_the_phone_book(shared: ConsoleSite, role: str) -> None:
    client = client_of(shared, role)
    for path in ("/phonebook", "/phonebook.csv", "/phonebook.vcf", "/phonebook/user-2.vcf"):
        assert client.get(path).status_code == 200


def test_the_navigation_shows_what_one_may_open(shared: ConsoleSite) -> None:
    assert "/console" not in client_of(shared, "user").get("/").text
    assert "My departments" in client_of(shared, "manager").get("/").text
    assert "/console/directory/credentials" in client_of(shared, "admin").get("/").text


def test_ad_members_are_refused_removal_and_owned_fields_change(site: ConsoleSite) -> None:
    client = client_of(site, "admin")
    removed = client.delete("/api/v1/departments/1/members/2")
    assert removed.status_code == 409
    assert removed.content_type == "application/problem+json"
    changed = client.patch("/api/v1/users/2", json={"first_name": "Eve"})
    assert changed.status_code == 409
    assert client.get("/api/v1/users/2").get_json()["first_name"] == "Anna"


def test_a_forced_post_of_an_owned_field_is_refused(site: ConsoleSite) -> None:
    answer = client_of(site, "admin").post("/console/users/2", data={"first_name": "Eve"})
    assert answer.status_code == 409
    assert "comes from Active Directory" in answer.text
