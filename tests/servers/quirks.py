"""A proxy before a real LDAP server that misbehaves in one chosen way.

Samba and slapd do not cut member lists, refer elsewhere or die between pages when a test wants it;
Windows and the network do. The client speaks to the proxy without encryption, the proxy to the
server over LDAPS.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dirclient.mapping.groups import plain_dn
from dirclient.wire import decode
from dirclient.wire.ber import element
from dirclient.wire.decode import Message
from tests.servers.process import loopback

BIND, UNBIND, SEARCH = 0x60, 0x42, 0x63
_LAST = (decode.BIND_RESPONSE, decode.SEARCH_DONE, decode.MODIFY_RESPONSE, decode.EXTENDED_RESPONSE)


class Broken(Exception):
    """Send this much, then close the connection."""

    def __init__(self, data: bytes = b"") -> None:
        super().__init__()
        self.data = data


class Silent(Exception):
    """Say nothing to this request, and go on."""


def entry(number: int, dn: str, attributes: dict[str, list[bytes]]) -> bytes:
    """A search result entry as it stands on the wire."""
    listed = b"".join(
        decode.tlv(
            0x30, decode.octets(name) + decode.tlv(0x31, b"".join(map(decode.octets, values)))
        )
        for name, values in attributes.items()
    )
    body = decode.octets(dn) + decode.tlv(0x30, listed)
    return decode.tlv(0x30, decode.integer(number) + decode.tlv(decode.SEARCH_ENTRY, body))


def done(number: int, code: int = 0, message: str = "") -> bytes:
    """The end of a search, without controls."""
    body = decode.integer(code, 0x0A) + decode.octets("") + decode.octets(message)
    return decode.tlv(0x30, decode.integer(number) + decode.tlv(decode.SEARCH_DONE, body))


def reference(number: int, url: str) -> bytes:
    """A continuation reference."""
    body = decode.tlv(decode.SEARCH_REFERENCE, decode.octets(url))
    return decode.tlv(0x30, decode.integer(number) + body)


class Quirk:
    """Passes everything on. Each kind of misbehaviour is a subclass.

    `searches` counts the search requests that passed. Samba shows itself as another maker's
    server, and so is asked for pages as Windows is; with `disguised` off it is not.
    """

    disguised = True

    def __init__(self) -> None:
        self.searches = 0
        self.paged = False  # whether the search under way asked for a page
        self.subtree = False  # or at least for everything below a place

    def arrival(self) -> None:
        """A client has connected. Raise `Broken` to hang up."""

    def instead(self, connection: int, data: bytes, found: Message) -> bytes | None:
        """Return what is answered in the server's place, which then hears nothing; None: ask it.

        Raise `Broken` to hang up, `Silent` to say nothing.
        """

    def request(self, data: bytes, found: Message) -> bytes:
        """A request on its way to the server."""
        if found.operation == SEARCH:
            self.searches += 1
            self.paged = decode.PAGED_RESULTS.encode() in data
            _, _, scope = element(data, found.start, found.stop)  # it comes after the base
            self.subtree = data[scope : scope + 3] == b"\x0a\x01\x02"
        return data

    def answer(self, data: bytes, found: Message) -> Iterator[bytes]:
        """An answer on its way to the client: what arrives instead."""
        yield data


class DiesAfterPages(Quirk):
    """The server dies after so many pages; it never comes back."""

    def __init__(self, pages: int) -> None:
        super().__init__()
        self.pages = pages

    def answer(self, data: bytes, found: Message) -> Iterator[bytes]:
        if found.operation == decode.SEARCH_DONE and self.paged:
            if self.pages == 0:
                raise Broken()
            self.pages -= 1
        yield data


class TornInsideEntry(Quirk):
    """The connection breaks in the middle of an entry, after so many whole ones."""

    def __init__(self, whole: int) -> None:
        super().__init__()
        self.whole = whole

    def answer(self, data: bytes, found: Message) -> Iterator[bytes]:
        if found.operation == decode.SEARCH_ENTRY and self.subtree:
            if self.whole == 0:
                raise Broken(data[: len(data) // 2])
            self.whole -= 1
        yield data


class EndsWithCode(Quirk):
    """A search of a subtree ends with a result code after so many entries, as limits do."""

    def __init__(self, code: int, entries: int) -> None:
        super().__init__()
        self.code = code
        self.entries = entries

    def answer(self, data: bytes, found: Message) -> Iterator[bytes]:
        if found.operation == decode.SEARCH_ENTRY and self.subtree:
            self.entries -= 1
            if self.entries < 0:
                return
        if found.operation == decode.SEARCH_DONE and self.entries < 0 and self.subtree:
            yield done(found.id, self.code, "limit reached")
            return
        yield data


class LimitsAnswers(Quirk):
    """Gives at most so many entries that were not asked for in pages (size limit)."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.limited = 0  # answers that were cut
        self._left = most

    def request(self, data: bytes, found: Message) -> bytes:
        self._left = self.most
        return super().request(data, found)

    def answer(self, data: bytes, found: Message) -> Iterator[bytes]:
        cut = self.subtree and not self.paged
        if cut and found.operation == decode.SEARCH_ENTRY:
            self._left -= 1
            if self._left < 0:
                return
        if cut and found.operation == decode.SEARCH_DONE and self._left < 0:
            self.limited += 1
            yield done(found.id, 4, "size limit reached")
            return
        yield data


class ForgetsTheCookie(Quirk):
    """A server that does not know paging: the first page ends as if it were everything."""

    def answer(self, data: bytes, found: Message) -> Iterator[bytes]:
        ends = found.operation == decode.SEARCH_DONE and self.paged
        yield done(found.id) if ends else data


