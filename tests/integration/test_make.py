"""The commands of the Makefile say clearly what they lack."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.servers.process import PROJECT

NOBODY = "65534"


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
