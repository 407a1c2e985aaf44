"""Opening a connection: addresses, encryption, certificates, and every way that fails."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dirclient.config.profile import Encryption, Profile
from dirclient.connection import tls
from dirclient.connection.connect import addresses, open_connection
from dirclient.connection.ldap_connection import Connection
from dirclient.model.errors import Misconfigured, Unavailable
from dirclient.wire import decode
from tests.servers.pki import CertificateAuthority
from tests.unit.dirclient.ldap_peer import NAME, Peer, connect, profile, result

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
    """Return who signs the peer's certificates."""
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
        found = decode.message(data, 0, len(data))
        sock.sendall(result(found.id, decode.EXTENDED_RESPONSE, 52, "no certificate"))


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
