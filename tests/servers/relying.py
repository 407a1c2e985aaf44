"""Real relying parties: Apache with mod_auth_openidc, Node with openid-client, Authlib's client."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

from authlib.common.security import generate_token
from authlib.oauth2.client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from flask import Flask, Response, jsonify, redirect, request
from joserfc import jwt
from joserfc.jwk import KeySet
from werkzeug.serving import make_server

from tests.servers.process import CACHE, PROJECT, Server, free_port, listening, loopback
from tests.servers.web import Installation

NODE = PROJECT / "tests" / "sso" / "node"
APACHE = PROJECT / "config" / "apache" / "kerauno.conf"
_MODULES = Path("/usr/lib/apache2/modules")
_LIKE_NODE_18 = "data:text/javascript,delete globalThis.crypto"
"""Debian 12's Node 18 has no global `crypto`: the app runs as there with every Node."""
_EVENT = "http://schemas.openid.net/event/backchannel-logout"


class RelyingParty(Protocol):
    """An app that delegates sign-in. `page` shows who is signed in, else begins the sign-in."""

    page: str
    logout: str

    def start(self) -> None:
        """Run it; returns when it answers."""

    def stop(self) -> None:
        """End it."""


class _Address:
    """The address of a relying party, known before it starts so that it can be registered."""

    def __init__(self) -> None:
        self.host = loopback()
        self.port = free_port(self.host)

    @property
    def url(self) -> str:
        """Without a slash at the end."""
        return f"http://{self.host}:{self.port}"


def _register(
    web: Installation, name: str, redirect: str, after: str, back: str, *more: str
) -> dict[str, str]:
    made: dict[str, str] = web.json(
        *("authsvc", "client", "add", name, "--redirect-uri", redirect),
        *("--post-logout-redirect-uri", after, "--backchannel-logout-uri", back, *more),
    )
    return made


class NodeParty(_Address):
    """openid-client on Node."""

    def __init__(self, web: Installation, folder: Path) -> None:
        super().__init__()
        folder.mkdir()
        self.page, self.logout = f"{self.url}/me", f"{self.url}/logout"
        self._folder = folder
        made = _register(
            *(web, "Node app", f"{self.url}/callback", f"{self.url}/bye"),
            *(f"{self.url}/backchannel", "--id-token-alg", "ES256"),
        )
        self._environ = {
            "ISSUER": web.url,
            "CLIENT_ID": made["client_id"],
            "CLIENT_SECRET": made["client_secret"],
            "HOST": self.host,
            "PORT": str(self.port),
        }
        self._server: Server | None = None

    def start(self) -> None:
        """See `RelyingParty`."""
        self._server = Server(
            ["node", "--import", _LIKE_NODE_18, str(_node_folder() / "rp.mjs")],
            log=self._folder / "node.log",
            env=dict(os.environ) | self._environ,
        )
        self._server.wait_for(lambda: listening(self.host, self.port))

    def stop(self) -> None:
        """See `RelyingParty`."""
        if self._server:
            self._server.stop()


def _node_folder() -> Path:
    """The relying party with its library, installed once for each lock file."""
    lock = (NODE / "package-lock.json").read_bytes()
    folder = CACHE / "node" / hashlib.sha256(lock).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        for name in ("package.json", "package-lock.json", ".npmrc", "rp.mjs"):
            shutil.copy(NODE / name, folder / name)
        if not (folder / "done").exists():
            subprocess.run(["npm", "ci"], cwd=folder, check=True, capture_output=True)
            (folder / "done").touch()
    return folder


