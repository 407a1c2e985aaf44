"""Searches with every property for what breaks it: at random, on all cores, for some minutes.

Run it with `make fuzz [MINUTES=10]`, or `.venv/bin/python -m tests.search --minutes 60 PATH...`.
What it finds it prints, and ends with an error; make each find an `@example` of its property.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

from tests.properties import PROFILE
from tests.servers.process import PROJECT

LAST_FILE = 30.0
"""Seconds that a file under way has left when the time is over."""

_PYTEST = (sys.executable, "-m", "pytest", "-q", "-m", "hypothesis", "-p", "no:cacheprovider")


def files_with_properties(paths: Sequence[str]) -> list[str]:
    """The test files below these paths that have a property. Raises `RuntimeError` where none."""
    done = subprocess.run(
        [*_PYTEST, "--collect-only", *paths], cwd=PROJECT, capture_output=True, text=True
    )
    files = sorted({line.split("::")[0] for line in done.stdout.splitlines() if "::" in line})
    if done.returncode or not files:
        raise RuntimeError(f"no properties could be collected:\n{done.stdout}{done.stderr}")
    return files


class Search:
    """Files in random order, each with a seed of its own, until the time is over."""

    def __init__(self, files: Sequence[str], minutes: float) -> None:
        self.runs = 0
        self.unfinished = 0  # searches that the end of the time broke off
        self.failed: dict[str, str] = {}  # file: the command that shows it again
        self._files = files
        self._end = time.monotonic() + 60 * minutes
        self._waiting: list[str] = []
        self._lock = threading.Lock()

    def run(self, cores: int) -> None:
        """Search on so many cores."""
        threads = [threading.Thread(target=self._work) for _ in range(cores)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self) -> None:
        while file := self._next():
            self._search(file, random.SystemRandom().randrange(2**32))

    def _next(self) -> str:
        with self._lock:
            if time.monotonic() >= self._end:
                return ""
            if not self._waiting:  # what failed is known, and would only fail again
                self._waiting = [file for file in self._files if file not in self.failed]
                random.SystemRandom().shuffle(self._waiting)
            return self._waiting.pop() if self._waiting else ""

    def _search(self, file: str, seed: int) -> None:
        command = [*_PYTEST, "-o", "timeout=3600", f"--hypothesis-seed={seed}", file]
        done = subprocess.Popen(
            command,
            cwd=PROJECT,
            env={**os.environ, PROFILE: "search"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            said, _ = done.communicate(timeout=max(1.0, self._end + LAST_FILE - time.monotonic()))
        except subprocess.TimeoutExpired:
            interrupt(done)
            with self._lock:
                self.unfinished += 1
            return
        with self._lock:
            self.runs += 1
            if done.returncode:
                self.failed[file] = f"{PROFILE}=search {' '.join(command)}"
                print(f"{said}\nAgain: {self.failed[file]}\n", flush=True)


def interrupt(process: subprocess.Popen[str]) -> None:
    """End pytest, and its servers with it.

    Again and again: an interrupt in a callback of the garbage collector is lost.
    """
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=5)


def main(arguments: Sequence[str]) -> int:
    """Search; 1 where something was found."""
    parser = argparse.ArgumentParser(prog="tests.search", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("paths", nargs="*", default=["tests"])
    options = parser.parse_args(arguments)
    search = Search(files_with_properties(options.paths), options.minutes)
    search.run(os.cpu_count() or 1)
    print(
        f"{search.runs} searches to their end, {search.unfinished} broken off by the time,"
        f" {len(search.failed)} files with a find"
    )
    for command in search.failed.values():
        print(f"  {command}")
    return 1 if search.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
