"""Code flows, refreshes and userinfo per second, beside the signing rate and a constant answer.

A flow is what an app makes a signed-in person's browser and itself do: the browser's authorization
request (session check, code, redirect), the app's token request (code and PKCE checked, tokens
stored, ID token signed) and its userinfo request. Connections are kept, as apps keep theirs.
Run it with `make bench` or `.venv/bin/python -m benchmarks.sso [--flows 3000]`.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from authsvc.services import lifetime_for
from authsvc.web.session import cookie_for
from benchmarks.load import Figures, Http, Response, measure
from benchmarks.outcome import ends_loudly, require, require_good
from kerauno.accounts import users
from kerauno.accounts.users import NewUser
from kerauno.base.config import load
from kerauno.database.engine import Database
from kerauno.oauth import clients
from kerauno.oauth.registration import Registration
from kerauno.signin import sessions
from tests.servers.process import PROJECT, free_port, listening, loopback
from tests.servers.web import Installation

WORKERS = 2
THREADS = 8
CONCURRENCY = 8
PEOPLE = 200
REDIRECT = "https://wiki.goodcompany.local/callback"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
SCOPE = "openid profile email offline_access"
_local = threading.local()
_numbers = count()


class App:
    """An app and its people, who are signed in."""

    def __init__(self, installation: Installation, algorithm: str) -> None:
        settings = load(installation.environ)
        database = Database(settings.database_url)
        now = datetime.now(UTC)
        with database.write() as s:
            wish = Registration("Wiki", redirect_uris=(REDIRECT,), id_token_alg=algorithm)
            row, secret = clients.create(s, wish, now)
            self.id = row.id
            self.cookies = []
            for _ in range(PEOPLE):
                number = next(_numbers)
                user = users.create(
                    s, NewUser(f"p{number}@goodcompany.local", "P", f"N{number}"), now
                )
                made = sessions.create(
                    s, user.id, method="directory", now=now, lifetime=lifetime_for(settings)
                )
                self.cookies.append(f"{cookie_for(settings)}={made.cookie}")
        database.close()
        pair = base64.b64encode(f"{self.id}:{secret}".encode()).decode()
        self.basic = f"Authorization: Basic {pair}\r\n"
        self.host, self.port = installation.host, installation.port
        query = {
            "response_type": "code",
            "client_id": self.id,
            "redirect_uri": REDIRECT,
            "scope": SCOPE,
            "state": "af0ifjsldkj",
            "nonce": "n-0S6_WzA2Mj",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        self.authorize = "/oauth/authorize?" + urlencode(query)

    def connection(self) -> Http:
        """This thread's kept connection."""
        held = getattr(_local, "http", None)
        if held is None or _local.port != self.port:
            held = _local.http = Http(self.host, self.port)
            _local.port = self.port
        return held

    def tokens(self, number: int) -> dict[str, str]:
        """Authorize and token: the first two thirds of a flow."""
        http = self.connection()
        cookie = f"Cookie: {self.cookies[number % PEOPLE]}\r\n"
        answer = http.get(self.authorize, cookie)
        query = parse_qs(urlsplit(answer.header("location")).query)
        require("code" in query, f"no code, but HTTP {answer.status} {query.get('error')}")
        code = query["code"][0]
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REDIRECT,
            "code_verifier": VERIFIER,
        }
        return self._tokens(http.post("/oauth/token", form, self.basic))

    def _tokens(self, answer: Response) -> dict[str, str]:
        require(answer.status == 200, f"HTTP {answer.status} {answer.body[:200]!r}")
        body: dict[str, str] = json.loads(answer.body)
        return body

    def userinfo(self, access_token: str) -> bool:
        """Return what the token tells."""
        answer = self.connection().get(
            "/oauth/userinfo", f"Authorization: Bearer {access_token}\r\n"
        )
        return answer.status == 200

    def flow(self, number: int) -> bool:
        """A whole flow."""
        body = self.tokens(number)
        return "id_token" in body and self.userinfo(body["access_token"])

    def refresh(self, family: list[str], times: int) -> bool:
        """Trade a refresh token so many times, each for the next."""
        for _ in range(times):
            form = {"grant_type": "refresh_token", "refresh_token": family[0]}
            answer = self.connection().post("/oauth/token", form, self.basic)
            family[0] = self._tokens(answer)["refresh_token"]
        return True


