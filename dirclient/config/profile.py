"""The connection profile: all that the directory client needs to know about one directory.

It is also the vocabulary of the AD Credentials form, of `authsvc directory set` and of what is
stored (all but the password, which is sealed elsewhere). Validation collects every fault.
"""

from __future__ import annotations

import enum
import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from dirclient.config.pem import NoCertificates, read_certificates
from dirclient.model.errors import Misconfigured
from dirclient.wire import dn_syntax
from dirclient.wire.filters import Filter, InvalidFilter


class PresetName(enum.StrEnum):
    """Which kind of directory; decides attribute names, identity attribute and bind name."""

    ACTIVE_DIRECTORY = "active-directory"
    OPENLDAP = "openldap"


class Encryption(enum.StrEnum):
    """How the connection is protected before any password crosses it."""

    STARTTLS = "starttls"
    LDAPS = "ldaps"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of one field and its remedy, in sentences."""

    field: str
    message: str
    remedy: str


LDAPS_PORTS = (636, 3269)
"""LDAPS of a domain controller and of its global catalog."""

_HOST = re.compile(r"(?=.{1,253}\.?$)[\w](?:[\w-]{0,61}[\w])?(?:\.[\w](?:[\w-]{0,61}[\w])?)*\.?")
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_LONGEST_DN = 4096
_MOST_SERVERS = 16


def _split(value: object) -> object:
    """A list that was typed as text: comma, blank or line separated."""
    if isinstance(value, str):
        return tuple(part for part in re.split(r"[,;\s]+", value) if part)
    return value


def _pem(value: object) -> object:
    """Certificates alone, as PEM. What is no certificate stays as it is, for `faults` to tell."""
    octets = value.encode("utf-8", "replace") if isinstance(value, str) else value
    if isinstance(octets, bytes) and octets.strip():
        try:
            return read_certificates(octets)
        except NoCertificates:
            return octets.decode("utf-8", "replace")
    return value


class AttributeMapping(BaseModel):
    """Which attributes carry what; the first one present wins. Empty: the preset's own choice."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    login: tuple[str, ...] = ()
    first_name: tuple[str, ...] = ()
    last_name: tuple[str, ...] = ()
    extension: tuple[str, ...] = ()

    _lists = field_validator("*", mode="before")(_split)


