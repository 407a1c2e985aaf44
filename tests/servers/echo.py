"""A site's own app: it answers every request with what it was sent, as JSON."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.servers.process import loopback


class Echo:
    """Runs until `stop`. `requests` are the paths that reached it.

    What is posted to it is answered by a redirect to `leads_to`, where that is set.
    """

    def __init__(self) -> None:
        requests = self.requests = []  # type: list[str]
        self.leads_to = ""
        echo = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                requests.append(self.path)
                length = int(self.headers.get("Content-Length", 0))
                body = json.dumps(
                    {
                        "method": self.command,
                        "path": self.path,
                        "headers": [[name, _read(value)] for name, value in self.headers.items()],
                        "body": self.rfile.read(length).decode(),
                    }
                ).encode()
                if self.command == "POST" and echo.leads_to:
                    self.send_response(303)
                    self.send_header("Location", echo.leads_to)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815 - the name that http.server calls

            def log_message(self, *_: Any) -> None:
                pass

        self.host = loopback()
        self._server = ThreadingHTTPServer((self.host, 0), Handler)
        self.port: int = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()


def _read(value: str) -> str:
    """A header value as UTF-8."""
    return value.encode("latin-1").decode("utf-8", "replace")
