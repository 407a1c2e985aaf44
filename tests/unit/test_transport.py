"""One connection against a server that answers, or goes wrong in every way a server can."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Generator, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from dirclient import tls, wire
from dirclient.deadline import time_limit
from dirclient.dial import addresses, open_connection
from dirclient.errors import BadCredentials, Incomplete, Misconfigured, Unavailable
from dirclient.filters import EVERYTHING
from dirclient.profile import Encryption, Profile
from dirclient.transport import Connection, NotSent, TimedOut, TooLarge
from dirclient.wire import Entry
from tests.servers.pki import CertificateAuthority
from tests.servers.process import wait_until
from tests.unit import ldap_peer
from tests.unit.ldap_peer import CLOSE, SEARCH, SILENCE, Peer, Request, result

NAME = "dc1.goodcompany.local"


def profile(peer: Peer, **values: object) -> Profile:
    """A plaintext profile for the peer; short limits."""
    return Profile.model_validate(
        {
            "servers": (peer.host,),
            "port": peer.port,
            "encryption": "none",
            "plaintext_accepted": True,
            "connect_timeout": 2.0,
            "operation_timeout": 0.3,
            **values,
        }
    )


def connect(peer: Peer, **values: object) -> Connection:
    """A connection to the peer."""
    wanted = profile(peer, **values)
    return open_connection(wanted, peer.host, tls.context(wanted))


@pytest.fixture
def peer() -> Iterator[Peer]:
    """A polite server; give it another script."""
    with Peer() as peer:
        yield peer


# -- answers


def test_a_bind_is_one_request(peer: Peer) -> None:
    connection = connect(peer)
    connection.bind("CN=John", "secret")
    assert [request.bind_name for request in peer.requests] == ["CN=John"]
    assert connection.operations == 1
    assert not connection.closed


def test_a_refused_bind_leaves_the_connection_usable(peer: Peer) -> None:
    peer.script = lambda r: result(r.number, wire.BIND_RESPONSE, 49, "data 52e")
    connection = connect(peer)
    for _ in range(3):
        with pytest.raises(BadCredentials):
            connection.bind("CN=John", "wrong")
    assert len(peer.binds()) == 3
    assert not connection.closed


@pytest.mark.parametrize(("name", "password"), [("", "x"), ("CN=John", ""), ("CN=John", "a\0b")])
def test_a_hollow_bind_is_never_sent(peer: Peer, name: str, password: str) -> None:
    connection = connect(peer)
    with pytest.raises(ValueError, match="a bind needs"):
        connection.bind(name, password)
    connection.search("")
    assert [request.kind for request in peer.requests] == [SEARCH]


def test_a_search_brings_entries_references_and_controls(peer: Peer) -> None:
    def script(request: Request) -> bytes:
        reference = wire.tlv(0x73, wire.octets("ldap://other/DC=y"))
        done = wire.integer(4, 0x0A) + wire.octets("") + wire.octets("enough")
        controls = wire.tlv(0xA0, wire.tlv(0x30, wire.octets("1.2.3") + wire.octets(b"v")))
        return (
            ldap_peer.entry(request.number, "CN=a", {"Mail": [b"a@b.c"]})
            + wire.tlv(0x30, wire.integer(request.number) + reference)
            + wire.tlv(0x30, wire.integer(request.number) + wire.tlv(0x79, b""))  # intermediate
            + ldap_peer.entry(request.number, "CN=b", {})
            + wire.tlv(0x30, wire.integer(request.number) + wire.tlv(0x65, done) + controls)
        )

    peer.script = script
    found = connect(peer).search("DC=x", EVERYTHING, ["mail"])
    assert [(one.dn, one.attributes) for one in found.entries] == [
        ("CN=a", {"mail": [b"a@b.c"]}),
        ("CN=b", {}),
    ]
    assert (found.code, found.message, found.referrals) == (4, "enough", 1)
    assert found.controls == {"1.2.3": b"v"}


def test_an_answer_in_many_small_pieces_is_put_together(peer: Peer) -> None:
    def script(request: Request) -> object:
        data = b"".join(
            ldap_peer.entry(request.number, f"CN={n}", {"member": [b"m" * 500] * 300})
            for n in range(20)
        )
        for at in range(0, len(data), 7919):
            peer.send_unasked(data[at : at + 7919])
        return result(request.number, wire.SEARCH_DONE)

    peer.script = script
    found = connect(peer, operation_timeout=10).search("DC=x", EVERYTHING, ["member"])
    assert len(found.entries) == 20
    assert {len(one.attributes["member"]) for one in found.entries} == {300}


# -- pages


def paging(pages: list[tuple[int, bytes]]) -> ldap_peer.Script:
    """Answers page after page: one entry each, this result code and cookie."""
    waiting = iter(pages)

    def script(request: Request) -> bytes:
        code, cookie = next(waiting)
        value = wire.paged_control(0, cookie).value or b""
        done = wire.integer(code, 0x0A) + wire.octets("") + wire.octets("")
        control = wire.tlv(0x30, wire.octets(wire.PAGED_RESULTS) + wire.octets(value))
        return ldap_peer.entry(request.number, f"CN={cookie!r}", {}) + wire.tlv(
            0x30, wire.integer(request.number) + wire.tlv(0x65, done) + wire.tlv(0xA0, control)
        )

    return script


def test_pages_are_followed_to_the_empty_cookie(peer: Peer) -> None:
    peer.script = paging([(0, b"1"), (0, b"2"), (0, b"")])
    assert [len(page) for page in connect(peer).paged("DC=x")] == [1, 1, 1]
    assert len(peer.requests) == 3


def test_the_next_page_is_asked_for_before_this_one_is_given(peer: Peer) -> None:
    peer.script = paging([(0, b"1"), (0, b"2"), (0, b"")])
    connection = connect(peer)
    under_way = []
    asked = iter([2, 3, 3])

    def has_come(number: int) -> bool:
        return len(peer.requests) == number

    for page in connection.paged("DC=x", ahead=True):
        assert len(page) == 1
        wait_until(partial(has_come, next(asked)), "the next request")
        under_way.append(connection.busy)
    assert under_way == [True, True, False]
    assert connection.operations == 3


@pytest.mark.parametrize("code", [1, 3, 4, 10, 11, 32, 50, 51, 52, 53, 80])
def test_a_page_with_another_result_code_is_incomplete(peer: Peer, code: int) -> None:
    peer.script = paging([(0, b"1"), (code, b"")])
    pages = connect(peer).paged("DC=x")
    assert len(next(pages)) == 1
    with pytest.raises(Incomplete) as caught:
        next(pages)
    assert caught.value.read == 1


def test_a_server_that_does_not_page_is_incomplete(peer: Peer) -> None:
    with pytest.raises(Incomplete):
        list(connect(peer).paged("DC=x"))


def test_empty_pages_are_passed_over_but_not_for_ever(peer: Peer) -> None:
    def script(request: Request) -> bytes:
        value = wire.paged_control(0, b"more").value or b""
        done = wire.integer(0, 0x0A) + wire.octets("") + wire.octets("")
        control = wire.tlv(0x30, wire.octets(wire.PAGED_RESULTS) + wire.octets(value))
        return wire.tlv(
            0x30, wire.integer(request.number) + wire.tlv(0x65, done) + wire.tlv(0xA0, control)
        )

    peer.script = script
    with pytest.raises(Incomplete, match="without end"):
        list(connect(peer).paged("DC=x"))
    assert len(peer.requests) == 1001


def test_a_server_that_does_not_go_on_is_incomplete(peer: Peer) -> None:
    """One that ignores the cookie would send its first page for ever."""
    peer.script = paging([(0, b"same")] * 9)
    with pytest.raises(Incomplete, match="without end") as caught:
        list(connect(peer).paged("DC=x"))
    assert len(peer.requests) == 2
    assert caught.value.read == 2


@pytest.mark.parametrize("end", [CLOSE, SILENCE])
def test_a_page_that_never_comes_is_incomplete(peer: Peer, end: object) -> None:
    first = paging([(0, b"1")])
    peer.script = lambda r: end if len(peer.requests) > 1 else first(r)
    pages = connect(peer).paged("DC=x")
    next(pages)
    with pytest.raises(Incomplete):
        next(pages)


# -- whole answers


def giving(entries: int, code: int = 0) -> ldap_peer.Script:
    """Answers with so many entries and this result code."""

    def script(request: Request) -> bytes:
        found = [ldap_peer.entry(request.number, f"CN={n}", {}) for n in range(entries)]
        return b"".join(found) + result(request.number, wire.SEARCH_DONE, code)

    return script


def whole(connection: Connection, portion: int = 1000) -> Generator[list[Entry]]:
    return connection.whole("DC=x", EVERYTHING, ["mail"], (), portion)


def test_a_whole_answer_costs_one_request_and_comes_in_portions(peer: Peer) -> None:
    peer.script = giving(20_000)
    connection = connect(peer, operation_timeout=10)
    portions = list(whole(connection, 500))
    assert [one.dn for part in portions for one in part] == [f"CN={n}" for n in range(20_000)]
    assert len(portions) > 4
    assert connection.operations == 1
    assert connection.alive()


@pytest.mark.parametrize("code", [1, 3, 4, 10, 11, 32, 50, 51, 52, 53, 80])
def test_a_whole_answer_with_another_result_code_is_incomplete(peer: Peer, code: int) -> None:
    peer.script = giving(3, code)
    with pytest.raises(Incomplete) as caught:
        list(whole(connect(peer)))
    assert isinstance(caught.value, TooLarge) is (code == 4)


@pytest.mark.parametrize("end", [CLOSE, SILENCE])
def test_a_whole_answer_that_never_comes_is_incomplete(peer: Peer, end: object) -> None:
    peer.script = lambda _: end
    with pytest.raises(Incomplete):
        list(whole(connect(peer)))


def test_nothing_else_is_asked_before_the_end_of_a_whole_answer(peer: Peer) -> None:
    peer.script = giving(20_000)
    connection = connect(peer, operation_timeout=10)
    portions = whole(connection, 500)
    next(portions)
    assert connection.busy
    with pytest.raises(RuntimeError):
        connection.search("DC=x")
    portions.close()
    assert not connection.busy
    assert connection.closed


# -- servers that go wrong


def test_a_server_that_never_answers_is_left_in_time(peer: Peer) -> None:
    peer.script = lambda _: SILENCE
    connection = connect(peer)
    before = time.monotonic()
    with pytest.raises(TimedOut):
        connection.search("DC=x")
    assert 0.25 < time.monotonic() - before < 2
    assert connection.closed
    with pytest.raises(NotSent):
        connection.search("DC=x")


def test_the_nearest_of_all_limits_holds(peer: Peer) -> None:
    peer.script = lambda _: SILENCE
    connection = connect(peer, operation_timeout=30)
    before = time.monotonic()
    with time_limit(20), time_limit(0.2), time_limit(10), pytest.raises(TimedOut):
        connection.search("DC=x")
    assert time.monotonic() - before < 2


def test_a_server_that_drips_is_left_in_time(peer: Peer) -> None:
    """Octets that keep arriving do not extend the limit."""

    def script(request: Request) -> object:
        data = ldap_peer.entry(request.number, "CN=a", {"cn": [b"x" * 2000]})
        for at in range(len(data)):
            peer.send_unasked(data[at : at + 1])
            time.sleep(0.002)
        return SILENCE

    peer.script = script
    before = time.monotonic()
    with pytest.raises(TimedOut):
        connect(peer).search("DC=x")
    assert time.monotonic() - before < 2


NONSENSE = {
    "closed": CLOSE,
    "http": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "huge": b"\x30\x84\x7f\xff\xff\xff",
    "empty message": b"\x30\x00",
    "another's answer": result(77, wire.SEARCH_DONE),
    "another operation": result(1, wire.MODIFY_RESPONSE),
    "a bad entry": wire.tlv(0x30, wire.integer(1) + wire.tlv(0x64, b"\x04\x7fxx")),
    "a bad result": wire.tlv(0x30, wire.integer(1) + wire.tlv(0x65, b"\x0a")),
}


@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_a_clear_error_and_ends_the_connection(peer: Peer, answer: object) -> None:
    peer.script = lambda _: answer
    connection = connect(peer)
    with pytest.raises(Unavailable) as caught:
        connection.search("DC=x")
    assert peer.host in str(caught.value)
    assert connection.closed


def test_half_an_answer_is_no_answer(peer: Peer) -> None:
    def script(request: Request) -> object:
        peer.send_unasked(result(request.number, wire.BIND_RESPONSE)[:-3])
        return CLOSE

    peer.script = script
    with pytest.raises(Unavailable, match="closed the connection"):
        connect(peer).bind("CN=John", "secret")


def test_a_notice_of_disconnection_says_why(peer: Peer) -> None:
    notice = result(0, 0x78, 52, "going down", wire.tlv(0x8A, wire.DISCONNECTION.encode()))
    peer.script = lambda _: notice
    with pytest.raises(Unavailable, match="going down"):
        connect(peer).search("DC=x")


def test_a_request_that_left_in_part_is_never_completed(peer: Peer) -> None:
    """A goodbye after half a bind would be read as the rest of its password."""

    class Stalls:
        """Takes all but the end of a request."""

        def __init__(self, sock: socket.socket) -> None:
            self.sock = sock

        def __getattr__(self, name: str) -> object:
            return getattr(self.sock, name)

        def sendall(self, data: bytes) -> None:
            self.sock.sendall(data[:-4])
            raise TimeoutError

    connection = connect(peer)
    connection._sock = Stalls(connection._sock)  # type: ignore[assignment]
    with pytest.raises(NotSent):
        connection.bind("CN=John", "secret")
    peer.wait_for(lambda: peer.departed == 1)
    assert peer.requests == []


# -- whether it is alive


def test_an_idle_connection_knows_when_the_server_left(peer: Peer) -> None:
    connection = connect(peer)
    connection.search("")
    assert connection.alive()
    peer.drop_connections()
    assert not until_dead(connection)


def test_an_idle_connection_takes_a_notice_for_the_end(peer: Peer) -> None:
    connection = connect(peer)
    connection.search("")
    peer.send_unasked(result(0, 0x78, 52, "going down"))
    assert not until_dead(connection)


def until_dead(connection: Connection) -> bool:
    """Whether it is still alive when that should have become known."""
    end = time.monotonic() + 5
    while connection.alive() and time.monotonic() < end:
        pass
    return connection.alive()


def test_two_operations_at_once_are_a_mistake_in_the_program(peer: Peer) -> None:
    connection = connect(peer)
    seen: list[str] = []

    def script(request: Request) -> object:
        try:
            connection.search("")
        except RuntimeError as mistake:
            seen.append(str(mistake))
        return ldap_peer.polite(request)

    peer.script = script
    connection.search("")
    assert seen == ["an operation is already in flight on this connection"]


# -- opening


def test_a_closed_port_is_unavailable() -> None:
    with Peer() as peer:
        gone = profile(peer)
    with pytest.raises(Unavailable, match="connection refused"):
        open_connection(gone, peer.host, None)


def test_a_name_that_does_not_exist_is_unavailable(peer: Peer) -> None:
    with pytest.raises(Unavailable, match="cannot be resolved"):
        open_connection(profile(peer), "no-such-host.invalid", None)


def test_a_resolver_that_hangs_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: release.wait(10) and [])
    before = time.monotonic()
    with pytest.raises(Unavailable, match="not resolved in time"):
        addresses("dc1.example", 389, 0.1)
    assert time.monotonic() - before < 2
    release.set()


def test_plaintext_must_be_accepted(peer: Peer) -> None:
    with pytest.raises(Misconfigured) as caught:
        connect(peer, plaintext_accepted=False)
    assert caught.value.field == "encryption"
    assert peer.accepted == 0


def test_a_blackholed_server_is_left_in_time() -> None:
    """A listener whose queue is full answers no more connects, as a firewall would."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        crowd = []
        for _ in range(3):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(address)
            crowd.append(one)
        blackholed = Profile(
            servers=("127.0.0.1",),
            port=address[1],
            encryption=Encryption.NONE,
            plaintext_accepted=True,
            connect_timeout=0.4,
        )
        before = time.monotonic()
        with pytest.raises(Unavailable, match="no answer within"):
            open_connection(blackholed, "127.0.0.1", None)
        assert 0.3 < time.monotonic() - before < 2
        for one in crowd:
            one.close()


