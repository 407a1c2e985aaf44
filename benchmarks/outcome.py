"""A benchmark that did not do what it measures says so, and gives no figure for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from benchmarks.load import Figures


class Failed(Exception):
    """The measured event did not happen. `str()` says what happened instead."""


def require(condition: bool, what: str) -> None:
    """Raise `Failed` with `what`, unless the condition holds."""
    if not condition:
        raise Failed(what)


def require_good(figures: Figures, what: str) -> Figures:
    """Return the figures. Raise `Failed` if a job among them did not go as it should."""
    require(
        not figures.errors,
        f"{what}: {figures.errors} of {figures.count} went wrong"
        + (f", such as: {figures.fault}" if figures.fault else ""),
    )
    return figures


def ends_loudly(name: str, work: Callable[[], None]) -> None:
    """Do the work of a benchmark's command. A failure is one clear line and a non-zero exit."""
    try:
        work()
    except subprocess.CalledProcessError as error:
        written = (error.stderr or error.stdout or "").strip()
        command = error.cmd if isinstance(error.cmd, str) else error.cmd[0]
        sys.exit(f"{name} FAILED: {command} ended with {error.returncode} {written[-400:]}")
    except (Failed, RuntimeError, OSError) as error:
        sys.exit(f"{name} FAILED: {error or type(error).__name__}")