class ApacheParty(_Address):
    """Apache with mod_auth_openidc and the configuration that the product ships."""

    def __init__(self, web: Installation) -> None:
        super().__init__()
        # Its workers run as nobody, whom the tests' own folders do not let in.
        folder = Path(tempfile.mkdtemp(prefix="kerauno-apache-"))
        folder.chmod(0o755)
        page = folder / "site" / "index.shtml"
        page.parent.mkdir()
        page.parent.chmod(0o755)
        page.touch()
        page.chmod(0o644)
        page.write_text(
            '{"user": "<!--#echo var="REMOTE_USER" -->", '
            '"email": "<!--#echo var="OIDC_CLAIM_email" -->"}'
        )
        callback = f"{self.url}/.oidc/callback"
        self.page = f"{self.url}/index.shtml"
        self.logout = f"{callback}?" + urlencode({"logout": f"{self.url}/"})
        made = _register(
            *(web, "Apache site", callback, f"{self.url}/"), f"{callback}?logout=backchannel"
        )
        self._folder = folder
        self._config = folder / "apache.conf"
        self._config.write_text(
            _APACHE.format(
                folder=folder,
                host=self.host,
                port=self.port,
                modules=_MODULES,
                kerauno=web.url,
                passphrase=secrets.token_hex(16),
                id=made["client_id"],
                secret=made["client_secret"],
                shipped=APACHE,
            )
        )
        self._server: Server | None = None

    def start(self) -> None:
        """See `RelyingParty`."""
        self._server = Server(
            ["apache2", "-f", str(self._config), "-DFOREGROUND"], log=self._folder / "apache.log"
        )
        self._server.wait_for(lambda: listening(self.host, self.port))

    def stop(self) -> None:
        """See `RelyingParty`."""
        if self._server:
            self._server.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


_APACHE = """
ServerRoot {folder}
ServerName {host}
PidFile {folder}/apache.pid
Mutex file:{folder} default
Listen {host}:{port}
ErrorLog {folder}/error.log
User nobody
Group nogroup
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authn_core_module {modules}/mod_authn_core.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule authz_user_module {modules}/mod_authz_user.so
LoadModule mime_module {modules}/mod_mime.so
LoadModule filter_module {modules}/mod_filter.so
LoadModule include_module {modules}/mod_include.so
LoadModule auth_openidc_module {modules}/mod_auth_openidc.so
TypesConfig /dev/null
DocumentRoot {folder}/site
<Directory {folder}/site>
    Options +Includes
    AddType application/json .shtml
    AddOutputFilter INCLUDES .shtml
</Directory>
Define KERAUNO {kerauno}
Define SITE http://{host}:{port}
Define KERAUNO_PASSPHRASE {passphrase}
OIDCClientID {id}
OIDCClientSecret {secret}
Include {shipped}
"""