# -- TLS


@pytest.fixture(scope="module")
def authority() -> CertificateAuthority:
    """Who signs the peer's certificates."""
    return CertificateAuthority()


class Certificates:
    """Server contexts with certificates as a test wants them."""

    def __init__(self, authority: CertificateAuthority, folder: Path) -> None:
        self.authority, self.folder = authority, folder

    def context(self, names: list[str], addresses: list[str], **validity: object) -> ssl.SSLContext:
        """A server's context for these names."""
        chain = self.authority.issue(self.folder, names, addresses, **validity)  # type: ignore[arg-type]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*chain)
        return context


@pytest.fixture
def certificates(authority: CertificateAuthority, tmp_path: Path) -> Certificates:
    """A maker of certificates."""
    return Certificates(authority, tmp_path)


BOTH = pytest.mark.parametrize("encryption", ["starttls", "ldaps"])


def encrypted(peer: Peer, encryption: str, ca: str, **values: object) -> Connection:
    """A connection that is encrypted so."""
    peer.ldaps = encryption == "ldaps"
    return connect(peer, encryption=encryption, ca_certificates=ca, **values)


@BOTH
@pytest.mark.parametrize("named", ["by TLS name", "by IP address"])
def test_an_ip_address_verifies(
    peer: Peer, certificates: Certificates, encryption: str, named: str
) -> None:
    by_name = named == "by TLS name"
    peer.context = certificates.context([NAME] if by_name else [], [] if by_name else [peer.host])
    connection = encrypted(
        peer, encryption, certificates.authority.pem, tls_name=NAME if by_name else ""
    )
    assert connection.encrypted
    assert connection.alive()
    connection.bind("CN=John", "secret")
    assert connection.operations == 1
    assert connection.alive()


