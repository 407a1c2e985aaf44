"""The demo directory: a process that speaks LDAP on loopback as Active Directory does.

    python -m demo.server --port 3890 --folder var/demo

It writes its certificate authority to FOLDER/ca.pem before it listens. Everything is in memory
and ends with the process.
"""

from __future__ import annotations

import argparse
import signal
import socket
import socketserver
import ssl
import threading
from pathlib import Path
from types import FrameType

from demo import ber, protocol
from demo.certificates import CertificateAuthority
from demo.domain import SERVER_NAME, Domain
from demo.operations import Operations, Session

LOOPBACK = "127.0.0.1"
MAX_MESSAGE = 10 * 1024 * 1024
IDLE_SECONDS = 900  # MaxConnIdleTime


class DirectoryServer(socketserver.ThreadingTCPServer):
    """Serves one domain. `address` port 0 takes any free port; see `server_address`."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, domain: Domain, folder: Path, address: tuple[str, int]) -> None:
        self.lock = threading.Lock()
        self.operations = Operations(domain)
        authority = CertificateAuthority("goodcompany.local demo authority")
        authority.write(folder)
        certificate, key = authority.issue(folder, [SERVER_NAME], [address[0]])
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(certificate, key)
        super().__init__(address, Connection)


class Connection(socketserver.BaseRequestHandler):
    """One client."""

    server: DirectoryServer

    def handle(self) -> None:
        """Answer until the client leaves, falls silent or breaks the protocol."""
        session, buffer = Session(), b""
        self.request.settimeout(IDLE_SECONDS)
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while received := self.request.recv(65536):
                buffer += received
                while (whole := _take(buffer)) is not None:
                    message, buffer = buffer[:whole], buffer[whole:]
                    if not self._answer(session, message):
                        return
        except (ber.Malformed, ValueError, IndexError, UnicodeDecodeError):
            self.request.sendall(protocol.disconnection("that was not LDAP"))
        except OSError:
            return  # the client is gone, or was silent for too long

    def _answer(self, session: Session, message: bytes) -> bool:
        request = protocol.read_request(message)
        if request.operation == protocol.UNBIND:
            return False
        if request.operation == protocol.ABANDON:
            return True
        if not session.encrypted and _asks_for_tls(request):
            self._start_tls(session, request)
            return True
        with self.server.lock:
            answer = b"".join(self.server.operations.answer(session, request))
        self.request.sendall(answer)
        return True

    def _start_tls(self, session: Session, request: protocol.Request) -> None:
        name = ber.octets(protocol.START_TLS, 0x8A)
        self.request.sendall(protocol.result(request.message_id, request.operation, extra=(name,)))
        self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        session.encrypted = True


def _asks_for_tls(request: protocol.Request) -> bool:
    if request.operation != protocol.EXTENDED:
        return False
    return request.parts()[0][1].decode() == protocol.START_TLS


def _take(buffer: bytes) -> int | None:
    """The size of the first message, if it has arrived whole."""
    found = ber.head(buffer)
    if found is None:
        return None
    if found[0] != ber.SEQUENCE or found[2] > MAX_MESSAGE:
        raise ber.Malformed("not an LDAP message")
    return found[2] if found[2] <= len(buffer) else None


def main() -> None:
    """Serve until a signal."""
    parser = argparse.ArgumentParser(prog="demo.server")
    parser.add_argument("--host", default=LOOPBACK)
    parser.add_argument("--port", type=int, default=3890)
    parser.add_argument("--folder", type=Path, default=Path("var/demo"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    server = DirectoryServer(Domain(), options.folder, (options.host, options.port))

    def stop(_signal: int, _frame: FrameType | None) -> None:
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    with server:
        server.serve_forever(poll_interval=0.2)


if __name__ == "__main__":
    main()
