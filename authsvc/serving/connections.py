"""A client's connection, and when its time is over."""

from __future__ import annotations

import enum
import socket
from typing import Any

from authsvc.serving.arrival import Arrival

_CHUNK = 65536  # octets asked of a socket at once


class State(enum.Enum):
    """What a connection is at. The loop alone sets it, but for a thread that has answered."""

    RECEIVING = enum.auto()
    """Its next request is on its way."""
    BUSY = enum.auto()
    """Its request is being answered: it is the thread's."""
    KEPT = enum.auto()
    """It has had an answer, and nothing has come since."""
    LEAVING = enum.auto()
    """Its last answer is sent: the client is to hang up, which proves that it has read all."""


class Connection:
    """A connection to a client. `until` is when its time in its state ends, on `time.monotonic`."""

    __slots__ = ("arrival", "base", "drained", "sock", "state", "until", "watched")

    def __init__(self, sock: socket.socket, base: dict[str, Any], until: float) -> None:
        self.sock = sock
        self.base = base  # what is the same for every request, for WSGI
        self.arrival = Arrival()
        self.state = State.RECEIVING
        self.until = until
        self.watched = False  # the loop waits for what it sends
        self.drained = 0  # octets dropped since the last answer

    def receive(self) -> bytes | None:
        """What has arrived; nothing when the client has hung up; None when there is no news."""
        try:
            return self.sock.recv(_CHUNK, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def tell(self, words: bytes) -> None:
        """Send a few words, if the kernel takes them at once."""
        try:
            self.sock.send(words, socket.MSG_DONTWAIT)
        except OSError:
            pass  # who does not listen is not told

    def send_at_once(self, octets: bytes) -> None:
        """Send without waiting. Raises OSError when the kernel does not take all of it."""
        if self.sock.send(octets, socket.MSG_DONTWAIT) < len(octets):
            raise BlockingIOError("the client does not read its answers")

    def close(self) -> None:
        """Hang up."""
        self.arrival.close()
        self.sock.close()