@BOTH
@pytest.mark.parametrize("tls_name", ["", "dc2.goodcompany.local", "goodcompany.local"])
def test_another_name_is_refused(
    peer: Peer, certificates: Certificates, encryption: str, tls_name: str
) -> None:
    peer.context = certificates.context([NAME], [])
    with pytest.raises(Misconfigured) as caught:
        encrypted(peer, encryption, certificates.authority.pem, tls_name=tls_name)
    assert caught.value.field == "tls_name"
    assert peer.requests == []


@BOTH
def test_an_unknown_authority_is_refused(
    peer: Peer, certificates: Certificates, encryption: str
) -> None:
    peer.context = certificates.context([NAME], [])
    for ca in (CertificateAuthority("Another").pem, ""):
        with pytest.raises(Misconfigured) as caught:
            encrypted(peer, encryption, ca, tls_name=NAME)
        assert caught.value.field == "ca_certificates"
    assert peer.requests == []


@BOTH
def test_an_expired_certificate_is_refused(
    peer: Peer, certificates: Certificates, encryption: str
) -> None:
    past = datetime.now(UTC) - timedelta(days=1)
    peer.context = certificates.context([NAME], [], not_after=past)
    with pytest.raises(Misconfigured, match="has expired") as caught:
        encrypted(peer, encryption, certificates.authority.pem, tls_name=NAME)
    assert caught.value.field == "servers"


