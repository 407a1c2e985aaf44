"""Signing keys: published before they sign, and after they stopped."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import timedelta
from typing import Any

import pytest
from authlib.oidc.discovery import OpenIDProviderMetadata
from joserfc import jws, jwt
from joserfc.jwk import ECKey, RSAKey
from sqlalchemy import select

from authsvc.oidc.keyring import Keyring, NotOurs
from kerauno.base.errors import KeyProblem
from kerauno.secrets import encryption, signing_keys
from kerauno.secrets.encryption import Sealer
from kerauno.tables.oauth import SigningKey
from tests.servers.sso import ISSUER, Sso


def _ring(sso: Sso) -> Keyring:
    """The keys as another process would see them now."""
    return Keyring(sso.database, sso.services.sealer, sso.clock)


def _kid(token: str) -> str:
    kid: str = jws.extract_compact(token.encode()).headers()["kid"]
    return kid


def _published(sso: Sso, algorithm: str = "RS256") -> list[str]:
    return [key["kid"] for key in _ring(sso).published() if key["alg"] == algorithm]


def test_the_first_keys_sign_at_once_and_show_nothing_private(sso: Sso) -> None:
    keys = sso.browser().get("/oauth/jwks").get_json()["keys"]
    assert sorted((key["kty"], key["alg"], key["use"]) for key in keys) == [
        ("EC", "ES256", "sig"),
        ("RSA", "RS256", "sig"),
    ]
    assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & {name for key in keys for name in key}
    ring = _ring(sso)
    for algorithm in ("RS256", "ES256"):
        token = ring.sign(algorithm, {"sub": "x"})
        assert _kid(token) in {key["kid"] for key in keys}
        assert ring.verify(token) == {"sub": "x"}


def test_a_process_whose_clock_is_behind_signs_with_the_first_keys_too(sso: Sso) -> None:
    first = _kid(_ring(sso).sign("RS256", {}))
    sso.clock.pass_(seconds=-5)
    assert _kid(_ring(sso).sign("RS256", {})) == first


def test_rotation_overlaps_by_a_day_on_both_sides(sso: Sso) -> None:
    start = sso.clock()
    first = _kid(_ring(sso).sign("RS256", {}))
    seen: dict[float, tuple[bool, int]] = {}
    for day in (0, 88.9, 89.1, 89.9, 90.1, 90.9, 91.1, 179.1, 182):
        sso.clock.now = start + timedelta(days=day)
        ring = _ring(sso)
        signs = _kid(ring.sign("RS256", {}))
        published = _published(sso)
        assert signs in published
        seen[day] = (signs == first, len(published))
    assert seen == {
        0: (True, 1),
        88.9: (True, 1),
        89.1: (True, 2),  # the next is published
        89.9: (True, 2),
        90.1: (False, 2),  # the next signs, the old is still there
        90.9: (False, 2),
        91.1: (False, 1),
        179.1: (False, 2),
        182: (False, 1),
    }


def test_a_service_that_slept_for_a_year_goes_on(sso: Sso) -> None:
    first = _kid(_ring(sso).sign("RS256", {}))
    sso.clock.pass_(days=365)
    ring = _ring(sso)
    assert _kid(ring.sign("RS256", {})) == first  # apps have not seen another yet
    sso.clock.pass_(days=1.1)
    ring = _ring(sso)
    assert _kid(ring.sign("RS256", {})) != first
    assert first in _published(sso)


def test_a_stolen_key_is_replaced_at_once(sso: Sso) -> None:
    stolen = _ring(sso).sign("RS256", {"sub": "x"})
    with sso.database.write() as s:
        made = signing_keys.rotate(s, sso.services.sealer, sso.clock(), at_once=True)
    ring = _ring(sso)
    assert sorted(_published(sso, "RS256") + _published(sso, "ES256")) == sorted(made)
    with pytest.raises(NotOurs):
        ring.verify(stolen)


def test_private_keys_are_sealed_and_sealed_anew(sso: Sso) -> None:
    _ring(sso).published()
    key_file = sso.settings.secret_key_file
    with sso.database.read() as s:
        before = {row.id: row.sealed_private for row in s.scalars(select(SigningKey))}
    assert all('"kty"' not in text for text in before.values())
    with sso.database.write() as s:
        assert encryption.rotate(s, key_file) == 2
    encryption.prune(key_file)
    with sso.database.read() as s:
        pairs = signing_keys.current(s, Sealer(key_file), sso.clock())
        assert {pair.id for pair in pairs.values()} == set(before)


def test_another_key_file_is_a_key_problem(sso: Sso, tmp_path: Any) -> None:
    _ring(sso).published()
    wrong = Keyring(sso.database, Sealer(tmp_path / "other.key", create=True), sso.clock)
    with pytest.raises(KeyProblem):
        wrong.sign("RS256", {})


def test_only_what_was_signed_here_is_ours(sso: Sso) -> None:
    ring = _ring(sso)
    good = ring.sign("ES256", {"sub": "x"})
    head, body, signature = good.split(".")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    stranger = ECKey.generate_key("P-256")
    for text in (
        *("", "x", "..", "ü.ü.ü"),
        *(f"{head}.{body}.", f"{head}.{body}x.{signature}", f"{unsigned}.{body}."),
        jwt.encode({"alg": "ES256", "kid": _kid(good)}, {"sub": "x"}, stranger, ["ES256"]),
        jwt.encode({"alg": "ES256", "kid": "unknown"}, {"sub": "x"}, stranger, ["ES256"]),
    ):
        with pytest.raises(NotOurs):
            ring.verify(text)


def test_a_public_key_is_no_shared_secret(sso: Sso) -> None:
    ring = _ring(sso)
    for key in ring.published():
        head = {"alg": "HS256", "kid": key["kid"]}
        text = ".".join(
            base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
            for part in (head, {"sub": "x"})
        )
        kind = RSAKey if key["kty"] == "RSA" else ECKey
        pem = kind.import_key(key).as_pem(private=False)
        mac = base64.urlsafe_b64encode(hmac.digest(pem, text.encode(), "sha256"))
        with pytest.raises(NotOurs):
            ring.verify(f"{text}.{mac.rstrip(b'=').decode()}")


def test_discovery_names_everything(provider: Sso) -> None:
    response = provider.browser().get("/.well-known/openid-configuration")
    document = response.get_json()
    OpenIDProviderMetadata(document).validate()
    assert document["issuer"] == ISSUER
    rules = {rule.rule for rule in provider.app.url_map.iter_rules()}
    for name, value in document.items():
        if name.endswith(("_endpoint", "jwks_uri")):
            assert value.removeprefix(ISSUER) in rules, name
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["authorization_response_iss_parameter_supported"] is True
    same = provider.browser().get("/.well-known/oauth-authorization-server")
    assert same.get_json() == document


def test_the_issuer_is_the_configured_address_whatever_the_host_header(provider: Sso) -> None:
    response = provider.browser().get(
        "/.well-known/openid-configuration", headers={"Host": "evil.example"}
    )
    assert "evil.example" not in response.text
