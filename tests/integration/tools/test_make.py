"""The commands of the Makefile say clearly what they lack, and end as what they ran ended."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.servers.process import PROJECT

NOBODY = "65534"
AWAY = 75


def test_without_a_python_make_says_so(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "requirements"):
        (tmp_path / name).symlink_to(PROJECT / name)
    done = subprocess.run(
        ["make", "setup", "PYTHON="], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "needs Python 3.11 or later" in done.stderr


def test_without_root_each_missing_package_is_named() -> None:
    with tempfile.TemporaryDirectory() as folder:  # not tmp_path, which others may not enter
        tools = Path(folder)
        tools.chmod(0o755)
        for name in ("sh", "id", "sed", "cat"):
            (tools / name).symlink_to(str(shutil.which(name)))
        command = [str(tools / "sh")]
        if os.geteuid() == 0:
            become = ("--reuid", NOBODY, "--regid", NOBODY, "--clear-groups")
            command = [str(shutil.which("setpriv")), *become, "--", *command]
        done = subprocess.run(
            command,
            input=(PROJECT / "tests" / "packages.sh").read_text(),
            env={"PATH": folder},
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    lines = {line.strip() for line in done.stderr.splitlines()}
    assert {"wrk", "curl", "nodejs", "npm", "krb5-user"} <= lines
    assert "make check" in done.stderr


def write_program(file: Path, body: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)


@pytest.mark.parametrize(
    ("here", "fresh", "status", "warned"),
    [
        (0, 0, 0, False),
        (2, 0, 2, False),
        (0, 2, 2, False),
        (0, AWAY, 0, True),
        (AWAY, 0, 75, False),
    ],
)
def test_ci_fails_with_either_run_but_not_for_a_mirror_that_is_away(
    tmp_path: Path, here: int, fresh: int, status: int, warned: bool
) -> None:
    shutil.copytree(PROJECT / ".ci", tmp_path / ".ci")
    write_program(tmp_path / "bin" / "make", f"exit {here}")
    write_program(tmp_path / "tests" / "fresh.sh", f"exit {fresh}")
    done = subprocess.run(
        ["bash", str(tmp_path / ".ci" / "run")],
        env={"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "CI": "true", "CI_FRESH": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "mirrors were away" in done.stderr) == (status, warned)


@pytest.mark.parametrize(
    ("said", "ended", "status", "tries"),
    [
        ("Err:1 Temporary failure resolving 'mirror'", 100, AWAY, 4),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", 1, 1, 1),
        ("", 0, 0, 3),  # apt-get update, make ready, and the command
    ],
)
def test_a_fresh_machine_tries_again_only_for_the_network(
    tmp_path: Path, said: str, ended: int, status: int, tries: int
) -> None:
    tools, root = tmp_path / "bin", tmp_path / "kerauno-fresh" / "trixie"
    calls = tmp_path / "calls"
    write_program(tools / "id", "echo 0")
    write_program(tools / "sleep", "exit 0")
    write_program(
        tools / "git",
        'for one; do case $one in --output=*) tar -cf "${one#*=}" -T /dev/null;; esac; done',
    )
    write_program(tools / "apt-get", "exit 0")
    write_program(tools / "apt-config", "exit 0")
    write_program(
        tools / "unshare",
        f'[ "$5" = true ] || [ "$4" = true ] && exit 0\necho x >>{calls}\n'
        f'echo "{said}"\nexit {ended}',
    )
    for folder in ("root", "tmp", "var/tmp", "etc/ssl/certs", "etc/apt/apt.conf.d"):
        (root / folder).mkdir(parents=True)
    summed = subprocess.run(
        ["cksum"],
        input=(PROJECT / "tests" / "packages.sh").read_bytes(),
        capture_output=True,
        check=True,
    ).stdout.decode()
    base = (PROJECT / "tests" / "fresh.sh").read_text().partition("BASE=")[2].partition("\n")[0]
    (tmp_path / "kerauno-fresh" / "trixie.made").write_text(f"{base} {summed}")
    done = subprocess.run(
        ["sh", "tests/fresh.sh", "trixie", "make", "test"],
        cwd=PROJECT,
        env={"PATH": f"{tools}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, len(calls.read_text().split())) == (status, tries), done.stderr
    assert ("PACKAGES COULD NOT BE FETCHED" in done.stderr) == (status == AWAY)
