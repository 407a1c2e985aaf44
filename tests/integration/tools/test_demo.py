"""`make demo` from nothing: a company to sign in to, and nothing left of it afterwards."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from demo import company
from demo.run import ADMIN_EMAIL, ADMIN_PASSWORD, Demo
from tests.docs import pictures
from tests.servers.demo import RunningDemo
from tests.servers.process import PROJECT, free_port, listening, wait_until


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    demo = RunningDemo(tmp_path_factory.mktemp("demo") / "var")
    yield demo
    demo.server.stop()


def test_people_sign_in_with_every_form_of_their_name(running: RunningDemo) -> None:
    for name in ("john.doe", "john.doe@company.com", "COMPANY\\john.doe"):
        status, _, browser = running.sign_in(name, company.PASSWORD)
        assert (status, running.me(browser)[0]) == (200, 200), name


@pytest.mark.parametrize(
    ("account", "password", "status"),
    [
        ("john.doe", "wrong", 401),
        ("dora.frank", company.PASSWORD, 401),
        ("vera.lang", company.PASSWORD, 401),  # her extension is Jane Roe's: not built
        (ADMIN_EMAIL, ADMIN_PASSWORD, 200),
    ],
)
def test_who_gets_in(running: RunningDemo, account: str, password: str, status: int) -> None:
    assert running.sign_in(account, password)[0] == status


def test_a_change_in_the_directory_arrives(running: RunningDemo) -> None:
    _, _, browser = running.sign_in("ada.lindgren", company.PASSWORD)
    assert running.me(browser)[1]["extension"] == "1100"
    assert running.edit("phone", "ada.lindgren", "1777") == 0
    wait_until(lambda: running.me(browser)[1]["extension"] == "1777", "the new extension", 60)


def test_disabling_ends_the_session(running: RunningDemo) -> None:
    _, _, browser = running.sign_in("kim.lee", company.PASSWORD)
    assert running.me(browser)[0] == 200
    assert running.edit("disable", "kim.lee") == 0
    wait_until(lambda: running.me(browser)[0] == 401, "the session to end", 60)


@pytest.mark.browser
def test_the_pictures_of_the_readme_can_be_taken(
    running: RunningDemo, browser: Browser, tmp_path: Path
) -> None:
    taken = pictures.take(browser, running.url, tmp_path)
    assert [one.name for one in taken] == [name for name, _, _ in pictures.PICTURES]
    assert {one.name for one in pictures.IMAGES.glob("*.png")} >= {one.name for one in taken}


def test_the_port_must_be_free(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "demo.run", "--port", port, "--folder", str(tmp_path / "var")],
            capture_output=True,
            text=True,
            cwd=PROJECT,
            check=False,
        )
    assert done.returncode == 1
    assert f"Port {port} is in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_clears_no_folder_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("ten years of work")
    command = [sys.executable, "-m", "demo.run", "--port", str(free_port())]
    done = subprocess.run(
        [*command, "--folder", str(tmp_path)], capture_output=True, cwd=PROJECT, check=False
    )
    assert done.returncode == 1
    assert (tmp_path / "thesis.txt").read_text() == "ten years of work"


def _processes_of(folder: Path) -> list[str]:
    """Command lines of running processes whose environment names the folder."""
    found = []
    for one in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (one / "environ").read_bytes():
                found.append((one / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # gone meanwhile, or somebody else's
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_running(tmp_path: Path, number: signal.Signals) -> None:
    demo = RunningDemo(tmp_path / "var")
    (port,) = re.findall(r"ldap://127\.0\.0\.1:(\d+)", demo.log.read_text())
    assert len(_processes_of(demo.folder)) >= 3
    os.kill(demo.server.pid, number)
    demo.server.process.wait(30)
    wait_until(lambda: _processes_of(demo.folder) == [], "every process to end", 30)
    assert not listening("127.0.0.1", demo.port)
    assert not listening("127.0.0.1", int(port))


def test_the_demo_is_told_apart_from_what_it_inherits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KERAUNO_DATABASE_URL", "postgresql://somebody/elses")
    environment = Demo(tmp_path, 8000)._environment
    assert environment["KERAUNO_DATABASE_URL"] == f"sqlite:///{tmp_path}/kerauno.db"
