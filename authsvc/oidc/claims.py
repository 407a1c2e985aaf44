"""Claims about a person by scope, and the claims of an ID token. Pure.

OpenID Connect Core 2, 5.1 and 5.4; `groups` is what other providers call the same. Names are as
they may be shown; a department's is its label, which no other's looks like.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from authlib.oidc.core.util import create_half_hash

from kerauno.base.visible_text import visible
from kerauno.oauth.clients import ClientInfo
from kerauno.oauth.tokens import Issued, TokenHolder

ID_TOKEN_LIFETIME = timedelta(minutes=10)

SUPPORTED = (
    "sub",
    "iss",
    "aud",
    "exp",
    "iat",
    "auth_time",
    "nonce",
    "at_hash",
    "acr",
    "amr",
    "azp",
    "sid",
    "name",
    "given_name",
    "family_name",
    "preferred_username",
    "updated_at",
    "email",
    "email_verified",
    "phone_number",
    "phone_number_verified",
    "groups",
)

ACR_PASSWORD = "urn:kerauno:acr:password"  # noqa: S105 - a name, not one
ACR_KERBEROS = "urn:kerauno:acr:kerberos"
ACRS = (ACR_PASSWORD, ACR_KERBEROS)


def acr(method: str) -> str:
    """The authentication context class of a way to sign in."""
    return ACR_KERBEROS if method == "kerberos" else ACR_PASSWORD


def amr(method: str) -> list[str]:
    """The authentication methods of a way to sign in (RFC 8176 2)."""
    return ["wia"] if method == "kerberos" else ["pwd"]


def of_person(holder: TokenHolder, scopes: Collection[str]) -> dict[str, Any]:
    """The claims that these scopes tell of a person. `sub` is always there and never a name."""
    claims: dict[str, Any] = {"sub": holder.subject}
    if "profile" in scopes:
        first_name, last_name = visible(holder.first_name), visible(holder.last_name)
        claims |= {
            "name": f"{first_name} {last_name}".strip(),
            "given_name": first_name,
            "family_name": last_name,
            "preferred_username": holder.username,
            "updated_at": int(holder.updated_at.timestamp()),
        }
    if "email" in scopes:
        claims |= {"email": holder.email, "email_verified": True}
    if "phone" in scopes and holder.extension:
        claims |= {"phone_number": holder.extension, "phone_number_verified": True}
    if "groups" in scopes:
        claims["groups"] = list(holder.departments)
    return claims


def id_token(issuer: str, client: ClientInfo, issued: Issued, now: datetime) -> dict[str, Any]:
    """The claims of an ID token for what was just issued."""
    sign_in = issued.sign_in
    at_hash = create_half_hash(issued.access_token, client.id_token_alg)
    assert at_hash is not None  # both algorithms have a hash
    claims: dict[str, Any] = {
        "iss": issuer,
        "aud": client.id,
        "azp": client.id,
        "iat": int(now.timestamp()),
        "exp": int((now + ID_TOKEN_LIFETIME).timestamp()),
        "auth_time": int(sign_in.at.timestamp()),
        "acr": acr(sign_in.method),
        "amr": amr(sign_in.method),
        "at_hash": at_hash.decode("ascii"),
    }
    if sign_in.session_handle:
        claims["sid"] = sign_in.session_handle
    if issued.nonce is not None:
        claims["nonce"] = issued.nonce
    return claims | of_person(issued.holder, issued.scope.split())
