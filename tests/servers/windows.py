"""A proxy before Samba that answers as Windows does, and has the bad days that Windows has.

    with windows(samba_dc) as dc:
        dc.fault = CannotJudge("51f")

What Windows does always: at most 1,500 values of `member` and 1,000 entries in an answer. What it
does on bad days are the faults below; each holds while it is the proxy's `fault`.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from demo import company
from dirclient.wire import decode
from dirclient.wire.decode import Message
from tests.servers import quirks
from tests.servers.quirks import BIND, SEARCH, Broken, Quirk, QuirkyServer, Silent
from tests.servers.samba import SambaDC

MODIFY, EXTENDED = 0x66, 0x77
_RESPONSES = {
    BIND: decode.BIND_RESPONSE,
    SEARCH: decode.SEARCH_DONE,
    MODIFY: decode.MODIFY_RESPONSE,
    EXTENDED: decode.EXTENDED_RESPONSE,
}
MEMBERS, PAGE = 1500, 1000
"""MaxValRange and MaxPageSize (MS-ADTS 3.1.1.3.4.6)."""


def response(number: int, operation: int, code: int, message: str = "") -> bytes:
    """The answer to a request, of which nothing but the code is to be known."""
    body = decode.integer(code, 0x0A) + decode.octets("") + decode.octets(message)
    return decode.tlv(0x30, decode.integer(number) + decode.tlv(_RESPONSES[operation], body))


def farewell(code: int = 52) -> bytes:
    """A notice of disconnection (RFC 4511 4.4.1)."""
    body = decode.integer(code, 0x0A) + decode.octets("") + decode.octets("going down")
    body += decode.tlv(0x8A, decode.DISCONNECTION.encode())
    return decode.tlv(0x30, decode.integer(0) + decode.tlv(decode.EXTENDED_RESPONSE, body))


def is_of_a_person(data: bytes, found: Message) -> bool:
    """Return whether a request is a bind by GUID, as people are signed in and the service account
    not."""
    return found.operation == BIND and b"<GUID=" in data


class Fault:
    """None. Each kind is a subclass; what it leaves as it is, Samba answers."""

    def begin(self, server: QuirkyServer) -> None:
        """The bad day begins."""

    def end(self, server: QuirkyServer) -> None:
        """And ends."""

    def arrival(self) -> None:
        """See `Quirk.arrival`."""

    def instead(self, connection: int, data: bytes, found: Message) -> bytes | None:
        """See `Quirk.instead`."""

    def answer(self, data: bytes, found: Message) -> Iterator[bytes]:
        """See `Quirk.answer`."""
        yield data

    def __repr__(self) -> str:
        return type(self).__name__


class Away(Fault):
    """The port is closed, and every connection was cut."""

    def begin(self, server: QuirkyServer) -> None:
        server.stop()

    def end(self, server: QuirkyServer) -> None:
        server.restart()


class HangsUp(Fault):
    """Whoever connects is hung up on at once."""

    def begin(self, server: QuirkyServer) -> None:
        server.cut()

    def arrival(self) -> None:
        raise Broken()


class Leaves(Fault):
    """Every connection is cut once: with a notice of disconnection, or as an idle one is."""

    def __init__(self, notice: bytes) -> None:
        self.notice = notice

    def begin(self, server: QuirkyServer) -> None:
        server.cut(self.notice)


class Hangs(Fault):
    """Requests that are concerned get no answer. The root DSE of a server that lives has one."""

    def __init__(self, name: str, concerns: Callable[[bytes, Message], bool]) -> None:
        self.name = name
        self.concerns = concerns

    def instead(self, connection: int, data: bytes, found: Message) -> bytes | None:
        if self.concerns(data, found):
            raise Silent()
        return None

    def __repr__(self) -> str:
        return self.name


class Answers(Fault):
    """Requests that are concerned are answered with this code and message."""

    def __init__(
        self, code: int, concerns: Callable[[bytes, Message], bool], message: str = ""
    ) -> None:
        self.code = code
        self.concerns = concerns
        self.message = message

    def instead(self, connection: int, data: bytes, found: Message) -> bytes | None:
        if not self.concerns(data, found):
            return None
        return response(found.id, found.operation, self.code, self.message)

    def __repr__(self) -> str:
        return f"answers {self.code}"


class CannotJudge(Answers):
    """A person's password cannot be judged: result 49 with this sub-code."""

    def __init__(self, data: str) -> None:
        message = "80090308: LdapErr: DSID-0C090569, comment: AcceptSecurityContext error, data {}"
        super().__init__(49, is_of_a_person, f"{message.format(data)}, v4f7c\0")
        self.data = data

    def __repr__(self) -> str:
        return f"data {self.data}"