@BOTH
def test_a_servers_own_certificate_may_be_trusted_alone(
    peer: Peer, certificates: Certificates, encryption: str, tmp_path: Path
) -> None:
    peer.context = certificates.context([NAME], [])
    own = (tmp_path / "server.pem").read_text()
    encrypted(peer, encryption, own, tls_name=NAME).bind("CN=John", "secret")


def test_a_server_without_starttls_is_told(authority: CertificateAuthority) -> None:
    with RefusesStartTls() as refusing, pytest.raises(Misconfigured, match="StartTLS") as caught:
        connect(refusing, encryption="starttls", ca_certificates=authority.pem)
    assert caught.value.field == "encryption"


class RefusesStartTls(Peer):
    """A domain controller without a certificate."""

    def _converse(self, sock: socket.socket, number: int) -> None:
        data = sock.recv(65536)
        found = wire.message(data, 0, len(data))
        sock.sendall(result(found.id, wire.EXTENDED_RESPONSE, 52, "no certificate"))


@pytest.mark.parametrize(
    ("greeting", "encryption", "field"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "starttls", "port"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "ldaps", "port"),
    ],
)
def test_a_port_that_speaks_something_else_is_told(
    greeting: bytes, encryption: str, field: str, authority: CertificateAuthority
) -> None:
    with SpeaksFirst(greeting) as peer, pytest.raises(Misconfigured) as caught:
        connect(peer, encryption=encryption, ca_certificates=authority.pem)
    assert caught.value.field == field


