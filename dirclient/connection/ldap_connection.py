"""One LDAP connection: one operation in flight, every operation within its time, errors wrapped.

Nothing of `socket` or `ssl` gets past this module: what goes wrong is `Unavailable` (try later),
`Misconfigured` (an administrator must act) or `Incomplete` (a read that was torn).
"""

from __future__ import annotations

import contextlib
import math
import select
import socket
import ssl
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dirclient.connection import result_codes
from dirclient.connection.outages import BindLost, NotSent, TimedOut, Torn, reason
from dirclient.model.deadline import patience, remaining
from dirclient.model.errors import Misconfigured, Unavailable
from dirclient.wire import decode, encode
from dirclient.wire.decode import Control, Entry, Malformed, Message, Result
from dirclient.wire.filters import EVERYTHING, Filter

__all__ = [
    "Connection",
    "Control",
    "Entry",
    "Result",
    "SearchResult",
]

BASE_SECONDS = 10.0
"""Longest time for an answer about one object: no work of the server's takes so long."""

_CHUNK = 65536  # octets asked of the socket at once


@dataclass(slots=True)
class SearchResult:
    """The result of one search request, whatever its result code says."""

    entries: list[Entry] = field(default_factory=list)
    code: int = 0
    message: str = ""
    referrals: int = 0  # continuation references to other domains, counted and never followed
    controls: dict[str, bytes | None] = field(default_factory=dict)


class _Operation:
    """Exactly one request at a time, by a new message number; the unexpected closes for good."""

    __slots__ = ("_busy", "_connection")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._busy = threading.Lock()

    @property
    def in_flight(self) -> bool:
        """Return whether one has begun and not ended."""
        return self._busy.locked()

    def __enter__(self) -> int:
        if not self._busy.acquire(blocking=False):
            raise RuntimeError("an operation is already in flight on this connection")
        connection = self._connection
        if connection.closed:
            self._busy.release()
            raise NotSent(f"The connection to {connection.server} is closed.")
        connection.operations += 1
        connection.began = time.monotonic()
        return connection.next_id()

    def __exit__(self, kind: object, fault: BaseException | None, _: object) -> None:
        self._busy.release()
        if fault is None:
            self._connection.used = time.monotonic()
            return
        # An answer may still be under way: nobody else may read it. And not a word more: it could
        # complete a request of which only a part went out.
        self._connection.close(goodbye=False)
        if isinstance(fault, Malformed):
            server = self._connection.server
            raise Torn(f"{server} sent something that is not LDAP: {fault}.") from fault


class PendingSearch:
    """A search that has been sent, with as much of its `answer` as was read so far."""

    __slots__ = ("_connection", "_number", "answer")

    def __init__(self, connection: Connection, number: int) -> None:
        self._connection = connection
        self._number = number
        self.answer = SearchResult()

    def read(self, portion: float = math.inf) -> bool:
        """Read on, to the end or until so many entries are in `answer`; whether it was the end."""
        return self._connection.collect(self._number, self._connection.end(), self.answer, portion)


