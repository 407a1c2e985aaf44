"""Proving passwords and changing them: every request that carries a person's password."""

from __future__ import annotations

from dirclient.config import presets
from dirclient.config.ports import Identity
from dirclient.config.profile import Encryption, Profile
from dirclient.connection import result_codes
from dirclient.connection.ldap_connection import Connection, Result
from dirclient.connection.pool import Pool
from dirclient.model.deadline import time_limit
from dirclient.model.errors import BadCredentials, PasswordRejected, Refused
from dirclient.wire import decode

LONGEST_PASSWORD = 1024
"""Characters; AD's own limit is 256 (MS-ADTS 3.1.1.3.1.5), other directories differ."""


def is_blank_password(password: str) -> bool:
    """Return whether a bind with this could succeed without proving anything, or can prove nothing.

    Empty and blank ones may be taken for an unauthenticated bind (RFC 4513 5.1.2), one with a NUL
    may be cut there, and what is longer than any directory keeps or is no text is nobody's.
    """
    if len(password) > LONGEST_PASSWORD or "\0" in password or not password.strip():
        return True
    try:
        password.encode()
    except UnicodeEncodeError:  # half of a character
        return True
    return False


class LdapAuthenticator:
    """`Authenticator` over LDAP. One bind for each call, on a verifying connection.

    Another one only where a server said that it could not judge the password.
    """

    def __init__(self, profile: Profile, pool: Pool) -> None:
        self._profile = profile
        self._preset = presets.of(profile)
        self._pool = pool

    def authenticate(self, identity: Identity, password: str) -> None:
        """See `Authenticator`."""
        name = self._preset.bind_name(identity)
        if is_blank_password(password) or not name.strip():
            raise BadCredentials()
        with time_limit(self._profile.sign_in_timeout):
            self._pool.prove(lambda connection: connection.bind(name, password))

    def change_password(self, identity: Identity, old: str, new: str) -> None:
        """See `Authenticator`."""
        if self._profile.encryption is Encryption.NONE:
            raise PasswordRejected(
                "Passwords are changed on encrypted connections only.", reason="insecure"
            )
        # An empty old password would turn the change into an administrator's reset.
        if is_blank_password(old):
            raise PasswordRejected("The old password is wrong.", reason="old_password")
        if is_blank_password(new):
            raise PasswordRejected("The new password is empty.", reason="policy")
        with time_limit(self._profile.sign_in_timeout):
            change = self._change_ad if self._preset.is_ad else self._change_ldap
            answer = change(identity, old, new)
        if answer.code != result_codes.SUCCESS:
            raise result_codes.change_refusal(answer.code, answer.message)

    def _change_ad(self, identity: Identity, old: str, new: str) -> Result:
        """As the service account: AD checks the old value, so it need not be allowed to reset.

        That also serves people whose password has expired, who cannot bind (MS-ADTS 3.1.1.3.1.5.2).
        """
        changes = (
            ("delete", "unicodePwd", (_quoted(old),)),
            ("add", "unicodePwd", (_quoted(new),)),
        )
        dn = self._preset.bind_name(identity)

        def modify(connection: Connection) -> Result:
            return connection.modify(dn, changes)

        return self._pool.ask(modify, repeatable=False)

    def _change_ldap(self, identity: Identity, old: str, new: str) -> Result:
        """As the person, who may write their own password where nobody else may (RFC 3062)."""
        value = _password_modify(identity.dn, old, new)

        def change(connection: Connection) -> Result:
            try:
                connection.bind(identity.dn, old)
            except BadCredentials as no:
                raise PasswordRejected("The old password is wrong.", reason="old_password") from no
            except Refused as no:
                raise PasswordRejected(str(no), reason="other", subcode=no.subcode) from no
            return connection.extended(decode.PASSWORD_MODIFY, value)

        return self._pool.prove(change, private=True)


def _quoted(password: str) -> bytes:
    """A value of `unicodePwd`: quoted UTF-16, little-endian (MS-ADTS 3.1.1.3.1.5)."""
    return f'"{password}"'.encode("utf-16-le")


def _password_modify(dn: str, old: str, new: str) -> bytes:
    """The value of the Password Modify operation (RFC 3062 2), which ldap3 knows how to write."""
    from ldap3.protocol.rfc3062 import PasswdModifyRequestValue  # slow to load, seldom wanted
    from pyasn1.codec.ber.encoder import encode

    value = PasswdModifyRequestValue()
    value["userIdentity"], value["oldPasswd"], value["newPasswd"] = dn, old, new
    return bytes(encode(value))
