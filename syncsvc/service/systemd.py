"""Tell systemd how we are (sd_notify(3)); silent where no systemd started us."""

from __future__ import annotations

import os
import socket

from kerauno.base.visible_text import visible


def notify(state: str) -> None:
    """Send `READY=1`, `WATCHDOG=1`, `STOPPING=1` or `STATUS=…`; a deaf systemd is no error.

    A state is one line: a line end in a name must not begin another.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.sendto(visible(state).encode(), address)
    except OSError:
        pass
