"""Codes and tokens: given out, used up, and ended. Only digests are stored; see `tables_oidc`.

Every function runs inside the caller's transaction, so that a token and what it stands on change
together. A refusal is a value, not an exception: what it changed (a code used up, a family ended
because its token was used twice) must be committed all the same.
"""

from __future__ import annotations

import enum
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from kerauno.database.prepared import PreparedConnection, Row
from kerauno.oauth import token_statements
from kerauno.oauth.clients import digest, new_secret

CODE_SECONDS = 60
ACCESS_SECONDS = 600
REFRESH_DAYS = 30
"""A refresh token lasts this long since its last use. Leaving ends it at once, whatever its age."""


class TokenRefusal(enum.StrEnum):
    """Why a code or token was not accepted. For the audit; the app is told RFC 6749's word."""

    UNKNOWN = "unknown"
    EXPIRED = "expired"
    REPLAYED = "replayed"  # everything that came of its first use has been ended
    OTHER_CLIENT = "other-client"
    REDIRECT_CHANGED = "redirect-changed"
    VERIFIER_WRONG = "verifier-wrong"
    PERSON_GONE = "person-gone"  # inactive, blocked, or the session has ended
    SCOPE_TOO_WIDE = "scope-too-wide"


@dataclass(frozen=True, slots=True)
class TokenHolder:
    """The person behind a token, with what scopes may tell of them."""

    user_id: int
    subject: str
    username: str
    email: str
    first_name: str
    last_name: str
    updated_at: datetime
    extension: str | None
    departments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SignIn:
    """How and when the person proved who they are."""

    at: datetime
    method: str
    session_handle: str | None


@dataclass(frozen=True, slots=True)
class Issued:
    """The result of a successful grant: the tokens in the clear, this once, and their person."""

    access_token: str
    refresh_token: str | None
    scope: str
    holder: TokenHolder
    sign_in: SignIn
    nonce: str | None = None
    first_in_session: bool = False  # of this app in this browser session


def new_code(
    h: PreparedConnection,
    now: datetime,
    *,
    client_id: str,
    user_id: int,
    redirect_uri: str,
    scope: str,
    nonce: str | None,
    code_challenge: str,
    sign_in: SignIn,
) -> str:
    """Give out an authorization code (RFC 6749 4.1.2), good for one minute and one use."""
    code = new_secret()
    h.run(
        token_statements.NEW_CODE,
        id=digest(code),
        client_id=client_id,
        user_id=user_id,
        session_handle=sign_in.session_handle,
        redirect_uri=redirect_uri,
        scope=scope,
        nonce=nonce,
        code_challenge=code_challenge,
        auth_time=sign_in.at,
        method=sign_in.method,
        family_id=None,
        expires_at=now + timedelta(seconds=CODE_SECONDS),
    )
    return code


def redeem_code(
    h: PreparedConnection,
    now: datetime,
    code: str,
    *,
    client_id: str,
    redirect_uri: str | None,
    challenge: str,
) -> Issued | TokenRefusal:
    """Use up a code. `challenge` is the S256 of the verifier the app presents (RFC 7636 4.6).

    Any attempt uses the code up: one that was seen by a stranger is worth nothing to anybody.
    A second use ends what the first one gave out (RFC 6749 4.1.2, RFC 9700 4.5).
    """
    family_id = secrets.token_hex(16)
    row = h.one(token_statements.CLAIM_CODE, code=digest(code), family=family_id)
    if row is None:
        return _second_use(h, digest(code))
    owner, user_id, handle, redirect, scope, nonce, expected, auth_time, method, expires = row
    if owner != client_id:
        return TokenRefusal.OTHER_CLIENT
    if expires <= now:
        return TokenRefusal.EXPIRED
    if redirect != redirect_uri:
        return TokenRefusal.REDIRECT_CHANGED
    if not secrets.compare_digest(expected, challenge):
        return TokenRefusal.VERIFIER_WRONG
    person = h.one(token_statements.PERSON_IN_SESSION, user=user_id, handle=handle)
    if person is None:
        return TokenRefusal.PERSON_GONE
    sign_in = SignIn(auth_time, method, handle)
    first = h.run(
        token_statements.NEW_APP_SESSION,
        session_handle=handle,
        client_id=client_id,
        user_id=user_id,
        first_at=now,
    )
    holder = _holder(h, person, scope)
    issued = _new_family(h, now, family_id, client_id, holder, scope, sign_in)
    return replace(issued, nonce=nonce, first_in_session=first > 0)


def start_family(
    h: PreparedConnection,
    now: datetime,
    *,
    client_id: str,
    user_id: int,
    scope: str,
    sign_in: SignIn,
) -> Issued | TokenRefusal:
    """Tokens without a code: for a device that a person confirmed in their browser."""
    person = h.one(token_statements.PERSON, user=user_id)
    if person is None:
        return TokenRefusal.PERSON_GONE
    family_id = secrets.token_hex(16)
    holder = _holder(h, person, scope)
    return _new_family(h, now, family_id, client_id, holder, scope, sign_in)