class ForgetsBinds(Fault):
    """Connections that are open are bound no more."""

    LOST = (
        "000004DC: LdapErr: DSID-0C090A5C, comment: In order to perform this operation a "
        "successful bind must be completed on the connection., data 0, v4563\0"
    )

    def __init__(self) -> None:
        self.before = 0

    def begin(self, server: QuirkyServer) -> None:
        self.before = server.accepted

    def instead(self, connection: int, data: bytes, found: Message) -> bytes | None:
        if connection > self.before or found.operation not in (SEARCH, MODIFY):
            return None
        return response(found.id, found.operation, 1, self.LOST)


class Lags(Fault):
    """Each answer takes so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._over = threading.Event()

    def instead(self, connection: int, data: bytes, found: Message) -> bytes | None:
        self._over.wait(self.seconds)
        return None

    def end(self, server: QuirkyServer) -> None:
        self._over.set()


class TearsEntries(Fault):
    """Each answer with more than so many entries breaks off in the next one."""

    def __init__(self, whole: int) -> None:
        self.whole = whole
        self._left = whole

    def instead(self, connection: int, data: bytes, found: Message) -> bytes | None:
        self._left = self.whole
        return None

    def answer(self, data: bytes, found: Message) -> Iterator[bytes]:
        if found.operation == decode.SEARCH_ENTRY:
            self._left -= 1
            if self._left < 0:
                raise Broken(data[: len(data) // 2])
        yield data


class Refers(Fault):
    """Each search brings a reference to another domain along."""

    def answer(self, data: bytes, found: Message) -> Iterator[bytes]:
        if found.operation == decode.SEARCH_DONE:
            yield quirks.reference(found.id, "ldap://emea.goodcompany.local/DC=emea,DC=goodcompany")
        yield data


class Restored(Fault):
    """The database is an old backup: a new invocationId, and USNs that begin again below.

    Its partners have given it back what it had lost, and so it knows its former self; they can
    not while it is `alone`.
    """

    IDENTITY = bytes(range(16))
    BACK = 1000

    def __init__(self, *, alone: bool = False) -> None:
        super().__init__()
        self.alone = alone
        self.former, self.usn = b"", 0

    def begin(self, server: QuirkyServer) -> None:
        server.cut()  # restoring takes a restart

    def end(self, server: QuirkyServer) -> None:
        server.cut()

    def answer(self, data: bytes, found: Message) -> Iterator[bytes]:
        if found.operation == decode.SEARCH_ENTRY:
            entry = decode.entry(data, found.start, found.stop)
            usn = entry.attributes.pop("highestcommittedusn", None)
            former = entry.attributes.get("invocationid")
            if usn:
                self.usn = int(usn[0])
                entry.attributes["highestCommittedUSN"] = [b"%d" % (self.usn - self.BACK)]
            elif former:
                self.former = former[0]
                entry.attributes["invocationid"] = [self.IDENTITY]
            elif entry.dn == company.BASE and not entry.attributes:
                known = self.usn - self.BACK if self.alone else self.usn
                cursor = struct.pack("<16sQQ", self.former, known, 0)  # MS-DRSR 5.166
                header = struct.pack("<4I", 2, 0, 1, 0)
                entry.attributes["replUpToDateVector"] = [header + cursor]
            else:
                yield data
                return
            yield quirks.entry(found.id, entry.dn, entry.attributes)
            return
        yield data


class Windows(Quirk):
    """The behaviour of Windows, and the fault of the day."""

    def __init__(self) -> None:
        super().__init__()
        self.fault = Fault()
        self.members = quirks.CutsMembers(MEMBERS)
        self.page = quirks.LimitsAnswers(PAGE)

    def arrival(self) -> None:
        self.fault.arrival()

    def instead(self, connection: int, data: bytes, found: Message) -> bytes | None:
        return self.fault.instead(connection, data, found)

    def request(self, data: bytes, found: Message) -> bytes:
        super().request(data, found)
        return self.members.request(self.page.request(data, found), found)

    def answer(self, data: bytes, found: Message) -> Iterator[bytes]:
        for limited in self.page.answer(data, found):
            for cut in self.members.answer(limited, decode.message(limited, 0, len(limited))):
                yield from self.fault.answer(cut, decode.message(cut, 0, len(cut)))


class WindowsDC(QuirkyServer):
    """The proxy: a domain controller to all who ask it. Set `fault` at any time."""

    def __init__(self, dc: SambaDC) -> None:
        self.windows = Windows()
        super().__init__(dc.host, dc.tls_port, dc.ca_file, dc.dns_name)
        self.quirk = self.windows

    @property
    def fault(self) -> Fault:
        """Return what is wrong with it."""
        return self.windows.fault

    @fault.setter
    def fault(self, fault: Fault) -> None:
        self.windows.fault.end(self)
        self.windows.fault = fault
        fault.begin(self)


@contextmanager
def windows(dc: SambaDC) -> Iterator[WindowsDC]:
    """A domain controller that looks like Windows before one that is Samba."""
    server = WindowsDC(dc)
    try:
        yield server
    finally:
        server.stop()
