"""Output of the command at a terminal, and its messages to systemd."""

from __future__ import annotations

import contextlib
import os
import pty
import socket
from pathlib import Path

import pytest

from syncsvc import cli
from syncsvc.service import systemd


def test_a_long_run_shows_a_progress_bar_where_standard_error_is_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as terminal:
        monkeypatch.setattr("sys.stderr", terminal)
        monkeypatch.setenv("TERM", "xterm")
        with cli._bar() as progress:
            assert progress is not None
            progress("applying", 5, 10)
    shown = ""
    with contextlib.suppress(OSError):  # EIO: the terminal is closed and all of it was read
        while chunk := os.read(master, 65536):
            shown += chunk.decode()
    os.close(master)
    assert "applying" in shown
    assert "5/10" in shown


def test_elsewhere_it_shows_none() -> None:
    with cli._bar() as progress:
        assert progress is None


def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(address)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        systemd.notify("READY=1")
        assert channel.recv(100) == b"READY=1"
        systemd.notify("STATUS=Alarm: OU=Sales\nMAINPID=1\ud800 is away")
        assert channel.recv(100).decode() == "STATUS=Alarm: OU=Sales␊MAINPID=1[U+D800] is away"
    systemd.notify("WATCHDOG=1")  # nobody listens any more: no error
    monkeypatch.delenv("NOTIFY_SOCKET")
    systemd.notify("STOPPING=1")
