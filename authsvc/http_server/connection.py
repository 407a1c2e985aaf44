"""A client's connection, and when its time is over."""

from __future__ import annotations

import enum
import select
import socket
import struct
import sys
from typing import Any

from authsvc.http_server.request_parser import RequestParser

_CHUNK = 65536  # octets asked of a socket at once
_UNSENT_LIMIT = 1024 * 1024
"""Octets of an answer that may wait for their client without a thread's waiting along."""
_AT_ONCE = struct.pack("ii", 1, 0)  # linger for no second: a reset instead of an end
_SEND_WITHIN = 20_000  # milliseconds for a client to take in some of what it is sent


class State(enum.Enum):
    """The state of a connection. Only the loop sets it, or a thread that has answered."""

    RECEIVING = enum.auto()
    """Its next request is on its way."""
    BUSY = enum.auto()
    """Its request is being answered: it is the thread's."""
    SENDING = enum.auto()
    """Its answer is there, and the client takes it in slowly."""
    KEPT = enum.auto()
    """It has had an answer, and nothing has come since."""
    LEAVING = enum.auto()
    """Its last answer is sent: the client is to hang up, which proves that it has read all."""


class Connection:
    """A connection to a client. `until` is when its time in its state ends, on `time.monotonic`."""

    __slots__ = (
        *("parser", "base", "broken", "drained", "keep", "large"),
        *("sock", "state", "unsent", "until", "watched"),
    )

    def __init__(self, sock: socket.socket, base: dict[str, Any], until: float) -> None:
        self.sock = sock
        self.base = base  # what is the same for every request, for WSGI
        self.parser = RequestParser()
        self.state = State.RECEIVING
        self.until = until
        self.watched = False  # the loop waits for what it sends, or for room to send
        self.unsent = bytearray()  # of its answer, what the kernel has not taken yet
        self.broken = False  # whether its answer was not whole
        self.keep = True  # whether more may be asked on it, once its answer is sent
        self.large = 0  # octets of the body that is being answered, where they are many
        self.drained = 0  # octets dropped since the last answer

    def receive(self) -> bytes | None:
        """Return what has arrived; nothing when the client has hung up; None when there is no
        news."""
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
        """Send what the kernel takes at once; the rest is `unsent`. Raises OSError."""
        if not self.unsent:
            sent = self._push(octets)
            if sent == len(octets):
                return
            octets = octets[sent:]
        self.unsent += octets

    def send(self, octets: bytes) -> None:
        """The same, for a thread: it waits where too much is unsent. Raises OSError."""
        self.send_at_once(octets)
        while len(self.unsent) > _UNSENT_LIMIT:
            room = select.poll()
            room.register(self.sock, select.POLLOUT)
            if not room.poll(_SEND_WITHIN):
                raise TimeoutError("the client does not read its answer")
            self.send_more()

    def send_more(self) -> None:
        """Send of what is unsent as much as the kernel takes at once. Raises OSError."""
        del self.unsent[: self._push(self.unsent)]

    def break_off(self) -> None:
        """Have `close` tell that what was sent is not whole, which a mere end would not tell."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)

    def close(self) -> None:
        """Hang up."""
        self.parser.close()
        self.sock.close()

    def _push(self, octets: bytes | bytearray) -> int:
        try:
            return self.sock.send(octets, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0


def common_environ(address: Any, several: bool) -> dict[str, Any]:
    """For WSGI, what is the same for every request that comes through a listening socket.

    `address` is the socket's; `several` is whether other processes serve the application, too.
    """
    host, port = (address, "") if isinstance(address, (str, bytes)) else address[:2]
    return {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": several,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "SCRIPT_NAME": "",
        "SERVER_NAME": str(host),
        "SERVER_PORT": str(port),
    }