class SpeaksFirst(Peer):
    """Says the same to everyone, whatever they want."""

    def __init__(self, greeting: bytes) -> None:
        self.greeting = greeting
        super().__init__()

    def _converse(self, sock: socket.socket, number: int) -> None:
        sock.recv(65536)
        sock.sendall(self.greeting)


class Silent(Peer):
    """Accepts, listens, and never says anything."""

    def _converse(self, sock: socket.socket, number: int) -> None:
        while sock.recv(65536):
            pass


@BOTH
def test_a_server_that_accepts_and_is_silent_is_left_in_time(
    encryption: str, authority: CertificateAuthority
) -> None:
    with Silent() as peer:
        before = time.monotonic()
        with pytest.raises(Unavailable, match=r"in time|in 0\.3 s"):
            connect(peer, encryption=encryption, ca_certificates=authority.pem, connect_timeout=0.3)
        assert time.monotonic() - before < 2


def test_a_ca_certificate_that_is_none_is_told() -> None:
    with pytest.raises(Misconfigured) as caught:
        tls.context(Profile(ca_certificates="nonsense"))
    assert caught.value.field == "ca_certificates"


def test_verification_cannot_be_off() -> None:
    for ca in ("", CertificateAuthority().pem):
        context = tls.context(Profile(ca_certificates=ca))
        assert context is not None
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
