"""The services while the database server is away at their start: they say so, wait, and go on."""

from __future__ import annotations

import http.client
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kerauno.base.errors import DatabaseUnavailable, SchemaOutdated
from syncsvc.service import startup
from tests.servers.postgres import Postgres
from tests.servers.process import wait_until
from tests.servers.web import Installation


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A server of these tests' own, which they stop."""
    made = Postgres().start()
    yield made
    made.remove()


@pytest.fixture
def away(server: Postgres, tmp_path: Path) -> Iterator[Installation]:
    """An installation with its tables, whose database server has been stopped since."""
    made = Installation(tmp_path, server.url(server.create()))
    made.must("authsvc", "db", "upgrade")
    server.stop()
    yield made
    made.stop()
    server.stop()
    server.start()


def ask(
    installation: Installation, path: str, method: str = "GET", body: str = ""
) -> tuple[int, str]:
    """Status and body of the answer to a browser that has a session."""
    connection = http.client.HTTPConnection(installation.host, installation.port, timeout=20)
    headers = {"Accept": "text/html", "Cookie": f"kerauno={'s' * 43}"}
    if body:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


@pytest.mark.postgres
def test_the_sync_service_waits_and_goes_on(server: Postgres, away: Installation) -> None:
    service = away.spawn("syncsvc", "serve", log="sync.log")
    service.wait_for(lambda: "database unavailable" in service.tail())
    assert "Connection refused" in service.tail()
    assert "Traceback" not in service.tail()
    server.start()
    service.wait_for(lambda: "sync service started" in service.tail())
    assert "database available" in service.tail()
    service.signal(signal.SIGTERM)
    assert service.process.wait(10) == 0


@pytest.mark.postgres
def test_a_sync_service_that_waits_ends_at_once(away: Installation) -> None:
    service = away.spawn("syncsvc", "serve", log="sync.log")
    service.wait_for(lambda: service.tail().count("database unavailable") == 2)  # 2 s to the next
    service.signal(signal.SIGTERM)
    assert service.process.wait(1.5) == 0


@pytest.mark.postgres
def test_the_web_service_starts_says_so_and_recovers(server: Postgres, away: Installation) -> None:
    away.start()
    assert away.server is not None
    assert "Starting nevertheless" in away.server.tail()
    assert ask(away, "/healthz")[0] == 200
    status, body = ask(away, "/readyz")
    assert (status, json.loads(body)) == (503, {"status": "unavailable"})
    for path in ("/", "/phonebook", "/console/users"):
        status, body = ask(away, path)
        assert (status, "Kerauno cannot answer just now" in body) == (503, True), path
    sign_in = ("/login", "POST", "username=john.doe%40company.com&password=x")
    assert ask(away, *sign_in)[0] == 503
    assert ask(away, "/auth/verify")[0] == 503
    server.start()
    wait_until(lambda: ask(away, "/readyz")[0] == 200, "ready")
    assert ask(away, "/")[0] == 302
    assert ask(away, *sign_in)[0] == 401


@pytest.mark.postgres
def test_the_web_service_is_not_ready_on_another_version_s_tables(
    server: Postgres, tmp_path: Path
) -> None:
    """Nobody could look at its start: readiness does, when the server is back."""
    installation = Installation(tmp_path, server.url(server.create()))
    server.stop()
    try:
        installation.start()
        server.start()
        status, body = ask(installation, "/readyz")
        assert (status, json.loads(body)) == (503, {"status": "unavailable"})
        installation.must("authsvc", "db", "upgrade")
        assert ask(installation, "/readyz")[0] == 200
    finally:
        installation.stop()


def test_pauses_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    class Database:
        sqlite = False

    slept: list[float] = []
    monkeypatch.setattr(
        "syncsvc.service.startup.migrations.check", _answers(8, DatabaseUnavailable("away"))
    )
    startup.until_ready(Database(), slept.append)  # type: ignore[arg-type]
    assert slept == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_another_version_s_tables_and_a_broken_file_are_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Database:
        def __init__(self, *, sqlite: bool) -> None:
            self.sqlite = sqlite

    for error, sqlite in ((SchemaOutdated("old"), False), (DatabaseUnavailable("broken"), True)):
        monkeypatch.setattr("syncsvc.service.startup.migrations.check", _answers(1, error))
        with pytest.raises(type(error)):
            startup.until_ready(Database(sqlite=sqlite), pytest.fail)  # type: ignore[arg-type]


def _answers(faults: int, error: Exception) -> Callable[[object], None]:
    """A check that fails so many times and passes then."""
    left = [error] * faults

    def check(_database: object) -> None:
        if left:
            raise left.pop()

    return check
