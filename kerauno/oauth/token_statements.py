"""The statements behind `kerauno.oauth.tokens`, compiled once; see `kerauno.database.prepared`.

Where a person's being active decides, PostgreSQL locks the row for sharing: a deactivation that
runs at the same time then either waits and sees the new token, or is seen. SQLite has one writer
at a time anyway.
"""

from __future__ import annotations

from sqlalchemy import and_, bindparam, delete, insert, or_, select, true, update
from sqlalchemy.dialects.postgresql import insert as upsert  # SQLite speaks this clause too

from kerauno.database.prepared import Statement
from kerauno.tables.core import Department, Membership, Number, User, WebSession
from kerauno.tables.oauth import AccessToken, AppSession, AuthorizationCode, TokenFamily

_EXTENSION = (
    select(Number.number)
    .where(Number.user_id == User.id, Number.reserved_until.is_(None))
    .scalar_subquery()
)
_HOLDER_COLUMNS = (
    User.id,
    User.subject,
    User.username,
    User.email,
    User.first_name,
    User.last_name,
    User.updated_at,
    _EXTENSION,
)
_MAY_SIGN_IN = and_(User.active == true(), User.blocked != true())

PERSON = Statement(
    select(*_HOLDER_COLUMNS)
    .where(User.id == bindparam("user"), _MAY_SIGN_IN)
    .with_for_update(read=True, of=User)
)
PERSON_IN_SESSION = Statement(
    select(*_HOLDER_COLUMNS)
    .join(WebSession, WebSession.user_id == User.id)
    .where(User.id == bindparam("user"), WebSession.handle == bindparam("handle"), _MAY_SIGN_IN)
    .with_for_update(read=True, of=[User, WebSession])
)
DEPARTMENTS = Statement(
    select(Department.label)
    .join(Membership, Membership.department_id == Department.id)
    .where(Membership.user_id == bindparam("user"))
    .order_by(Department.label)
)

NEW_CODE = Statement(insert(AuthorizationCode))
CLAIM_CODE = Statement(
    update(AuthorizationCode)
    .where(AuthorizationCode.id == bindparam("code"), AuthorizationCode.family_id.is_(None))
    .values(family_id=bindparam("family"))
    .returning(
        AuthorizationCode.client_id,
        AuthorizationCode.user_id,
        AuthorizationCode.session_handle,
        AuthorizationCode.redirect_uri,
        AuthorizationCode.scope,
        AuthorizationCode.nonce,
        AuthorizationCode.code_challenge,
        AuthorizationCode.auth_time,
        AuthorizationCode.method,
        AuthorizationCode.expires_at,
    )
)
FAMILY_OF_CODE = Statement(
    select(AuthorizationCode.family_id).where(AuthorizationCode.id == bindparam("code"))
)

NEW_FAMILY = Statement(insert(TokenFamily))
NEW_ACCESS = Statement(insert(AccessToken))
NEW_APP_SESSION = Statement(upsert(AppSession).on_conflict_do_nothing())
END_FAMILY = Statement(delete(TokenFamily).where(TokenFamily.id == bindparam("family")))
FAMILY = Statement(
    select(TokenFamily.client_id, TokenFamily.refresh_digest, TokenFamily.expires_at).where(
        TokenFamily.id == bindparam("family")
    )
)
ROTATE = Statement(
    update(TokenFamily)
    .where(
        TokenFamily.id == bindparam("family"),
        TokenFamily.refresh_digest == bindparam("old"),
        TokenFamily.client_id == bindparam("client"),
        TokenFamily.expires_at > bindparam("now"),
    )
    .values(
        refresh_digest=bindparam("fresh"), used_at=bindparam("now"), expires_at=bindparam("until")
    )
    .returning(
        TokenFamily.user_id,
        TokenFamily.session_handle,
        TokenFamily.scope,
        TokenFamily.auth_time,
        TokenFamily.method,
    )
)
HOLDER = Statement(
    select(*_HOLDER_COLUMNS, AccessToken.scope)
    .join(AccessToken, AccessToken.user_id == User.id)
    .where(
        AccessToken.id == bindparam("token"),
        AccessToken.expires_at > bindparam("now"),
        _MAY_SIGN_IN,
    )
)
DESCRIBE_ACCESS = Statement(
    select(
        AccessToken.client_id,
        AccessToken.scope,
        AccessToken.issued_at,
        AccessToken.expires_at,
        User.subject,
        User.username,
    )
    .outerjoin(User, AccessToken.user_id == User.id)
    .where(
        AccessToken.id == bindparam("token"),
        AccessToken.expires_at > bindparam("now"),
        or_(AccessToken.user_id.is_(None), _MAY_SIGN_IN),
    )
)
DESCRIBE_REFRESH = Statement(
    select(
        TokenFamily.client_id,
        TokenFamily.scope,
        TokenFamily.created_at,
        TokenFamily.expires_at,
        User.subject,
        User.username,
    )
    .join(User, TokenFamily.user_id == User.id)
    .where(
        TokenFamily.id == bindparam("family"),
        TokenFamily.refresh_digest == bindparam("secret"),
        TokenFamily.expires_at > bindparam("now"),
        _MAY_SIGN_IN,
    )
)
REVOKE_ACCESS = Statement(
    delete(AccessToken).where(
        AccessToken.id == bindparam("token"), AccessToken.client_id == bindparam("client")
    )
)
REVOKE_FAMILY = Statement(
    delete(TokenFamily).where(
        TokenFamily.id == bindparam("family"), TokenFamily.client_id == bindparam("client")
    )
)
