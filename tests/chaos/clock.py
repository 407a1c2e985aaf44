"""Moves the wall clock of Kerauno's processes, by a small library that they preload."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

_SOURCE = Path(__file__).with_suffix(".c")


class Clock:
    """The wall clock of every process that has `environ`. Steady clocks stay as they are."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        library, self._file = folder / "clock.so", folder / "seconds"
        compiler = ("gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE))
        subprocess.run(compiler, check=True)
        self._file.write_bytes(bytes(8))
        self.environ = {"LD_PRELOAD": str(library), "CHAOS_CLOCK": str(self._file)}

    def move(self, seconds: int) -> None:
        """Set the clock so far off the true time, for everyone at once."""
        with self._file.open("r+b") as file:  # the same file: it is mapped
            file.write(struct.pack("=q", seconds))