class Profile(BaseModel):
    """One directory. Times are seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    preset: PresetName = PresetName.ACTIVE_DIRECTORY
    servers: tuple[str, ...] = ()
    port: int = 389
    tls_name: str = ""
    encryption: Encryption = Encryption.STARTTLS
    plaintext_accepted: bool = False
    ca_certificates: str = ""  # PEM text; empty: the system's authorities
    username: str = ""
    password: SecretStr = Field(default=SecretStr(""), exclude=True)
    user_search_dn: str = ""
    department_search_dn: str = ""
    advanced: bool = False
    user_filter: str = ""
    department_filter: str = ""
    attributes: AttributeMapping = AttributeMapping()
    connect_timeout: float = 2.0
    operation_timeout: float = 30.0
    sign_in_timeout: float = 5.0
    pool_size: int = 8

    _servers = field_validator("servers", mode="before")(_split)
    _certificates = field_validator("ca_certificates", mode="before")(_pem)

    @model_validator(mode="before")
    @classmethod
    def _port_636_means_ldaps(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and str(values.get("port", "")) in map(str, LDAPS_PORTS):
            given = values.get("encryption", Encryption.STARTTLS)
            if given == Encryption.STARTTLS:
                return {**values, "encryption": Encryption.LDAPS}
        return values

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any], password: str) -> Self:
        """The profile as it was stored, with its unsealed password.

        Names that this version does not know are passed over. Raises `Misconfigured` for a value
        that cannot be understood.
        """
        known = {name: value for name, value in stored.items() if name in cls.model_fields}
        profile, faults = cls.examine(known, password)
        if profile is None:
            fault = faults[0]
            raise Misconfigured(fault.message, field=fault.field, remedy=fault.remedy)
        return profile

    @classmethod
    def examine(cls, values: Mapping[str, Any], password: str) -> tuple[Self | None, list[Fault]]:
        """The profile made of a form's values, and every fault in them.

        The profile is None where a value is not even of its kind (a port that is no number).
        """
        try:
            profile = cls.model_validate({**values, "password": password})
        except ValidationError as odd:
            return None, [
                Fault(
                    str(error["loc"][0]) if error["loc"] else "",
                    f"{'.'.join(map(str, error['loc'])) or 'The profile'}: {error['msg']}.",
                    "Enter another value.",
                )
                for error in odd.errors(include_input=False, include_url=False)
            ]
        return profile, profile.faults()

    def stored(self) -> dict[str, Any]:
        """Return what to store: everything but the password."""
        return self.model_dump(mode="json")

    def faults(self) -> list[Fault]:
        """Everything that can be told wrong without asking anybody; empty when nothing is."""
        return [
            *self._server_faults(),
            *self._encryption_faults(),
            *self._account_faults(),
            *self._scope_faults(),
            *self._limit_faults(),
        ]

    def _server_faults(self) -> Iterator[Fault]:
        if not self.servers:
            yield Fault("servers", "AD Server is empty.", "Enter a host name or an IP address.")
        if len(self.servers) > _MOST_SERVERS:
            yield Fault("servers", f"More than {_MOST_SERVERS} servers.", "Enter fewer servers.")
        if len({server.lower() for server in self.servers}) < len(self.servers):
            yield Fault("servers", "A server is named twice.", "Name each server once.")
        for server in self.servers:
            if not _is_host(server):
                yield Fault(
                    "servers",
                    f"{server!r} is neither a host name nor an IP address.",
                    "Enter names or addresses alone, without ldap:// and without a port.",
                )
        if not 1 <= self.port <= 65535:
            yield Fault("port", f"{self.port} is not a port.", "Enter 389, or 636 for LDAPS.")

    def _encryption_faults(self) -> Iterator[Fault]:
        if self.encryption is Encryption.NONE:
            if self.port in LDAPS_PORTS:
                yield Fault("encryption", f"Port {self.port} is always encrypted.", "Choose LDAPS.")
            elif not self.plaintext_accepted:
                yield Fault(
                    "encryption",
                    "Without encryption passwords would cross the network readable.",
                    "Choose StartTLS or LDAPS, or accept this explicitly.",
                )
        if self.encryption is Encryption.LDAPS and self.port in (389, 3268):
            yield Fault(
                "port",
                f"Port {self.port} does not speak LDAPS.",
                "Enter 636, or choose StartTLS.",
            )
        names = [name.strip() for name in self.tls_name.split(",")] if self.tls_name else []
        if len(names) > 1 and len(names) != len(self.servers):
            yield Fault(
                "tls_name",
                "There are not as many TLS names as servers.",
                "Enter one name for all servers, or one for each in the same order.",
            )
        for name in names:
            if not _is_host(name):
                yield Fault(
                    "tls_name",
                    f"{name!r} is not a host name.",
                    "Enter the name that the server's certificate shows.",
                )
        yield from self._certificate_faults()

    def _certificate_faults(self) -> Iterator[Fault]:
        if not self.ca_certificates.strip():
            return
        try:
            read_certificates(self.ca_certificates.encode())
        except NoCertificates as refused:
            yield Fault("ca_certificates", str(refused), refused.remedy)

    def _account_faults(self) -> Iterator[Fault]:
        if not self.username.strip():
            yield Fault("username", "AD Username is empty.", "Enter the service account.")
        elif "\0" in self.username or len(self.username) > _LONGEST_DN:
            yield Fault(
                "username",
                "AD Username is not a name.",
                "Enter user@domain, DOMAIN\\user or a full DN.",
            )
        password = self.password.get_secret_value()
        if not password.strip() or "\0" in password:
            yield Fault(
                "password", "The password is empty.", "Enter the service account's password."
            )

    def _scope_faults(self) -> Iterator[Fault]:
        fields = {
            "user_search_dn": "AD User Search DN",
            "department_search_dn": "AD Department Search DN",
        }
        if not self.user_search_dn.strip():
            yield Fault(
                "user_search_dn", "AD User Search DN is empty.", "Enter a group, OU or domain."
            )
        for field, label in fields.items():
            text: str = getattr(self, field)
            if len(text) > _LONGEST_DN or "\0" in text:
                yield Fault(field, f"{label} is not a DN.", "Enter a shorter one.")
            elif self.advanced and text.strip():
                try:
                    dn_syntax.parse(text)
                except dn_syntax.InvalidDn as odd:
                    yield Fault(
                        field,
                        f"{label} is not a DN: {odd}.",
                        "Enter the exact DN, or switch Advanced Search DN off.",
                    )
        for field in ("user_filter", "department_filter"):
            text = getattr(self, field)
            try:
                if text.strip():
                    Filter.raw(text)
            except InvalidFilter as odd:
                yield Fault(
                    field, f"The filter is not valid: {odd}.", "Write it like (department=Sales)."
                )
        for field, names in self.attributes:
            for name in names:
                if not _ATTRIBUTE.fullmatch(name):
                    yield Fault(
                        f"attributes.{field}",
                        f"{name!r} is not the name of an attribute.",
                        "Enter names such as mail, separated by commas.",
                    )

    def _limit_faults(self) -> Iterator[Fault]:
        limits = (
            ("connect_timeout", 0.1, 60.0, " seconds"),
            ("operation_timeout", 1.0, 3600.0, " seconds"),
            ("sign_in_timeout", 0.5, 60.0, " seconds"),
            ("pool_size", 1, 64, " connections"),
        )
        for field, least, most, unit in limits:
            if not least <= getattr(self, field) <= most:  # also refuses NaN
                yield Fault(
                    field,
                    f"{field} is not between {least:g} and {most:g}{unit}.",
                    "Enter a value within these limits.",
                )

    def tls_name_of(self, server: str) -> str:
        """The name that this server's certificate must show.

        One TLS name holds for all servers; several, comma separated, stand in the servers' order.
        """
        names = [name.strip() for name in self.tls_name.split(",") if name.strip()]
        if not names:
            return server.strip("[]")
        if len(names) == 1 or server not in self.servers:
            return names[0]
        return names[min(self.servers.index(server), len(names) - 1)]


def _is_host(text: str) -> bool:
    """Return whether it can be the name or the address of a host."""
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        # Digits and dots alone are a mistyped address, not a name.
        return bool(_HOST.fullmatch(text)) and not re.fullmatch(r"[\d.]+", text)
    return True
