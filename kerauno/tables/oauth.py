"""The records of single sign-on for apps: who may ask, who agreed, what was issued.

Nothing here would let a reader of the database sign in: client secrets, codes and tokens are kept
as SHA-256 digests (they carry 256 random bits, so a plain digest cannot be searched back), and
private signing keys are sealed. Who leaves loses the rows: deleting them is what ends a token.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from kerauno.tables.core import Base

DIGEST = 64  # hex SHA-256


class SigningKey(Base):
    """A key pair that signs ID tokens and logout tokens. `id` is its `kid` (RFC 7638 thumbprint).

    Published from creation, signing from `signs_from` until `signs_until`, published until
    `expires_at`: apps that cache the key set always find the key a token was signed with.
    """

    __tablename__ = "signing_key"
    __table_args__ = (Index("ix_signing_key_algorithm", "algorithm", "signs_from"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    algorithm: Mapped[str] = mapped_column(String(8))  # RS256 ES256
    public: Mapped[dict[str, Any]]  # JWK
    sealed_private: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    signs_from: Mapped[datetime]
    signs_until: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]


class Client(Base):
    """An app that delegates sign-in (RFC 6749 2, RFC 7591 names). `id` is its client_id.

    `auth_method`: client_secret_basic, private_key_jwt or none (a public client).
    `first_party` apps are the company's own and skip consent.
    """

    __tablename__ = "client"
    __table_args__ = (
        CheckConstraint(
            "auth_method IN ('client_secret_basic', 'private_key_jwt', 'none')", name="auth_method"
        ),
        CheckConstraint("id_token_alg IN ('RS256', 'ES256')", name="id_token_alg"),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(128))
    auth_method: Mapped[str] = mapped_column(String(32))
    secret_digest: Mapped[str | None] = mapped_column(String(DIGEST))
    jwks: Mapped[dict[str, Any] | None]  # public keys of a private_key_jwt client
    redirect_uris: Mapped[list[Any]] = mapped_column(default=list)
    post_logout_redirect_uris: Mapped[list[Any]] = mapped_column(default=list)
    backchannel_logout_uri: Mapped[str] = mapped_column(Text, default="")
    grant_types: Mapped[list[Any]] = mapped_column(default=list)
    scopes: Mapped[list[Any]] = mapped_column(default=list)
    id_token_alg: Mapped[str] = mapped_column(String(8), default="RS256")
    first_party: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(default=1)


class Consent(Base):
    """The consent of a person to an app. Withdrawing it deletes the row and the app's tokens."""

    __tablename__ = "consent"

    user_id: Mapped[int] = mapped_column(
        ForeignKey("user.id", ondelete="CASCADE"), primary_key=True
    )
    client_id: Mapped[str] = mapped_column(
        ForeignKey("client.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    scopes: Mapped[list[Any]] = mapped_column(default=list)
    granted_at: Mapped[datetime]


class AuthorizationRequest(Base):
    """An authorization request kept here.

    Pushed by the app (RFC 9126), waiting for sign-in because it is too long for an address, or
    shown to a person who is to agree: then `session_handle` is theirs, and `parent` the request
    from which it came, if that is kept, too. `id` is the digest of the random part of its handle;
    `params` are the app's own words, asked at `asked_at`. For `owner` see
    `kerauno.database.table_bounds`.
    """

    __tablename__ = "authorization_request"

    id: Mapped[str] = mapped_column(String(DIGEST), primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("client.id", ondelete="CASCADE"), index=True)
    params: Mapped[dict[str, Any]] = mapped_column(default=dict)
    owner: Mapped[str] = mapped_column(String(160), index=True)
    session_handle: Mapped[str | None] = mapped_column(String(32))
    parent: Mapped[str | None] = mapped_column(String(DIGEST))
    asked_at: Mapped[datetime]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class AuthorizationCode(Base):
    """A code on its way through the browser. Redeemed at most once: `family_id` is then set.

    A redeemed code stays until it is swept, so that a replay ends what the first use gave out.
    """

    __tablename__ = "authorization_code"

    id: Mapped[str] = mapped_column(String(DIGEST), primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("client.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    session_handle: Mapped[str] = mapped_column(String(32), index=True)
    redirect_uri: Mapped[str] = mapped_column(Text)
    scope: Mapped[str] = mapped_column(Text)
    nonce: Mapped[str | None] = mapped_column(Text)
    code_challenge: Mapped[str] = mapped_column(String(128))
    auth_time: Mapped[datetime]
    method: Mapped[str] = mapped_column(String(16))  # how the person signed in, as in session
    family_id: Mapped[str | None] = mapped_column(String(32))
    expires_at: Mapped[datetime] = mapped_column(index=True)


class TokenFamily(Base):
    """All tokens that came of one sign-in to one app. Deleting it ends every one of them.

    The one valid refresh token is "id.secret" with `refresh_digest` its digest; any other token
    of this family is one already used, and its reuse ends the family (RFC 9700 4.14.2).
    `session_handle` is None for what no browser session stands behind (a desk phone).
    """

    __tablename__ = "token_family"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("client.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    session_handle: Mapped[str | None] = mapped_column(String(32), index=True)
    scope: Mapped[str] = mapped_column(Text)
    auth_time: Mapped[datetime]
    method: Mapped[str] = mapped_column(String(16))
    refresh_digest: Mapped[str | None] = mapped_column(String(DIGEST))
    created_at: Mapped[datetime]
    used_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class AccessToken(Base):
    """An opaque access token. Without a family and a user it is the app's own."""

    __tablename__ = "access_token"

    id: Mapped[str] = mapped_column(String(DIGEST), primary_key=True)
    family_id: Mapped[str | None] = mapped_column(
        ForeignKey("token_family.id", ondelete="CASCADE"), index=True
    )
    client_id: Mapped[str] = mapped_column(ForeignKey("client.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    scope: Mapped[str] = mapped_column(Text)
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class AppSession(Base):
    """A browser session's sign-in to an app, remembered so that the app can be told of its end."""

    __tablename__ = "app_session"

    session_handle: Mapped[str] = mapped_column(String(32), primary_key=True)
    client_id: Mapped[str] = mapped_column(
        ForeignKey("client.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    first_at: Mapped[datetime]


class DeviceGrant(Base):
    """A device that shows a code and waits for a person to confirm it (RFC 8628).

    `status`: pending, approved, denied, used. `interval` is the pause between polls. For `owner`
    see `kerauno.database.table_bounds`.
    """

    __tablename__ = "device_grant"
    __table_args__ = (
        CheckConstraint("status IN ('pending', 'approved', 'denied', 'used')", name="status"),
    )

    id: Mapped[str] = mapped_column(String(DIGEST), primary_key=True)
    user_code: Mapped[str] = mapped_column(String(DIGEST), unique=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("client.id", ondelete="CASCADE"), index=True)
    scope: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(16), default="pending")
    interval: Mapped[int] = mapped_column(default=5)  # seconds
    polled_at: Mapped[datetime | None]
    user_id: Mapped[int | None] = mapped_column(
        ForeignKey("user.id", ondelete="CASCADE"), index=True
    )
    auth_time: Mapped[datetime | None]
    method: Mapped[str] = mapped_column(String(16), default="")
    address: Mapped[str] = mapped_column(String(64), default="")  # of the device
    owner: Mapped[str] = mapped_column(String(160), index=True, server_default="")
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class UsedAssertion(Base):
    """A client assertion's `jti`, remembered until it expires: RFC 7523 assertions work once."""

    __tablename__ = "used_assertion"

    id: Mapped[str] = mapped_column(String(DIGEST), primary_key=True)  # digest of client and jti
    expires_at: Mapped[datetime] = mapped_column(index=True)


class LogoutDelivery(Base):
    """One app still to be told that a person is signed out (OpenID Connect Back-Channel Logout).

    Written in the transaction that ends the access, deleted when the app answered or after
    the last try; both are audited. `sid` None: every session of this subject.
    """

    __tablename__ = "logout_delivery"
    __table_args__ = (Index("ix_logout_delivery_due_at", "due_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("client.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"))
    subject: Mapped[str] = mapped_column(String(32))
    sid: Mapped[str | None] = mapped_column(String(32))
    queued_at: Mapped[datetime]
    due_at: Mapped[datetime]  # also the claim: whoever works on it moves it ahead
    attempts: Mapped[int] = mapped_column(default=0)
    error: Mapped[str] = mapped_column(Text, default="")


class ProtectedHost(Base):
    """A site behind a reverse proxy that asks here who is signed in (forward-auth).

    `departments` are ids of departments whose members alone may enter; empty: everyone.
    """

    __tablename__ = "protected_host"

    host: Mapped[str] = mapped_column(String(255), primary_key=True)  # lower case, with any port
    departments: Mapped[list[Any]] = mapped_column(default=list)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class HostSession(Base):
    """A browser's entry to one protected host, by which the session's own cookie stays at home.

    `id` is the digest of the host's cookie, or, until `ticket` is used, of nothing known.
    It is good for as long as the session that `session_handle` names.
    """

    __tablename__ = "host_session"

    id: Mapped[str] = mapped_column(String(DIGEST), primary_key=True)
    ticket: Mapped[str | None] = mapped_column(String(DIGEST), unique=True)
    session_handle: Mapped[str] = mapped_column(String(32), index=True)
    host: Mapped[str] = mapped_column(
        ForeignKey("protected_host.host", ondelete="CASCADE"), index=True
    )
    created_at: Mapped[datetime] = mapped_column(index=True)
