"""Runs the product's commands, each in a process of its own, without importing anew each time.

The processes are forked from one that has the product imported: arguments, environment, folder,
streams and exit code are real; the second that Python takes to import everything is spared.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    ["authsvc.cli", "authsvc.cli.check", "syncsvc.cli", "dirclient.client", "alembic.config"]
)


def run(
    arguments: Sequence[str], *, stdin: str, env: Mapping[str, str], cwd: Path, timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end. Raises TimeoutExpired, and ends it, after `timeout` seconds."""
    with tempfile.TemporaryDirectory(prefix="kerauno-command-") as scratch:
        streams = [Path(scratch, name) for name in ("stdin", "stdout", "stderr")]
        streams[0].write_text(stdin)
        process = _context.Process(
            target=_command, args=(list(arguments), streams, dict(env), cwd), daemon=True
        )
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(list(arguments), timeout)
        printed = [one.read_text() if one.exists() else "" for one in streams[1:]]
        return subprocess.CompletedProcess(list(arguments), process.exitcode, *printed)


def _command(arguments: list[str], streams: list[Path], env: dict[str, str], cwd: Path) -> None:
    """Become the command; in the forked process."""
    for number, path in enumerate(streams):
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(handle, number)
        os.close(handle)
    sys.stdin = os.fdopen(0)  # multiprocessing has put another there; output follows the handles
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.argv = list(arguments)
    importlib.import_module(f"{arguments[0]}.cli").main()