class Refers(Quirk):
    """Each search brings a reference to another place along."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    def answer(self, data: bytes, found: Message) -> Iterator[bytes]:
        if found.operation == decode.SEARCH_DONE:
            yield reference(found.id, self.url)
        yield data


class HidesEntries(Quirk):
    """Entries whose DN looks like this are missing, and the search is a success."""

    def __init__(self, pattern: str) -> None:
        super().__init__()
        self.pattern = pattern

    def answer(self, data: bytes, found: Message) -> Iterator[bytes]:
        if found.operation == decode.SEARCH_ENTRY:
            dn = plain_dn(decode.entry(data, found.start, found.stop).dn)
            if re.match(self.pattern, dn):
                return
        yield data


_RANGE = re.compile(rb"member;range=(\d+)-\*", re.IGNORECASE)


class CutsMembers(Quirk):
    """Gives at most so many members at once, as Windows does (MS-ADTS 3.1.1.3.1.3.3).

    `forgetful`: the second part of a list never comes. `parts` counts the further parts asked.
    """

    def __init__(self, limit: int = 1500, *, forgetful: bool = False) -> None:
        super().__init__()
        self.limit = limit
        self.forgetful = forgetful
        self.parts = 0
        self._from: dict[int, int] = {}

    def request(self, data: bytes, found: Message) -> bytes:
        data = super().request(data, found)
        wanted = _RANGE.search(data)
        if wanted is None:
            self._from[found.id] = 0
            return data
        self.parts += 1
        self._from[found.id] = int(wanted[1])
        name = b"member"
        old, new = decode.octets(wanted[0]), decode.octets(name)
        body = data[found.start : found.stop]
        at = body.rindex(decode.tlv(0x30, old))
        body = body[:at] + decode.tlv(0x30, new)
        rest = data[found.stop : found.end]
        return decode.tlv(0x30, decode.integer(found.id) + decode.tlv(SEARCH, body) + rest)

    def answer(self, data: bytes, found: Message) -> Iterator[bytes]:
        if found.operation != decode.SEARCH_ENTRY:
            yield data
            return
        one = decode.entry(data, found.start, found.stop)
        values = one.attributes.get("member", [])
        start = self._from[found.id]
        if len(values) <= self.limit and not start:
            yield data
            return
        del one.attributes["member"]
        part = values[start : start + self.limit]
        last = "*" if start + self.limit >= len(values) else str(start + len(part) - 1)
        if not start:
            one.attributes["member"] = []
        if not (start and self.forgetful):
            one.attributes[f"member;range={start}-{last}"] = part
        yield entry(found.id, one.dn, one.attributes)


class QuirkyServer:
    """The proxy. `quirk` can be exchanged at any time; `stop()` ends it, `restart()` begins anew.

    `accepted` counts connections, which are numbered by it.
    """

    port = 389

    def __init__(self, host: str, tls_port: int, ca_file: Path, tls_name: str) -> None:
        self.host = loopback()
        self.quirk = Quirk()
        self._upstream = (host, tls_port)
        self._context = ssl.create_default_context(cafile=ca_file)
        self._tls_name = tls_name
        self.accepted = 0
        self._open: list[socket.socket] = []
        self.restart()

    def profile(self, honest: dict[str, Any]) -> dict[str, Any]:
        """The honest server's profile, through this proxy."""
        return honest | {
            "servers": (self.host,),
            "port": self.port,
            "encryption": "none",
            "plaintext_accepted": True,
        }

    def restart(self) -> None:
        """Listen (again) on the port."""
        self._listener = socket.create_server((self.host, self.port), backlog=64)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self) -> None:
        """Close everything; the port answers no more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self, farewell: bytes = b"") -> None:
        """Close every connection, after these last words."""
        while self._open:
            client = self._open.pop()
            with contextlib.suppress(OSError):
                client.sendall(farewell)
                client.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                self.accepted += 1
                self._open.append(client)
                threading.Thread(
                    target=self._serve, args=(client, self.accepted), daemon=True
                ).start()

    def _serve(self, client: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError, StopIteration, Broken), client:
            self.quirk.arrival()
            plain = socket.create_connection(self._upstream, 10)
            for one in (client, plain):  # else small messages wait for the other side's word
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._context.wrap_socket(plain, server_hostname=self._tls_name) as server:
                self._converse(client, server, number)

    def _converse(self, client: socket.socket, server: socket.socket, number: int) -> None:
        requests, answers = _messages(client), _messages(server)
        while True:
            data, found = next(requests)
            if found.operation == UNBIND:
                return
            try:
                own = self.quirk.instead(number, data, found)
            except Silent:
                continue
            if own is not None:
                client.sendall(own)
                continue
            server.sendall(self.quirk.request(data, found))
            while True:
                data, found = next(answers)
                if self.quirk.disguised:
                    data = data.replace(b"Samba Team", b"Other Team")
                try:
                    for changed in self.quirk.answer(data, found):
                        client.sendall(changed)
                except Broken as torn:
                    client.sendall(torn.data)
                    return
                if found.operation in _LAST:
                    break


def _messages(sock: socket.socket) -> Iterator[tuple[bytes, Message]]:
    """Whole messages as they arrive."""
    data = b""
    while True:
        while data and (stop := decode.frame_end(data, 0)) <= len(data):
            one, data = data[:stop], data[stop:]
            yield one, decode.message(one, 0, stop)
        chunk = sock.recv(1 << 20)
        if not chunk:
            return
        data += chunk
