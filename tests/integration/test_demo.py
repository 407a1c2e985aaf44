"""`make demo` from nothing: a company to sign in to, and nothing left of it afterwards."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest

from demo import company, edit
from demo.run import ADMIN_EMAIL, ADMIN_PASSWORD, Demo
from tests.servers.process import PROJECT, Server, free_port, listening, wait_until


class RunningDemo:
    """A demo in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder.with_suffix(".log")
        command = [sys.executable, "-m", "demo.run", "--port", str(self.port)]
        self.server = Server([*command, "--folder", str(folder)], log=self.log, cwd=PROJECT)
        self.server.wait_for(lambda: "Kerauno is running" in self.log.read_text(), 90)

    def sign_in(self, username: str, password: str) -> tuple[int, str, Any]:
        """Status, page and the browser it was done with."""
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        form = urllib.parse.urlencode({"username": username, "password": password}).encode()
        try:
            with browser.open(f"{self.url}/login", form, timeout=20) as answer:
                return answer.status, answer.read().decode(), browser
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(), browser

    def me(self, browser: Any) -> tuple[int, Any]:
        """`/api/v1/me` as that browser sees it."""
        try:
            with browser.open(f"{self.url}/api/v1/me", timeout=20) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, None

    def edit(self, *arguments: str) -> int:
        """A live change of the directory."""
        return edit.main(["--folder", str(self.folder), *arguments])


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