class _Answer:
    """The methods of a response that Authlib's client calls."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status_code, self._body = status, body

    def json(self) -> Any:
        """The body."""
        return json.loads(self._body)

    def raise_for_status(self) -> None:
        """As the libraries do."""
        if self.status_code >= 400:
            raise OSError(f"HTTP {self.status_code}")


class _Transport:
    """The session that Authlib's client sends by: the standard library, no cookies."""

    headers: dict[str, str] = {}

    def post(self, url: str, data: Any = None, headers: Any = None, auth: Any = None) -> _Answer:
        """POST a form, signed by the client's own authentication."""
        body = data if isinstance(data, str) else urlencode(data)
        url, headers, body = auth.prepare("POST", url, dict(headers), body)
        outgoing = urllib.request.Request(url, body.encode(), headers)
        try:
            with urllib.request.urlopen(outgoing, timeout=20) as answer:
                return _Answer(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            return _Answer(error.code, error.read())


class AuthlibParty(_Address):
    """Authlib's own client in a small Flask app."""

    def __init__(self, web: Installation) -> None:
        super().__init__()
        self.page, self.logout = f"{self.url}/me", f"{self.url}/logout"
        made = _register(
            *(web, "Authlib app", f"{self.url}/callback", f"{self.url}/bye"),
            f"{self.url}/backchannel",
        )
        self._id, self._secret = made["client_id"], made["client_secret"]
        self._issuer = web.url
        self._sessions: dict[str, dict[str, Any]] = {}
        self._server = make_server(self.host, self.port, self._app(), threaded=True)

    def start(self) -> None:
        """See `RelyingParty`."""
        self._metadata = _read(f"{self._issuer}/.well-known/openid-configuration")
        self._keys = KeySet.import_key_set(_read(self._metadata["jwks_uri"]))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """See `RelyingParty`."""
        self._server.shutdown()
        self._server.server_close()

    def _client(self) -> OAuth2Client:
        return OAuth2Client(
            _Transport(),
            self._id,
            self._secret,
            scope="openid profile email offline_access",
            redirect_uri=f"{self.url}/callback",
            code_challenge_method="S256",
        )

    def _app(self) -> Flask:
        app = Flask("relying")
        app.add_url_rule("/login", view_func=self._login)
        app.add_url_rule("/callback", view_func=self._callback)
        app.add_url_rule("/me", view_func=self._me)
        app.add_url_rule("/refresh", view_func=self._refresh)
        app.add_url_rule("/logout", view_func=self._log_out)
        app.add_url_rule("/bye", view_func=lambda: jsonify(bye=True), endpoint="bye")
        app.add_url_rule("/backchannel", view_func=self._backchannel, methods=["POST"])
        return app

    @property
    def _session(self) -> dict[str, Any]:
        return self._sessions.get(request.cookies.get("rp", ""), {})

    def _login(self) -> Response:
        verifier, nonce, cookie = generate_token(48), generate_token(20), generate_token(30)
        url, state = self._client().create_authorization_url(
            self._metadata["authorization_endpoint"], code_verifier=verifier, nonce=nonce
        )
        self._sessions[cookie] = {"verifier": verifier, "nonce": nonce, "state": state}
        response = redirect(url)
        response.set_cookie("rp", cookie, httponly=True)
        return response  # type: ignore[return-value]

    def _callback(self) -> Response:
        session = self._session
        assert request.args["iss"] == self._issuer
        token = self._client().fetch_token(
            self._metadata["token_endpoint"],
            authorization_response=request.url,
            state=session["state"],
            code_verifier=session["verifier"],
        )
        read = jwt.decode(token["id_token"], self._keys, algorithms=["RS256"])
        claims = CodeIDToken(
            read.claims,
            read.header,
            options={
                "iss": {"essential": True, "value": self._issuer},
                "aud": {"essential": True, "value": self._id},
                "nonce": {"essential": True, "value": session["nonce"]},
            },
            params={"nonce": session["nonce"], "access_token": token["access_token"]},
        )
        claims.validate()
        session.update(token=dict(token), claims=dict(claims))
        return redirect("/me")  # type: ignore[return-value]

    def _me(self) -> Response:
        session = self._session
        if "claims" not in session:
            return Response(status=401)
        info = _read(self._metadata["userinfo_endpoint"], session["token"]["access_token"])
        return jsonify(claims=session["claims"], userinfo=info)

    def _refresh(self) -> Response:
        session = self._session
        token = self._client().refresh_token(
            self._metadata["token_endpoint"], refresh_token=session["token"]["refresh_token"]
        )
        session["token"] = dict(token)
        return jsonify(scope=token["scope"])

    def _log_out(self) -> Response:
        query = {
            "id_token_hint": self._session["token"]["id_token"],
            "post_logout_redirect_uri": f"{self.url}/bye",
        }
        return redirect(  # type: ignore[return-value]
            f"{self._metadata['end_session_endpoint']}?{urlencode(query)}"
        )

    def _backchannel(self) -> Response:
        read = jwt.decode(request.form["logout_token"], self._keys, algorithms=["RS256"])
        claims = read.claims
        assert (claims["iss"], claims["aud"]) == (self._issuer, self._id)
        assert _EVENT in claims["events"]
        for cookie, session in list(self._sessions.items()):
            held = session.get("claims", {})
            if held.get("sub") == claims["sub"] and claims.get("sid") in (None, held.get("sid")):
                del self._sessions[cookie]
        return Response(status=204)


def _read(url: str, token: str = "") -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
        return json.loads(answer.read())
