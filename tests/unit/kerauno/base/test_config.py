"""The settings of the processes: defaults, precedence, and every fault at once."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from kerauno.base.config import Settings, load
from kerauno.base.errors import ConfigurationError
from tests.servers.process import PROJECT

DOCUMENTED = PROJECT / "config" / "kerauno.toml"


def faults(environ: dict[str, str]) -> dict[str, str]:
    with pytest.raises(ConfigurationError) as raised:
        load(environ)
    assert str(raised.value).count("\n") == len(raised.value.faults) - 1
    return {fault.key: f"{fault.message} {fault.remedy}" for fault in raised.value.faults}


def test_the_documented_file_holds_every_key_at_its_default() -> None:
    written = tomllib.loads(DOCUMENTED.read_text())
    assert set(written) == set(Settings.model_fields)
    assert load({"KERAUNO_CONFIG": str(DOCUMENTED)}) == Settings() == load({})


def test_every_key_of_the_documented_file_is_explained() -> None:
    blocks = DOCUMENTED.read_text().split("\n\n")
    assert all(block.startswith("#") for block in blocks)


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "kerauno.toml"
    file.write_text('port = 9000\npublic_url = "https://a.example"\n')
    settings = load({"KERAUNO_CONFIG": str(file), "KERAUNO_PORT": "9001", "HOME": "/nowhere"})
    assert (settings.port, settings.public_url, settings.secure) == (
        9001,
        "https://a.example",
        True,
    )


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    found = faults(
        {
            "KERAUNO_CONFIG": str(tmp_path / "gone.toml"),
            "KERAUNO_DATABSE_URL": "sqlite:///x",
            "KERAUNO_FROBNICATE": "1",
            "KERAUNO_DATABASE_URL": "mysql://root:hunter2@host/db",
            "KERAUNO_PORT": "99999",
            "KERAUNO_TRUSTED_PROXIES": "many",
            "KERAUNO_PUBLIC_URL": "phone.company.com",
            "KERAUNO_SECRET_KEY_FILE": str(tmp_path),
            "KERAUNO_LOG_LEVEL": "loud",
        }
    )
    assert set(found) == {
        "KERAUNO_CONFIG",
        "KERAUNO_DATABSE_URL",
        "KERAUNO_FROBNICATE",
        "KERAUNO_DATABASE_URL",
        "KERAUNO_PORT",
        "KERAUNO_TRUSTED_PROXIES",
        "KERAUNO_PUBLIC_URL",
        "KERAUNO_SECRET_KEY_FILE",
        "KERAUNO_LOG_LEVEL",
    }
    assert "KERAUNO_DATABASE_URL?" in found["KERAUNO_DATABSE_URL"]
    assert "https://phone.company.com" in found["KERAUNO_PUBLIC_URL"]
    assert "hunter2" not in str(found)


def test_faults_of_the_file_name_the_file_and_the_key(tmp_path: Path) -> None:
    file = tmp_path / "kerauno.toml"
    file.write_text('prot = 80\nport = "http"\n[tabel]\nx = 1\n')
    found = faults({"KERAUNO_CONFIG": str(file)})
    assert set(found) == {f"{file}: prot", f"{file}: port", f"{file}: tabel"}
    assert "Did you mean port?" in found[f"{file}: prot"]


@pytest.mark.parametrize("content", [b"port = ", b"\xff\xfe", b"port = 1\nport = 2\n"])
def test_a_broken_file_is_one_fault(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "kerauno.toml"
    file.write_bytes(content)
    assert list(faults({"KERAUNO_CONFIG": str(file)})) == ["KERAUNO_CONFIG"]


@pytest.mark.parametrize("path", ["", "."])
def test_a_path_that_is_no_file_is_one_fault(path: str) -> None:
    assert list(faults({"KERAUNO_CONFIG": path})) == ["KERAUNO_CONFIG"]


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example/path",
        "https://user@a.example",
        "https://a.example?x=1",
        "ftp://a.example",
        "https://a.example:port",
        "https://[::1",
        "",
    ],
)
def test_public_urls_that_are_no_origin(url: str) -> None:
    assert list(faults({"KERAUNO_PUBLIC_URL": url})) == ["KERAUNO_PUBLIC_URL"]


@pytest.mark.parametrize(
    "url", ["", "nonsense", "sqlite://", "sqlite:///:memory:", "postgresql://host", "oracle://x/y"]
)
def test_database_addresses_that_cannot_be_used(url: str) -> None:
    assert list(faults({"KERAUNO_DATABASE_URL": url})) == ["KERAUNO_DATABASE_URL"]


@pytest.mark.parametrize("content", [None, "", "short", "two words of a token", "tökentökentöken"])
def test_a_metrics_token_that_protects_nothing(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    assert list(faults({"KERAUNO_METRICS_TOKEN_FILE": str(file)})) == ["KERAUNO_METRICS_TOKEN_FILE"]


def test_a_trailing_slash_and_capitals_do_not_change_the_issuer() -> None:
    assert load({"KERAUNO_PUBLIC_URL": "https://A.Example:8443/"}).public_url == (
        "https://a.example:8443"
    )


def test_the_database_password_is_not_in_the_representation() -> None:
    settings = load({"KERAUNO_DATABASE_URL": "postgresql://kerauno:hunter2@host/db"})
    assert "hunter2" not in repr(settings)