class Connection:
    """One open connection to one server. Not for two threads at once: the pool lends it to one.

    `operations` counts the requests sent on it (StartTLS not, binds included), `referrals` the
    continuation references that came back and were passed over.
    """

    def __init__(
        self, sock: socket.socket, server: str, *, encrypted: bool, operation_timeout: float
    ) -> None:
        self.server = server
        self.encrypted = encrypted
        self.operations = 0
        self.referrals = 0
        self.opened = self.began = self.used = time.monotonic()
        self.closed = False
        self.rank = self.epoch = self.counted = 0  # the pool's own notes
        self._sock = sock
        self._timeout = operation_timeout
        self._wait = math.inf  # the socket's own timeout as last set; infinite: unknown
        self._data = b""
        self._at = 0
        self._id = 0
        self._operation = _Operation(self)
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN | select.POLLHUP | select.POLLERR)

    @property
    def busy(self) -> bool:
        """Return whether an operation is in flight: its answer has not been read to its end."""
        return self._operation.in_flight

    # -- operations

    def bind(self, name: str, password: str) -> None:
        """One simple bind. Raises `Refused`, `Unsuited` (encryption wanted), `Unavailable`.

        The name and the password must not be empty (RFC 4513 5.1.1, 5.1.2): ValueError before
        anything is sent, for an unauthenticated bind may succeed and proves nothing.
        """
        secret = password.encode("utf-8", "surrogatepass")
        if not name or not secret or b"\0" in secret:
            raise ValueError("a bind needs a name and a password")
        end = self.end()
        sent = False
        try:
            with self._operation as number:
                self._send(encode.bind_request(number, name, secret), end)
                sent = True
                answer = self._answer(number, decode.BIND_RESPONSE, end)
        except Unavailable as why:
            why.was_sent = sent
            raise
        if answer.code != result_codes.SUCCESS:
            raise result_codes.refusal(self.server, answer.code, answer.message)

    def search(
        self,
        base: str,
        filter: Filter = EVERYTHING,
        attributes: Iterable[str] = (),
        scope: str = "subtree",
        controls: Sequence[Control] = (),
        deadline: float | None = None,
        *,
        size_limit: int = 0,
        expecting: Collection[int] = (),
    ) -> SearchResult:
        """One search request; no attributes named means none, `*` all.

        Returns what came with success or with a result code that the caller is `expecting`; raises
        `Unavailable` for any other (see `adcodes.unanswered`) and when the connection is torn.
        `deadline` is an instant of `time.monotonic()`; without one the operation timeout holds.
        """
        names = tuple(attributes) or ("1.1",)
        end = self.end(deadline)
        if scope == "base":
            end = min(end, time.monotonic() + BASE_SECONDS)
        with self._operation as number:
            self._send(
                encode.search_request(
                    number, base, scope, filter.encode(), names, controls, size_limit=size_limit
                ),
                end,
            )
            gathered = SearchResult()
            self.collect(number, end, gathered)
        if gathered.code != result_codes.SUCCESS and gathered.code not in expecting:
            raise self.unanswered(gathered)
        return gathered

    def unanswered(self, answer: SearchResult) -> Unavailable:
        """The error that the result code of a search means. Closes what is bound no more."""
        why = result_codes.unanswered(self.server, answer.code, answer.message)
        if isinstance(why, BindLost):
            self.close()
        return why

    @contextlib.contextmanager
    def asked(
        self,
        base: str,
        filter: Filter,
        attributes: Iterable[str],
        controls: Sequence[Control] = (),
    ) -> Iterator[PendingSearch]:
        """A search of a subtree that has been sent; the block reads its answer to the end.

        Nothing else can be asked on this connection until then. Leaving the block by an exception
        closes the connection. Raises `Unavailable` when it is torn. See
        `dirclient.connection.paged_search`.
        """
        with self._operation as number:
            request = encode.search_request(
                number, base, "subtree", filter.encode(), tuple(attributes), controls
            )
            self._send(request, self.end())
            yield PendingSearch(self, number)

    def modify(self, dn: str, changes: Sequence[tuple[str, str, Sequence[bytes]]]) -> Result:
        """One modification: (add | delete | replace, attribute, values) in order.

        Raises `Declined` where the server did not make it and another one may.
        """
        end = self.end()
        with self._operation as number:
            self._send(encode.modify_request(number, dn, changes), end)
            answer = self._answer(number, decode.MODIFY_RESPONSE, end)
        why = result_codes.unwritten(self.server, answer.code, answer.message)
        if why is None:
            return answer
        if isinstance(why, BindLost):
            self.close()
        raise why

    def extended(self, oid: str, value: bytes | None = None) -> Result:
        """One extended operation, whatever its result code."""
        end = self.end()
        with self._operation as number:
            self._send(encode.extended_request(number, oid, value), end)
            return self._answer(number, decode.EXTENDED_RESPONSE, end)

    def start_tls(self, context: ssl.SSLContext, name: str) -> None:
        """Encrypt from here on (RFC 4511 4.14); `name` is what the certificate must show."""
        answer = self.extended(decode.START_TLS)
        self.operations -= 1
        if answer.code != result_codes.SUCCESS:
            raise Misconfigured(
                f"{self.server} does not offer StartTLS (result code {answer.code}).",
                field="encryption",
                remedy="Install a certificate on the server, or choose LDAPS with port 636.",
            )
        if self._at != len(self._data):
            raise Unavailable(f"{self.server} spoke before encryption began.")
        self._poll.unregister(self._sock)
        self._sock.settimeout(max(0.001, remaining(self._timeout)))
        self._sock = context.wrap_socket(self._sock, server_hostname=name)
        self._wait = math.inf
        self._poll.register(self._sock, select.POLLIN | select.POLLHUP | select.POLLERR)
        self.encrypted = True

    def certificate_octets(self) -> bytes | None:
        """The server's certificate (DER), verified or not; None where nothing is encrypted."""
        if not isinstance(self._sock, ssl.SSLSocket):
            return None
        return self._sock.getpeercert(binary_form=True)

    def protocol(self) -> str:
        """The version of TLS that was agreed on, such as `TLSv1.3`; empty where there is none."""
        return (self._sock.version() or "") if isinstance(self._sock, ssl.SSLSocket) else ""

    def alive(self) -> bool:
        """Return whether nothing has arrived unasked: neither the end nor a notice of
        disconnection.

        Costs one poll. After a TLS 1.3 handshake tickets may wait to be read: they are no news.
        """
        if self.closed or self._at != len(self._data):
            return False
        if not self._poll.poll(0):
            return True
        if not isinstance(self._sock, ssl.SSLSocket):
            return False
        try:
            self._wait = math.inf
            self._sock.setblocking(False)
            self._sock.recv(1)
        except ssl.SSLWantReadError:
            return True
        except OSError:
            return False
        return False

    def certificate(self) -> Mapping[str, object]:
        """The server's verified certificate as `ssl` tells it; empty without encryption."""
        certificate = self._sock.getpeercert() if isinstance(self._sock, ssl.SSLSocket) else None
        return dict(certificate or {})

    def close(self, *, goodbye: bool = True) -> None:
        """Say goodbye where that is possible without waiting, and free the socket. Idempotent."""
        if self.closed:
            return
        self.closed = True
        if goodbye:
            with contextlib.suppress(OSError, ValueError):
                self._sock.setblocking(False)
                self._sock.send(encode.unbind_request(self.next_id()))
        with contextlib.suppress(OSError):
            self._sock.close()

    # -- mechanics

    def next_id(self) -> int:
        """The next message number."""
        self._id = self._id + 1 if self._id < 0x7FFFFFFF else 1
        return self._id

    def end(self, deadline: float | None = None) -> float:
        """The instant of `time.monotonic()` by which what begins now must have ended."""
        now = time.monotonic()
        end = now + patience(self._timeout)
        return end if deadline is None else min(deadline, end)

    def _send(self, request: bytes, end: float) -> None:
        """Hand all of it to the kernel. A part is never acted on, so a failure is `NotSent`."""
        try:
            left = max(0.001, end - time.monotonic())
            if not left - 0.05 < self._wait <= left + 0.01:  # each setting is a call to the kernel
                self._sock.settimeout(left)
                self._wait = left
            self._sock.sendall(request)
        except OSError as gone:
            raise NotSent(f"{self.server} could not be written to: {reason(gone)}.") from gone

    def _fill(self, until: int, end: float) -> None:
        """Read until the buffer, cut to what is still unread, holds `until` octets."""
        chunks = [self._data[self._at :]]
        have = len(chunks[0])
        self._data, self._at = b"", 0
        while have < until:
            left = end - time.monotonic()
            if left <= 0:
                raise self._timed_out()
            try:
                if left < self._wait - 0.05:
                    self._sock.settimeout(left)
                    self._wait = left
                chunk = self._sock.recv(_CHUNK)
            except TimeoutError as late:
                raise self._timed_out() from late
            except OSError as gone:
                raise Torn(f"{self.server} broke off: {reason(gone)}.") from gone
            if not chunk:
                raise Torn(f"{self.server} closed the connection.")
            chunks.append(chunk)
            have += len(chunk)
        self._data = b"".join(chunks)

    def _timed_out(self) -> TimedOut:
        seconds = time.monotonic() - self.began
        return TimedOut(f"{self.server} did not answer in {seconds:.1f} s.", seconds=seconds)

    def _message(self, end: float) -> Message:
        """The next message, complete."""
        while True:
            stop = decode.frame_end(self._data, self._at)
            if stop <= len(self._data):
                message = decode.message(self._data, self._at, stop)
                self._at = stop
                return message
            self._fill(stop - self._at, end)

    def _expect(self, number: int, message: Message) -> None:
        """Only answers to our one request may come, or word that the server hangs up."""
        if message.id == number:
            return
        if message.id == 0 and message.operation == decode.EXTENDED_RESPONSE:
            notice = decode.result(self._data, message)
            raise Torn(
                f"{self.server} ends the connection (result code {notice.code}): {notice.message}"
            )
        raise Malformed(f"an answer to request {message.id} instead of {number}")

    def _answer(self, number: int, expected: int, end: float) -> Result:
        """The one response to a request that has one."""
        while True:
            message = self._message(end)
            self._expect(number, message)
            if message.operation == expected:
                return decode.result(self._data, message)
            if message.operation != decode.INTERMEDIATE_RESPONSE:
                raise Malformed(f"a response of kind {message.operation:#x}")

    def collect(
        self, number: int, end: float, gathered: SearchResult, portion: float = math.inf
    ) -> bool:
        """Gather entries and references up to the result of the search.

        Stops before it where a portion has come together; whether it was reached.
        """
        entries = gathered.entries
        while True:
            self._at = decode.entries(self._data, self._at, number, entries)
            if len(entries) >= portion:
                return False
            stop = decode.frame_end(self._data, self._at)
            if stop > len(self._data):  # often an entry, which is for `wire.entries` again
                self._fill(stop - self._at, end)
                continue
            message = self._message(end)
            if message.id != number:
                self._expect(number, message)
            if message.operation == decode.SEARCH_ENTRY:
                entries.append(decode.entry(self._data, message.start, message.stop))
            elif message.operation == decode.SEARCH_DONE:
                done = decode.result(self._data, message)
                gathered.code, gathered.message = done.code, done.message
                gathered.controls = done.controls
                self.referrals += gathered.referrals
                return True
            elif message.operation == decode.SEARCH_REFERENCE:
                gathered.referrals += bool(decode.references(self._data, message))
            elif message.operation != decode.INTERMEDIATE_RESPONSE:
                raise Malformed(f"a response of kind {message.operation:#x}")