def refresh(
    h: PreparedConnection, now: datetime, token: str, *, client_id: str, scope: str | None
) -> Issued | TokenRefusal:
    """Trade a refresh token for a new one and an access token (RFC 6749 6, RFC 9700 4.14).

    A token that was traded before ends its family: one of its two holders is a thief.
    SCOPE_TOO_WIDE leaves everything as it was: roll back.
    """
    family_id, _, secret = token.partition(".")
    fresh = new_secret()
    row = h.one(
        token_statements.ROTATE,
        family=family_id,
        old=digest(secret),
        client=client_id,
        fresh=digest(fresh),
        now=now,
        until=now + timedelta(days=REFRESH_DAYS),
    )
    if row is None:
        return _refused_refresh(h, now, family_id, secret, client_id)
    user_id, handle, granted, auth_time, method = row
    if scope is not None and not set(scope.split()) <= set(granted.split()):
        return TokenRefusal.SCOPE_TOO_WIDE
    person = h.one(token_statements.PERSON, user=user_id)
    if person is None:
        h.run(token_statements.END_FAMILY, family=family_id)
        return TokenRefusal.PERSON_GONE
    given = " ".join(scope.split()) if scope else granted
    access = _new_access(h, now, family_id, client_id, user_id, given)
    holder = _holder(h, person, given)
    sign_in = SignIn(auth_time, method, handle)
    return Issued(access, f"{family_id}.{fresh}", given, holder, sign_in)


def client_token(h: PreparedConnection, now: datetime, *, client_id: str, scope: str) -> str:
    """An access token of the app's own (RFC 6749 4.4); nobody stands behind it."""
    return _new_access(h, now, None, client_id, None, scope)


@dataclass(frozen=True, slots=True)
class Described:
    """The description of a token for introspection (RFC 7662 2.2)."""

    kind: str  # access_token refresh_token
    client_id: str
    scope: str
    issued_at: datetime
    expires_at: datetime
    subject: str | None
    username: str | None


def holder_of(
    h: PreparedConnection, now: datetime, access_token: str
) -> tuple[TokenHolder, str] | None:
    """The person of a living access token and its scope; None for any other text."""
    row = h.one(token_statements.HOLDER, token=digest(access_token), now=now)
    if row is None:
        return None
    scope = row[-1]
    return _holder(h, row[:-1], scope), scope


def describe(h: PreparedConnection, now: datetime, token: str) -> Described | None:
    """Return what a living token is, of either kind; None for any other text."""
    row = h.one(token_statements.DESCRIBE_ACCESS, token=digest(token), now=now)
    if row is not None:
        return Described("access_token", *row)
    family_id, _, secret = token.partition(".")
    row = h.one(token_statements.DESCRIBE_REFRESH, family=family_id, secret=digest(secret), now=now)
    return None if row is None else Described("refresh_token", *row)


def revoke(h: PreparedConnection, token: str, *, client_id: str) -> bool:
    """End a token of this app (RFC 7009): an access token alone, a refresh token with its family.

    Gives whether there was one. An app cannot end what is not its own.
    """
    if h.run(token_statements.REVOKE_ACCESS, token=digest(token), client=client_id):
        return True
    family_id, _, _ = token.partition(".")
    return h.run(token_statements.REVOKE_FAMILY, family=family_id, client=client_id) > 0


def _second_use(h: PreparedConnection, code_digest: str) -> TokenRefusal:
    """End what the first use gave out; a third use finds nothing and is not worth a note."""
    row = h.one(token_statements.FAMILY_OF_CODE, code=code_digest)
    if row is None or not h.run(token_statements.END_FAMILY, family=row[0]):
        return TokenRefusal.UNKNOWN
    return TokenRefusal.REPLAYED


def _refused_refresh(
    h: PreparedConnection, now: datetime, family_id: str, secret: str, client_id: str
) -> TokenRefusal:
    row = h.one(token_statements.FAMILY, family=family_id)
    if row is None:
        return TokenRefusal.UNKNOWN
    owner, current, expires = row
    if owner != client_id:
        return TokenRefusal.OTHER_CLIENT
    if expires <= now or current is None:
        return TokenRefusal.EXPIRED
    if current == digest(secret):  # it was valid when asked again: another caller was faster
        return TokenRefusal.UNKNOWN
    h.run(token_statements.END_FAMILY, family=family_id)
    return TokenRefusal.REPLAYED


def _new_family(
    h: PreparedConnection,
    now: datetime,
    family_id: str,
    client_id: str,
    holder: TokenHolder,
    scope: str,
    sign_in: SignIn,
) -> Issued:
    """A family with its first tokens; a refresh token only for who asked for offline_access."""
    secret = new_secret() if "offline_access" in scope.split() else None
    lifetime = timedelta(days=REFRESH_DAYS) if secret else timedelta(seconds=ACCESS_SECONDS)
    h.run(
        token_statements.NEW_FAMILY,
        id=family_id,
        client_id=client_id,
        user_id=holder.user_id,
        session_handle=sign_in.session_handle,
        scope=scope,
        auth_time=sign_in.at,
        method=sign_in.method,
        refresh_digest=digest(secret) if secret else None,
        created_at=now,
        used_at=now,
        expires_at=now + lifetime,
    )
    access = _new_access(h, now, family_id, client_id, holder.user_id, scope)
    refresh_token = f"{family_id}.{secret}" if secret else None
    return Issued(access, refresh_token, scope, holder, sign_in)


def _new_access(
    h: PreparedConnection,
    now: datetime,
    family_id: str | None,
    client_id: str,
    user_id: int | None,
    scope: str,
) -> str:
    token = new_secret()
    h.run(
        token_statements.NEW_ACCESS,
        id=digest(token),
        family_id=family_id,
        client_id=client_id,
        user_id=user_id,
        scope=scope,
        issued_at=now,
        expires_at=now + timedelta(seconds=ACCESS_SECONDS),
    )
    return token


def _holder(h: PreparedConnection, person: Row, scope: str) -> TokenHolder:
    user_id, subject, username, email, first, last, updated_at, extension = person
    departments: tuple[str, ...] = ()
    if "groups" in scope.split():
        departments = tuple(row[0] for row in h.all(token_statements.DEPARTMENTS, user=user_id))
    return TokenHolder(
        user_id, subject, username, email, first, last, updated_at, extension, departments
    )
