"""The settings of the processes: a TOML file, overruled by the environment (`KERAUNO_…`).

Every fault is found at once. What an administrator sets lives in the database, not here.
Relative paths are relative to the working directory.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from kerauno.base.database_url import parse_database_url
from kerauno.base.errors import ConfigurationError, SettingFault

PREFIX = "KERAUNO_"
_CONFIG = PREFIX + "CONFIG"
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{16,}=*")  # RFC 6750 2.1, and long enough not to be guessed


class Settings(BaseModel):
    """The settings of a process that it needs before the database. See `config/kerauno.toml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    database_url: str = Field(default="sqlite:///var/kerauno.db", repr=False)
    secret_key_file: Path = Path("var/secret.key")
    public_url: str = "http://localhost:8000"
    trusted_proxies: int = Field(default=0, ge=0, le=10)
    proxy_header: Literal["auto", "x-forwarded-for", "forwarded"] = "auto"

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    workers: int = Field(default=2, ge=1, le=256)
    threads: int = Field(default=8, ge=1, le=256)

    session_hours: int = Field(default=12, ge=1, le=24 * 90)
    session_idle_minutes: int = Field(default=120, ge=5, le=60 * 24 * 90)
    account_failures: int = Field(default=5, ge=1, le=100)
    account_window_minutes: int = Field(default=30, ge=1, le=1440)
    address_failures: int = Field(default=300, ge=1, le=1_000_000)
    address_window_minutes: int = Field(default=10, ge=1, le=1440)

    kerberos_keytab: str = ""
    kerberos_networks: str = ""

    metrics_token_file: str = ""

    audit_days: int = Field(default=365, ge=1, le=36500)
    run_days: int = Field(default=90, ge=1, le=36500)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str) -> str:
        parse_database_url(value)
        return value

    @field_validator("secret_key_file")
    @classmethod
    def _is_no_folder(cls, value: Path) -> Path:
        if value.is_dir() or not value.name:
            raise ValueError("names a folder, not a file")
        return value

    @field_validator("public_url")
    @classmethod
    def _is_an_origin(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            parts.port  # noqa: B018 - reading it is what checks it
        except ValueError:
            raise ValueError("is not an address") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("does not begin with https:// (or http://) and a host")
        if parts.username or parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("has more than a scheme, a host and a port")
        return f"{parts.scheme}://{parts.netloc}".lower()

    @field_validator("kerberos_keytab")
    @classmethod
    def _is_a_file(cls, value: str) -> str:
        if value and not Path(value).is_file():
            raise ValueError("names no file")
        return value

    @field_validator("kerberos_networks")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        for item in value.split(","):
            if item.strip():
                try:
                    ipaddress.ip_network(item.strip())
                except ValueError:
                    raise ValueError(f"has {item.strip()}, which is no network") from None
        return value

    @field_validator("metrics_token_file")
    @classmethod
    def _holds_a_token(cls, value: str) -> str:
        if value:
            read_token(value)
        return value

    @property
    def secure(self) -> bool:
        """Return whether people reach the service by HTTPS: cookies are then never sent without
        it."""
        return self.public_url.startswith("https://")


def read_token(path: str) -> str:
    """The token that a file holds. Raises ValueError with what is wrong with the file."""
    try:
        token = Path(path).read_text("ascii").strip()
    except OSError as error:
        raise ValueError(f"names {path}, which cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        token = ""
    if not _TOKEN.fullmatch(token):
        raise ValueError(f"names {path}, which holds no token of at least 16 characters")
    return token


_REMEDIES = {
    "database_url": "Use sqlite:///path/to/file.db or postgresql://user:password@host/database.",
    "secret_key_file": "Give the path of a file; it is made on first start where it is missing.",
    "public_url": "Give the address people open, such as https://phone.company.com.",
    "kerberos_keytab": "Give the path of the service's keytab, or leave it empty.",
    "kerberos_networks": "Give networks such as 10.0.0.0/8, 192.168.1.0/24, or leave it empty.",
    "metrics_token_file": "Make one with `openssl rand -hex 32`, or leave the setting empty.",
    "proxy_header": "Name the header that the proxies write: x-forwarded-for or forwarded.",
    "trusted_proxies": "Count the reverse proxies in front of the service: 0 to 10.",
}


def load(environ: Mapping[str, str]) -> Settings:
    """The settings from the TOML file that KERAUNO_CONFIG names, and the environment.

    Raises ConfigurationError with every fault: unknown names, missing or broken files, bad values.
    """
    faults: list[SettingFault] = []
    values: dict[str, Any] = {}
    written: dict[str, str] = {}  # field -> the key as the operator wrote it
    path = environ.get(_CONFIG)
    if path is not None:
        for name, value in _read_toml(path, faults).items():
            _take(name, value, f"{path}: {name}", values, written, faults)
    for variable, text in environ.items():
        if variable.startswith(PREFIX) and variable != _CONFIG:
            name = variable.removeprefix(PREFIX).lower()
            _take(name, text, variable, values, written, faults)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        for problem in error.errors():
            name = str(problem["loc"][0])
            faults.append(_bad_value(name, written.get(name, name), cast("Any", problem)))
    if faults:
        raise ConfigurationError(faults)
    return settings


def _read_toml(path: str, faults: list[SettingFault]) -> dict[str, Any]:
    """The file's keys; what keeps it from being read goes to `faults`."""
    remedy = "Correct the path or the file, or unset KERAUNO_CONFIG to use the defaults."
    if not path:
        faults.append(SettingFault(_CONFIG, "is empty.", remedy))
        return {}
    try:
        return tomllib.loads(Path(path).read_text("utf-8"))
    except FileNotFoundError:
        faults.append(SettingFault(_CONFIG, f"there is no file {path}.", remedy))
    except OSError as error:
        faults.append(SettingFault(_CONFIG, f"cannot read {path}: {error.strerror}.", remedy))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        faults.append(SettingFault(_CONFIG, f"{path} is not valid TOML: {error}.", remedy))
    return {}


def _take(
    name: str,
    value: object,
    key: str,
    values: dict[str, Any],
    written: dict[str, str],
    faults: list[SettingFault],
) -> None:
    """Take one setting, or note that there is none of that name."""
    if name in Settings.model_fields:
        values[name] = value
        written[name] = key
        return
    near = difflib.get_close_matches(name, Settings.model_fields, n=1)
    hint = f"Did you mean {_like(key, near[0])}?" if near else "Remove it."
    faults.append(SettingFault(key, "is not a setting.", hint))


def _like(key: str, name: str) -> str:
    """The name in the spelling of its source: upper case with prefix for the environment."""
    return PREFIX + name.upper() if key.startswith(PREFIX) else name


def _bad_value(name: str, key: str, problem: Mapping[str, Any]) -> SettingFault:
    """One of pydantic's errors as a fault. The value itself may be a secret: it is not shown."""
    message = str(problem["msg"]).removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if problem["type"] != "value_error":
        message = f"cannot be used: {message}"
    default = Settings.model_fields[name].default
    remedy = _REMEDIES.get(name, f"Correct the value, or leave it out for the default, {default}.")
    return SettingFault(key, message.rstrip(".") + ".", remedy)
