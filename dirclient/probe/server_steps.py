"""The first half of a connection test: names, TCP, TLS with its certificate, and the sign-in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import datetime

from dirclient.config.profile import Encryption, Profile
from dirclient.connection import certificates, tls
from dirclient.connection.connect import addresses, dial, open_connection
from dirclient.connection.ldap_connection import Connection
from dirclient.connection.pool import Pool
from dirclient.model.errors import DirectoryError, Misconfigured, Refused, Unavailable
from dirclient.probe import service_account_rights

CERTIFICATE_DAYS = 30
"""A certificate that ends within this many days deserves a warning."""


@dataclass(frozen=True, slots=True)
class Passed:
    """The result of a step that passed."""

    summary: str
    warning: str = ""  # what to do about it; empty: all is well
    field: str = ""
    data: Mapping[str, object] = dataclass_field(default_factory=dict)


class Reaching:
    """Reaches a server as the profile says. Each step says what it found, or raises.

    Afterwards `pool` lends the one connection, signed in, that `connection` is.
    """

    def __init__(self, profile: Profile, clock: Callable[[], datetime]) -> None:
        self.profile = profile
        self.clock = clock
        self.servers = list(profile.servers)  # those that passed so far
        self.opened: dict[str, Connection] = {}
        self._pools: list[Pool] = []
        self.pool: Pool
        self.connection: Connection

    def close(self) -> None:
        """Close every connection, and ask no server any more."""
        for pool in self._pools:
            pool.close()
        for connection in self.opened.values():
            connection.close()

    def each_server(self, ask: Callable[[str], str]) -> tuple[list[str], str]:
        """Ask all servers: what those that passed said, and what those that did not.

        One that passes is enough, for there is failover. Raises what the first one raised when
        none does.
        """
        lines: list[str] = []
        faults: list[tuple[str, DirectoryError]] = []
        for server in list(self.servers):
            try:
                lines.append(ask(server))
            except (Unavailable, Misconfigured) as why:
                faults.append((server, why))
                self.servers.remove(server)
        if not lines:
            raise faults[0][1]
        return lines, " ".join(str(why) for _, why in faults)

    def resolve(self) -> Passed:
        """Names to addresses."""

        def ask(server: str) -> str:
            host = server.strip("[]")
            resolved = addresses(host, self.profile.port, self.profile.connect_timeout)
            numbers = list(dict.fromkeys(str(address[0]) for _, address in resolved))
            return host if numbers == [host] else f"{host} is {', '.join(numbers)}"

        lines, faults = self.each_server(ask)
        return Passed("; ".join(lines) + ".", faults, "servers" if faults else "")

    def tcp(self) -> Passed:
        """Something accepts connections there."""
        port = self.profile.port

        def ask(server: str) -> str:
            dial(server.strip("[]"), port, self.profile.connect_timeout).close()
            return server

        lines, faults = self.each_server(ask)
        summary = f"{', '.join(lines)} accepts connections on port {port}."
        return Passed(summary, faults, "servers" if faults else "")

    def tls(self) -> Passed:
        """Encryption with a certificate that is trusted, valid, and for the right name."""
        profile = self.profile
        context = tls.context(profile)
        warnings: list[str] = []
        data: dict[str, object] = {}

        def ask(server: str) -> str:
            try:
                connection = open_connection(profile, server, context)
            except Misconfigured as why:
                raise explained(why, profile, server) from why
            self.opened[server] = connection
            certificate = certificates.of(connection)
            if certificate is None:
                return f"{server} is not encrypted"
            days = certificate.days_left(self.clock())
            if days < CERTIFICATE_DAYS:
                warnings.append(
                    f"The certificate of {server} ends on {certificate.ends:%Y-%m-%d}:"
                    " renew it in time."
                )
            data[server] = {
                "protocol": connection.protocol(),
                "names": list(certificate.names),
                "subject": certificate.subject,
                "issuer": certificate.issuer,
                "ends": certificate.ends.isoformat(),
                "days_left": int(days),
                "fingerprint": certificate.fingerprint,
            }
            return (
                f"{server} speaks {connection.protocol()} with a certificate for "
                f"{profile.tls_name_of(server)}, signed by {certificate.issuer}, "
                f"valid until {certificate.ends:%Y-%m-%d}"
            )

        lines, faults = self.each_server(ask)
        if profile.encryption is Encryption.NONE:
            warnings.append("Passwords cross the network readable: choose StartTLS or LDAPS.")
        warning = " ".join(filter(None, (faults, *warnings)))
        where = "encryption" if profile.encryption is Encryption.NONE else "servers"
        return Passed("; ".join(lines) + ".", warning, where if warning else "", data)

    def bind(self) -> Passed:
        """The service account signs in, once: on the first server that judges its password."""
        faults: list[DirectoryError] = []
        for server in self.servers:
            try:
                self._bind_at(server)
            except (Unavailable, Misconfigured) as why:
                if isinstance(why.__cause__, Refused):
                    raise service_account_rights.bind_fault(why.__cause__) from why
                faults.append(why)
                continue
            warning = " ".join(map(str, faults))
            line = f"{self.profile.username} may sign in at {server}."
            return Passed(line, warning, "servers" if warning else "")
        raise faults[0]

    def _bind_at(self, server: str) -> None:
        alone = self.profile.model_copy(update={"servers": (server,)})
        self.pool = Pool(alone, opener=lambda *_: self.opened[server])
        self._pools.append(self.pool)
        with self.pool.searching() as connection:
            self.connection = connection


def explained(why: Misconfigured, profile: Profile, server: str) -> Misconfigured:
    """A TLS fault with what the certificate itself says."""
    if why.field not in ("tls_name", "ca_certificates", "servers"):
        return why
    certificate = certificates.shown(profile, server)
    if certificate is None:
        return why
    remedy = why.remedy
    if why.field == "tls_name":
        names = ", ".join(certificate.names) or "no name that can be verified"
        remedy = f"The certificate shows {names}. {remedy}"
    elif why.field == "ca_certificates":
        remedy = (
            f"{remedy} The server's certificate was issued by {certificate.issuer} "
            f"(SHA-256 {certificate.fingerprint})."
        )
    else:
        remedy = f"{remedy} It ended on {certificate.ends:%Y-%m-%d}."
    return Misconfigured(str(why), field=why.field, remedy=remedy)