def signing_rate(algorithm: str, seconds: float = 1.5) -> float:
    """ID tokens that one process signs in a second, with the library the provider uses."""
    key = RSAKey.generate_key(2048) if algorithm == "RS256" else ECKey.generate_key("P-256")
    claims = {"iss": "https://auth.goodcompany.local", "sub": "x" * 32, "aud": "wiki", "exp": 1}
    header = {"alg": algorithm, "kid": "x" * 43}
    done, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        jwt.encode(header, dict(claims), key, [algorithm])
        done += 1
    return done / (time.perf_counter() - begun)


def constant_rate(folder: Path) -> float:
    """Requests a second that the same gunicorn answers with a constant."""
    (folder / "constant.py").write_text(
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [('Content-Type', 'text/plain'), ('Content-Length', '3')])\n"
        "    return [b'ok\\n']\n"
    )
    host = loopback()
    port = free_port(host)
    command = [sys.executable, "-m", "gunicorn", "constant:app", "--bind", f"{host}:{port}"]
    command += ["--workers", str(WORKERS), "--threads", str(THREADS), "--worker-class", "gthread"]
    command += ["--log-level", "error", "--no-control-socket"]
    server = subprocess.Popen(command, cwd=folder)
    try:
        while not listening(host, port):
            require(server.poll() is None, f"gunicorn ended with {server.poll()}")
            time.sleep(0.05)
        jobs = [partial(_constant, host, port)] * 6000
        return require_good(measure(jobs, CONCURRENCY), "a constant answer").rate
    finally:
        server.terminate()
        server.wait()


def _constant(host: str, port: int) -> bool:
    held = getattr(_local, "constant", None)
    if held is None:
        held = _local.constant = Http(host, port)
    return held.get("/").status == 200


def measured(name: str, jobs: Sequence[Callable[[], bool]], pid: int, each: int = 1) -> Figures:
    """Run and print; `each` is how many of what is measured one job does."""
    figures = require_good(measure(jobs, CONCURRENCY, pid), name)
    rate, cpu = figures.rate * each, figures.cpu_ms / each
    print(
        f"{name:<28}{rate:8.0f}/s   cpu {cpu:5.2f} ms   p99 "
        f"{figures.percentile(0.99) / each:6.1f} ms",
        flush=True,
    )
    return figures


def run(installation: Installation, algorithm: str, flows: int) -> None:
    """Everything for one signature algorithm."""
    assert installation.server is not None
    pid = installation.server.pid
    app = App(installation, algorithm)
    warming = [partial(app.flow, number) for number in range(100)]
    require_good(measure(warming, CONCURRENCY), "warming up")
    measured(f"code flows {algorithm}", [partial(app.flow, n) for n in range(flows)], pid)
    families = [[app.tokens(number)["refresh_token"]] for number in range(64)]
    jobs = [partial(app.refresh, family, 40) for family in families]
    measured(f"refreshes {algorithm}", jobs, pid, 40)
    token = app.tokens(0)["access_token"]
    measured("userinfo", [partial(app.userinfo, token)] * (flows * 2), pid)


def main() -> None:
    """Both algorithms, on SQLite."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flows", type=int, default=3000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kerauno-bench-") as scratch:
        folder = Path(scratch)
        for algorithm in ("RS256", "ES256"):
            print(f"signing {algorithm}, one process {signing_rate(algorithm):8.0f}/s", flush=True)
        print(f"gunicorn, a constant        {constant_rate(folder):8.0f}/s", flush=True)
        installation = Installation(folder)
        installation.must("authsvc", "db", "upgrade")
        installation.start(workers=WORKERS, threads=THREADS)
        try:
            for algorithm in ("RS256", "ES256"):
                run(installation, algorithm, options.flows)
        finally:
            installation.stop()
        log = re.sub(r"\s+", " ", (folder / "web.log").read_text())
        if log.strip():
            print(f"the server said: {log[:400]}", file=sys.stderr)


if __name__ == "__main__":
    sys.path.insert(0, str(PROJECT))
    ends_loudly("benchmarks.sso", main)
