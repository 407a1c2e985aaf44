"""`authsvc` as an operator runs it: exit codes, what goes where, and a whole setup by script."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
import sys
import urllib.request
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kerauno.base.visible_text import visible_lines
from kerauno.database.engine import Database
from kerauno.tables.core import Department
from tests.servers.process import loopback
from tests.servers.samba import SambaDC
from tests.servers.web import Installation, configure_directory

SECRET = "C4nary!Secret-55"


@pytest.fixture
def fresh(tmp_path: Path) -> Installation:
    """An installation that nobody has upgraded yet."""
    return Installation(tmp_path)


# -- the database


def test_serve_refuses_an_old_schema_and_says_what_to_run(fresh: Installation) -> None:
    done = fresh.run("authsvc", "serve")
    assert (done.returncode, done.stdout) == (1, "")
    assert "authsvc db upgrade" in done.stderr


def test_upgrade_may_be_run_twice(fresh: Installation) -> None:
    for _ in range(2):
        done = fresh.run("authsvc", "db", "upgrade")
        assert (done.returncode, done.stdout) == (0, "")


def test_a_database_that_is_none_is_said(fresh: Installation) -> None:
    (fresh.folder / "kerauno.db").write_text("this is no database" * 100)
    done = fresh.run("authsvc", "user", "list")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    assert "database" in done.stderr


# -- names that look alike


def test_a_name_that_could_mean_two_departments_is_refused_with_their_guids(
    installation: Installation,
) -> None:
    guids = {"Engineering": "1" * 36, "\u202eEngineering": "2" * 36}
    with closing(Database(installation.database_url)) as database, database.write() as s:
        for name, guid in guids.items():
            s.add(Department(name=name, guid=guid, imported_at=datetime.now(UTC)))
    add = ("authsvc", "forward", "add", "wiki.company.com", "--department")
    for name in guids:
        done = installation.run(*add, name)
        assert (done.returncode, done.stdout) == (1, "")
        assert all(guid in done.stderr for guid in guids.values())
        assert visible_lines(done.stderr) == done.stderr
    assert installation.json("authsvc", "forward", "list") == []
    installation.must(*add, "2" * 36)
    shown = installation.must("authsvc", "forward", "list")
    assert shown == "wiki.company.com  [U+202E]Engineering\n"


# -- configuration


def test_every_fault_of_the_configuration_at_once(fresh: Installation) -> None:
    fresh.environ |= {
        "KERAUNO_PORTT": "1",
        "KERAUNO_WORKERS": "many",
        "KERAUNO_PUBLIC_URL": "ftp://x",
        "KERAUNO_CONFIG": str(fresh.folder / "missing.toml"),
    }
    done = fresh.run("authsvc", "check")
    assert (done.returncode, done.stdout) == (1, "")
    for name in ("KERAUNO_PORTT", "KERAUNO_WORKERS", "KERAUNO_PUBLIC_URL", "KERAUNO_CONFIG"):
        assert name in done.stderr
    assert "authsvc db upgrade" in done.stderr  # and what lies beyond the configuration


def test_usage_is_exit_code_two(fresh: Installation) -> None:
    assert fresh.run("authsvc", "nonsense").returncode == 2
    assert fresh.run("authsvc", "admin", "create").returncode == 2


def test_the_key_file_is_made_for_its_owner_alone(installation: Installation) -> None:
    configured(installation)
    mode = (installation.folder / "secret.key").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


@pytest.mark.parametrize("fault", ["changed", "empty", "folder"])
def test_a_key_file_at_fault_is_said(installation: Installation, fault: str) -> None:
    configured(installation)
    key = installation.folder / "secret.key"
    key.unlink()
    if fault == "empty":
        key.write_text("")
        key.chmod(0o600)
    if fault == "folder":
        key.mkdir()
    done = installation.run("authsvc", "check")
    assert done.returncode == 1
    assert "secret.key" in done.stderr
    assert "Traceback" not in done.stderr


def test_files_with_secrets_that_others_can_read_are_told(fresh: Installation) -> None:
    settings = fresh.folder / "kerauno.toml"
    settings.write_text('database_url = "postgresql://kerauno:Canary-7@127.0.0.1:1/kerauno"\n')
    files = [fresh.folder / name for name in ("keytab", "metrics.token", "kerauno.db")]
    for file in files:
        file.write_text("0123456789abcdef" if file.suffix == ".token" else "")
    for file in (settings, *files):
        file.chmod(0o644)
    fresh.environ |= {
        "KERAUNO_KERBEROS_KEYTAB": str(files[0]),
        "KERAUNO_METRICS_TOKEN_FILE": str(files[1]),
    }
    told = fresh.run("authsvc", "check").stderr
    assert f"KERAUNO_DATABASE_URL: {files[2]} holds secrets" in told
    assert f"Run: chmod 600 {files[2]}" in told
    assert f"Run: chmod 640 {files[0]}" in told
    assert f"Run: chmod 640 {files[1]}" in told

    fresh.environ["KERAUNO_CONFIG"] = str(settings)
    del fresh.environ["KERAUNO_DATABASE_URL"]
    told = fresh.run("authsvc", "check").stderr
    assert f"Run: chmod 640 {settings}" in told
    assert "Canary-7" not in told
    for file, mode in ((settings, 0o640), (files[0], 0o640), (files[1], 0o600), (files[2], 0o600)):
        file.chmod(mode)
    assert "chmod" not in fresh.run("authsvc", "check").stderr


def test_no_process_of_the_product_leaves_a_core_dump(installation: Installation) -> None:
    probe = (
        "import ctypes, resource;from kerauno.base.core_dumps import forbid_core_dumps as forbid;"
        "look = lambda: (ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), "
        "resource.getrlimit(resource.RLIMIT_CORE)[0] == 0);"
        "resource.setrlimit(resource.RLIMIT_CORE, (1024, resource.RLIM_INFINITY));"
        "before = look(); forbid(); print(before, look())"
    )
    printed = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True
    ).stdout
    assert printed == "(1, False) (0, True)\n"

    web = installation.start().server
    assert web is not None
    sync = installation.spawn("syncsvc", "serve", log="sync.log")
    for service in (web, sync):
        limits = Path(f"/proc/{service.pid}/limits")
        service.wait_for(lambda file=limits: _core_limits(file) == ["0", "0"])  # type: ignore[misc]
        if os.geteuid():  # what is not dumpable belongs to root
            assert limits.stat().st_uid == 0
    sync.stop()


def _core_limits(limits: Path) -> list[str]:
    """Return the soft and the hard limit of core dumps."""
    line = next(each for each in limits.read_text().splitlines() if "core file" in each)
    return line.split()[4:6]


def test_a_rotated_key_opens_what_was_sealed_before(installation: Installation) -> None:
    configured(installation)
    before = (installation.folder / "secret.key").read_text()
    assert installation.run("authsvc", "key", "rotate").returncode == 0
    assert (installation.folder / "secret.key").read_text() != before
    assert installation.run("authsvc", "key", "prune").returncode == 0
    assert installation.run("authsvc", "key", "rotate").returncode == 0


# -- users


def test_an_administrator_and_users(installation: Installation) -> None:
    created = installation.run(
        *("authsvc", "admin", "create", "ada@company.com", "--first", "Ada", "--last", "Min"),
        "--password-stdin",
        stdin=f"{SECRET}\n",
    )
    assert (created.returncode, created.stdout) == (0, "")
    installation.must(*ADD, "john.doe@company.com", "--extension", "1001")
    assert installation.json("authsvc", "user", "list") == [
        {
            "id": 1,
            "username": "ada",
            "email": "ada@company.com",
            "first_name": "Ada",
            "last_name": "Min",
            "extension": None,
            "role": "admin",
            "active": True,
            "synced": False,
            "guid": None,
            "departments": [],
        },
        {
            "id": 2,
            "username": "john.doe",
            "email": "john.doe@company.com",
            "first_name": "F",
            "last_name": "L",
            "extension": "1001",
            "role": "user",
            "active": True,
            "synced": False,
            "guid": None,
            "departments": [],
        },
    ]


ADD = ("authsvc", "user", "add", "--first", "F", "--last", "L")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("john.doe@other.example", "--extension", "1002"), "username"),
        (("new@company.com", "--extension", "1001"), "1001"),
        (("new@company.com", "--extension", "12x"), "extension"),
        (("new", "--extension", "1002"), "email"),
    ],
)
def test_what_cannot_be_stored_changes_nothing(
    installation: Installation, arguments: tuple[str, ...], word: str
) -> None:
    installation.must(*ADD, "john.doe@company.com", "--extension", "1001")
    done = installation.run(*ADD, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert word in done.stderr
    assert len(installation.json("authsvc", "user", "list")) == 1


def test_a_password_must_come_by_standard_input(installation: Installation) -> None:
    create = ("authsvc", "admin", "create", "a@b.com", "--first", "A", "--last", "B")
    assert installation.run(*create).returncode == 2
    empty = installation.run(*create, "--password-stdin", stdin="\n")
    assert (empty.returncode, "password" in empty.stderr) == (1, True)
    short = installation.run(*create, "--password-stdin", stdin="short\n")
    assert (short.returncode, "password" in short.stderr) == (1, True)


# -- the directory

SET = ("authsvc", "directory", "set")


def configured(installation: Installation, *more: str) -> None:
    installation.must(
        *SET,
        *("--server", "dc1.goodcompany.local", "--username", "svc@goodcompany.local"),
        *("--user-search-dn", "DC=goodcompany,DC=local", "--password-stdin"),
        *("--department-search-dn", "OU=Departments,DC=goodcompany,DC=local", *more),
        stdin=f"{SECRET}\n",
    )


def test_every_fault_of_the_directory_at_once_and_nothing_changes(
    installation: Installation,
) -> None:
    done = installation.run(
        *SET, "--server", "ldap://x y", "--port", "99999", "--ring-group-range", "9-x"
    )
    assert (done.returncode, done.stdout) == (1, "")
    fields = [line.partition(":")[0] for line in done.stderr.splitlines()]
    assert set(fields) >= {"servers", "port", "username", "user_search_dn", "ring_group_range"}
    assert installation.run("authsvc", "directory", "show", "--json").returncode == 1


def test_what_is_not_given_keeps_its_value(installation: Installation) -> None:
    configured(installation, "--auto-sync", "yes", "--ring-group-range", "600-699")
    installation.must(*SET, "--port", "636", "--encryption", "ldaps", "--auto-sync", "no")
    shown = installation.json("authsvc", "directory", "show")
    wanted = {
        "servers": ["dc1.goodcompany.local"],
        "port": 636,
        "encryption": "ldaps",
        "username": "svc@goodcompany.local",
        "auto_sync": False,
        "login_without_domain": False,
        "ring_group_range": "600-699",
        "password_set": True,
    }
    assert {name: shown[name] for name in wanted} == wanted


def test_the_password_is_nowhere_but_sealed(installation: Installation) -> None:
    configured(installation)
    shown = installation.run("authsvc", "directory", "show", "--json")
    plain = installation.run("authsvc", "directory", "show")
    test = installation.run("authsvc", "directory", "test", "--json", timeout=120)
    check = installation.run("authsvc", "check", timeout=120)
    for done in (shown, plain, test, check):
        assert SECRET not in done.stdout + done.stderr
    with sqlite3.connect(installation.folder / "dump.db"):
        pass
    database = installation.database_url.removeprefix("sqlite:///")
    with sqlite3.connect(database) as connection:
        assert SECRET not in "\n".join(connection.iterdump())


def waiting_requests(installation: Installation) -> list[tuple[str, str]]:
    """Kind and payload of what the sync service is asked for."""
    path = installation.database_url.removeprefix("sqlite:///")
    with sqlite3.connect(path) as connection:
        return connection.execute("SELECT kind, payload FROM run_request").fetchall()


def test_no_encryption_is_a_warning(installation: Installation) -> None:
    configured(installation)
    done = installation.run(*SET, "--encryption", "none")
    assert done.returncode == 0
    assert "readable" in done.stderr


def test_a_test_that_fails_says_at_which_step(installation: Installation) -> None:
    configured(installation)
    host = loopback()
    installation.must(*SET, "--server", host, "--port", "1", "--tls-name", "dc1.goodcompany.local")
    done = installation.run("authsvc", "directory", "test", "--json")
    document: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode, document["ok"]) == (1, False)
    last = document["steps"][-1]
    assert (last["name"], last["ok"], bool(last["remedy"])) == ("tcp", False, True)
    assert waiting_requests(installation) == []


@pytest.mark.samba
def test_a_server_that_is_of_no_use_is_a_fault_though_another_serves(
    installation: Installation, samba_dc: SambaDC
) -> None:
    profile = samba_dc.profile()
    away = loopback()
    configure_directory(installation, profile | {"servers": (*profile["servers"], away)})
    assert installation.json("authsvc", "directory", "test")["ok"] is True
    done = installation.run("authsvc", "check")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"servers: {away} is not used: {away} port" in done.stderr


@pytest.mark.samba
def test_a_script_sets_up_tests_and_uses_a_real_directory(
    installation: Installation, samba_dc: SambaDC
) -> None:
    configure_directory(installation, samba_dc.profile(), "--login-without-domain", "yes")
    tested = installation.json("authsvc", "directory", "test")
    assert tested["ok"] is True
    assert installation.json("authsvc", "directory", "test")["ok"] is True
    # The sync service, which may be waiting since it was refused, need not wait: told once.
    assert waiting_requests(installation) == [("keep", '{"tested": true}')]
    assert {"resolve", "tcp", "tls", "bind"} <= {step["name"] for step in tested["steps"]}
    assert installation.run("authsvc", "check").returncode == 0
    installation.must(*ADD, "john.doe@company.com", "--extension", "1001")
    web = installation.start(workers=2)
    assert sign_in(web, "john.doe", "Welcome!2026") == 303
    assert sign_in(web, "john.doe", "nope") == 401
    with urllib.request.urlopen(f"{web.url}/metrics", timeout=10) as answer:
        figures = answer.read().decode()
    assert f'kerauno_directory_server_up{{server="{samba_dc.host}"}} 1.0\n' in figures
    (user,) = installation.json("authsvc", "user", "list")
    assert (user["synced"], bool(user["guid"])) == (True, True)
    (session,) = installation.json("authsvc", "sessions", "list", "john.doe@company.com")
    assert session["method"] == "directory"
    installation.must("authsvc", "sessions", "end", "john.doe@company.com")
    assert installation.json("authsvc", "sessions", "list", "john.doe@company.com") == []
    for _ in range(6):
        sign_in(web, "john.doe", "nope")
    (line,) = installation.json("authsvc", "throttle", "list", "--search", "john.doe")
    assert (line["who"], line["kind"]) == ("john.doe@company.com", "account")
    assert installation.run("authsvc", "throttle", "clear", " ").returncode == 2
    installation.must("authsvc", "throttle", "clear", "JOHN.DOE")
    assert installation.json("authsvc", "throttle", "list") == []
    assert sign_in(web, "john.doe", "Welcome!2026") == 303
    installation.must("authsvc", "throttle", "clear", "203.0.113.7")
    assert installation.run("authsvc", "housekeeping").returncode == 0
    log = (installation.folder / "web.log").read_text()
    assert "Welcome!2026" not in log


def sign_in(installation: Installation, name: str, password: str) -> int:
    """The status of one POST of the form."""
    import http.client
    from urllib.parse import urlencode

    connection = http.client.HTTPConnection(installation.host, installation.port, timeout=30)
    body = urlencode({"username": name, "password": password})
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/login", body, kind)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status
