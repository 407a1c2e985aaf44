"""The connection profile: all that the directory client needs to know about one directory.

It is also the vocabulary of the AD Credentials form, of `authsvc directory set` and of what is
stored (all but the password, which is sealed elsewhere). Validation collects every fault.
"""

from __future__ import annotations

import enum

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class PresetName(enum.StrEnum):
    """Which kind of directory; decides attribute names, identity attribute and bind name."""

    ACTIVE_DIRECTORY = "active-directory"
    OPENLDAP = "openldap"


class Encryption(enum.StrEnum):
    """How the connection is protected before any password crosses it."""

    STARTTLS = "starttls"
    LDAPS = "ldaps"
    NONE = "none"


class AttributeMapping(BaseModel):
    """Which attributes carry what; the first one present wins. Empty: the preset's own choice."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    login: tuple[str, ...] = ()
    first_name: tuple[str, ...] = ()
    last_name: tuple[str, ...] = ()
    extension: tuple[str, ...] = ()


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
