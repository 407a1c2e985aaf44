"""A relay before PostgreSQL that cuts a connection when it commits, and loses the answer."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from tests.servers.process import loopback


class CuttingRelay:
    """Passes everything on, but the answer to commit number `cut_at`."""

    def __init__(self, host: str, port: int) -> None:
        self.host = loopback()
        self.commits = 0
        self.cut_at = 0
        self._target = (host, port)
        self._lock = threading.Lock()
        self._listener = socket.create_server((self.host, 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            cut = threading.Event()
            for source, sink in ((client, server), (server, client)):
                threading.Thread(
                    target=self._pass_on, args=(source, sink, source is client, cut), daemon=True
                ).start()

    def _pass_on(
        self, source: socket.socket, sink: socket.socket, asking: bool, cut: threading.Event
    ) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if asking and b"COMMIT" in data and self._counts():
                    cut.set()
                if not asking and cut.is_set():
                    break  # it was committed, and nobody is told
                sink.sendall(data)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _counts(self) -> bool:
        with self._lock:
            self.commits += 1
            return self.commits == self.cut_at
