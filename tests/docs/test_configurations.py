"""The files in config/ that an operator copies work as they stand."""

from __future__ import annotations

import configparser
import http.client
import json
import ssl
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.pki import CertificateAuthority
from tests.servers.process import PROJECT, Server, free_port, listening, loopback
from tests.servers.web import Installation

NAME = "kerauno.company.com"
EMAIL, PASSWORD = "admin@company.com", "correct horse battery"
_FRAME = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/kerauno.conf;
}}
"""


@dataclass
class Site:
    """Kerauno behind nginx, spoken to by its public name."""

    host: str
    port: int
    plain_port: int
    trust: ssl.SSLContext

    def ask(
        self,
        method: str,
        path: str,
        *,
        form: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        source: str = "127.0.0.1",
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """One request over TLS, from the given address."""
        connection = http.client.HTTPSConnection(
            self.host, self.port, context=self.trust, source_address=(source, 0), timeout=20
        )
        body = urllib.parse.urlencode(form) if form else None
        sent = {"Host": NAME} | (headers or {})
        if form:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        return answer, answer.read()


@pytest.fixture
def site(tmp_path: Path, sqlite_url: str) -> Iterator[Site]:
    settings = {"KERAUNO_PUBLIC_URL": f"https://{NAME}", "KERAUNO_TRUSTED_PROXIES": "1"}
    made = Installation(tmp_path, sqlite_url, settings)
    made.must(
        *("authsvc", "admin", "create", EMAIL, "--first", "Ada", "--last", "Admin"),
        "--password-stdin",
        stdin=f"{PASSWORD}\n",
    )
    made.start()
    host = loopback()
    port, plain_port = free_port(host), free_port(host)
    authority = CertificateAuthority()
    certificate, key = authority.issue(tmp_path, [NAME], [host])
    text = (PROJECT / "config/nginx/kerauno.conf").read_text()
    for old, new in (
        ("server 127.0.0.1:8000", f"server {made.host}:{made.port}"),
        ("listen 80;", f"listen {host}:{plain_port};"),
        ("listen 443 ssl;", f"listen {host}:{port} ssl;"),
        ("/etc/ssl/kerauno/certificate.pem", str(certificate)),
        ("/etc/ssl/kerauno/private.key", str(key)),
    ):
        assert old in text, old
        text = text.replace(old, new)
    (tmp_path / "kerauno.conf").write_text(text)
    (tmp_path / "nginx.conf").write_text(_FRAME.format(folder=tmp_path))
    server = Server(
        ["nginx", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-e", "stderr"],
        log=tmp_path / "nginx.log",
    )
    server.wait_for(lambda: listening(host, port))
    trust = ssl.create_default_context(cadata=authority.pem)
    yield Site(host, port, plain_port, trust)
    server.stop()
    made.stop()


@pytest.mark.relying_party
def test_kerauno_behind_nginx(site: Site) -> None:
    forged = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "http"}
    answer, _ = site.ask(
        *("POST", "/login"),
        form={"username": EMAIL, "password": PASSWORD},
        headers=forged,
        source="127.0.0.9",
    )
    assert answer.status == 303
    cookie = answer.getheader("Set-Cookie") or ""
    assert "Secure" in cookie
    signed_in = {"Cookie": cookie.split(";")[0]}
    answer, body = site.ask("GET", "/api/v1/me", headers=signed_in)
    assert (answer.status, json.loads(body)["email"]) == (200, EMAIL)
    _, home = site.ask("GET", "/", headers=signed_in)
    assert b"127.0.0.9" in home  # where the session began, by nginx's word
    assert b"203.0.113.7" not in home


@pytest.mark.relying_party
def test_figures_are_not_for_the_world(site: Site) -> None:
    answer, body = site.ask("GET", "/metrics")
    assert (answer.status, b"kerauno_" in body) == (200, True)
    assert site.ask("GET", "/metrics", source="127.0.0.9")[0].status == 403


@pytest.mark.relying_party
def test_plain_http_leads_to_https(site: Site) -> None:
    connection = http.client.HTTPConnection(site.host, site.plain_port, timeout=20)
    connection.request("GET", "/login?next=%2F", headers={"Host": "somebody.else"})
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Location")) == (301, f"https://{NAME}/login?next=%2F")


UNITS = sorted((PROJECT / "config/systemd").iterdir())


@pytest.mark.parametrize("unit", UNITS, ids=lambda one: one.name)
def test_units_start_what_exists_and_are_named_in_the_guide(unit: Path) -> None:
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(unit.read_text())
    guide = (PROJECT / "docs/operations.md").read_text()
    assert unit.name.removesuffix(".service") in guide
    if parser.has_section("Service"):
        program, *arguments = parser["Service"]["ExecStart"].split()
        assert program.removeprefix("/opt/kerauno/.venv/bin/") in ("authsvc", "syncsvc")
        assert arguments[0] in ("serve", "once")
        assert parser["Service"]["User"] == "kerauno"
        assert parser["Service"]["ProtectSystem"] == "strict"


@pytest.mark.parametrize(
    ("file", "dropped"),
    [("caddy/Caddyfile", "request_header -{}\n"), ("traefik/kerauno.yml", '          {}: ""\n')],
)
def test_identity_headers_cannot_be_sent_with_an_underscore_either(file: str, dropped: str) -> None:
    """nginx drops such names by itself; CGI and WSGI apps take them for the true ones."""
    text = (PROJECT / "config" / file).read_text()
    for name in ("User", "Email", "Name", "Groups"):
        assert f"Remote-{name}" in text
        assert dropped.format(f"Remote_{name}") in text
