"""Apps that prove themselves by signed assertions (RFC 7523), and what is no proof."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from tests.servers.sso import (
    ISSUER,
    RegisteredApp,
    Sso,
    answered,
    error_of,
)

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Signer:
    """An app that authenticates by signed assertions."""

    def __init__(self, sso: Sso, key: Any, **more: Any) -> None:
        self.sso, self.key = sso, key
        jwks = {"keys": [{**key.as_dict(private=False), "kid": "1"}]}
        self.app = sso.register("Signer", auth_method="private_key_jwt", jwks=jwks, **more)

    def send(self, *, key: Any = None, header: dict[str, Any] | None = None, **claims: Any) -> Any:
        """A client_credentials request; None takes a claim away."""
        now = int(self.sso.clock().timestamp())
        content = {
            "iss": self.app.id,
            "sub": self.app.id,
            "aud": ISSUER,
            "iat": now,
            "exp": now + 60,
            "jti": f"{now}-{len(claims)}-{sorted(claims)}",
        } | claims
        given = {name: value for name, value in content.items() if value is not None}
        alg = "ES256" if self.key.key_type == "EC" else "RS256"
        head = {"alg": alg, "kid": "1"} | (header or {})
        signed = jwt.encode(head, given, key or self.key, [head["alg"]])
        return self.post(signed)

    def post(self, assertion: str) -> Any:
        """A request with any text as its assertion."""
        form = {"client_assertion_type": ASSERTION, "client_assertion": assertion}
        return self.sso.token(
            RegisteredApp(self.app.id, ""), grant_type="client_credentials", **form
        )


@pytest.fixture(params=["RSA", "EC"])
def signer(provider: Sso, request: pytest.FixtureRequest) -> Signer:
    key = RSAKey.generate_key(2048) if request.param == "RSA" else ECKey.generate_key("P-256")
    return Signer(provider, key, scopes=("openid", "things"))


def test_a_signed_assertion_works_once(signer: Signer) -> None:
    assert signer.send(jti="once").status_code == 200
    assert error_of(signer.send(jti="once")) == (401, "invalid_client")
    assert signer.send(jti="twice", aud=f"{ISSUER}/oauth/token").status_code == 200
    assert signer.send(jti="thrice", aud=[ISSUER, "https://other"]).status_code == 200


def test_faulty_assertions(signer: Signer) -> None:
    now = int(signer.sso.clock().timestamp())
    for claims in (
        {"aud": "https://other.example"},
        {"aud": None},
        {"iss": "somebody"},
        {"iss": None},
        {"sub": "nobody"},
        {"sub": None},
        {"sub": 7},
        {"exp": now - 31},
        {"exp": None},
        {"exp": now + 3631},
        {"exp": "soon"},
        {"nbf": now + 31},  # not yet valid
        {"iat": now + 31},
        {"jti": None},
        {"jti": ""},
    ):
        assert error_of(signer.send(**claims)) == (401, "invalid_client"), claims
    assert error_of(signer.send(header={"kid": "unknown"})) == (401, "invalid_client")
    stranger = RSAKey.generate_key(2048)
    assert error_of(signer.send(key=stranger, header={"alg": "RS256"})) == (401, "invalid_client")
    for text in ("", "x", "a.b.c", "e30.e30.", "ü.ü.ü", f"{'a' * 9000}.b.c"):
        status, error = error_of(signer.post(text))
        assert (status, error) == (401, "invalid_client"), text


def _encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def test_alg_none_and_key_confusion_in_assertions(signer: Signer) -> None:
    now = int(signer.sso.clock().timestamp())
    claims = {
        "iss": signer.app.id,
        "sub": signer.app.id,
        "aud": ISSUER,
        "exp": now + 60,
        "jti": "j",
    }
    unsigned = f"{_encoded({'alg': 'none', 'kid': '1'})}.{_encoded(claims)}."
    assert error_of(signer.post(unsigned)) == (401, "invalid_client")
    public = signer.key.as_pem(private=False)
    text = f"{_encoded({'alg': 'HS256', 'kid': '1'})}.{_encoded(claims)}"
    mac = hmac.digest(public, text.encode(), "sha256")
    confused = f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    assert error_of(signer.post(confused)) == (401, "invalid_client")


def test_a_secret_does_not_stand_in_for_a_signature(signer: Signer) -> None:
    response = signer.sso.token(RegisteredApp(signer.app.id, "x"), grant_type="client_credentials")
    assert error_of(response) == (401, "invalid_client")
    wrong_type = signer.sso.token(
        RegisteredApp(signer.app.id, ""),
        grant_type="client_credentials",
        client_assertion="x",
        client_assertion_type="urn:other",
    )
    assert error_of(wrong_type) == (400, "invalid_request")


def _token(header: bytes, payload: bytes) -> str:
    parts = (base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (header, payload))
    return ".".join((*parts, "c2ln"))


_HEADER = b'{"alg":"RS256","kid":"1"}'


@pytest.mark.parametrize(
    "assertion",
    [
        _token(_HEADER, b"[" * 1400),
        _token(_HEADER, b'{"sub":' * 1400),
        _token(_HEADER, b'{"sub":' + b"9" * 5000 + b"}"),
        _token(_HEADER, b"\xff"),
        _token(b"[" * 1400, b'{"sub":"SIGNER"}'),
        _token(b'{"alg":"RS256","kid":[]}', b'{"sub":"SIGNER"}'),
        _token(b'{"alg":["RS256"],"kid":{}}', b'{"sub":"SIGNER"}'),
        _token(b'{"alg":"RS256","crit":5}', b'{"sub":"SIGNER"}'),
        _token(b'{"alg":"RS256","b64":false,"crit":["b64"]}', b'{"sub":"SIGNER"}'),
        _token(b"null", b'{"sub":"SIGNER"}'),
        _token(b"[]", b'{"sub":"SIGNER"}'),
        _token(_HEADER, b'{"sub":"\\ud800"}'),
    ],
)
def test_no_assertion_is_an_error_of_ours(provider: Sso, assertion: str) -> None:
    signer = Signer(provider, RSAKey.generate_key(2048))
    head, payload, end = assertion.split(".")
    named = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    named = named.replace(b"SIGNER", signer.app.id.encode())
    payload = base64.urlsafe_b64encode(named).rstrip(b"=").decode()
    form = {
        "client_assertion_type": ASSERTION,
        "client_assertion": f"{head}.{payload}.{end}",
        "grant_type": "client_credentials",
        "token": "x",
    }
    for path in ("token", "introspect", "revoke", "par", "device"):
        response = provider.browser().post(f"/oauth/{path}", data=form)
        assert error_of(response) == (401, "invalid_client"), path


def test_no_id_token_hint_is_an_error_of_ours(provider: Sso) -> None:
    person, app = provider.person(), provider.register()
    for hint in (_token(b"[" * 1400, b"{}"), _token(_HEADER, b"[" * 1400), "\xf1.x.y", "..", "."):
        response = provider.authorize(person.browser, app, id_token_hint=hint, prompt="none")
        assert answered(response)["error"] == "login_required"
        page = person.browser.get("/oauth/logout", query_string={"id_token_hint": hint})
        assert page.status_code == 200


def test_numbers_that_are_no_times(signer: Signer) -> None:
    for number in (float("nan"), float("inf"), -float("inf"), 1e308, 10**400, 10**17):
        for name in ("exp", "nbf", "iat"):
            claims: dict[str, Any] = {name: number, "jti": f"{name}{number}"[:40]}
            response = signer.send(**claims)
            assert error_of(response) == (401, "invalid_client"), (name, number)
