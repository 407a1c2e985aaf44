"""TLS: the one context of a profile, and what a failed handshake means."""

from __future__ import annotations

import ssl

from dirclient.config.profile import Encryption, Profile
from dirclient.connection.outages import reason
from dirclient.model.errors import Misconfigured, Unavailable


def context(profile: Profile) -> ssl.SSLContext | None:
    """The profile's one TLS context: building it costs milliseconds, so it is shared.

    Verification is always on. With certificates given, exactly these are trusted, and each is an
    anchor, an intermediate or a server's own included. Without RFC 5280's strictest rules, which
    Python 3.13 turned on and the CAs of many companies do not meet. None where nothing is
    encrypted.
    """
    if profile.encryption is Encryption.NONE:
        return None
    try:
        made = ssl.create_default_context(cadata=profile.ca_certificates.strip() or None)
    except (ssl.SSLError, ValueError, TypeError) as odd:
        raise Misconfigured(
            "The CA certificate cannot be read.",
            field="ca_certificates",
            remedy="Upload it in PEM form, beginning with -----BEGIN CERTIFICATE-----.",
        ) from odd
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return made


_X509_NAME = (62, 64)  # hostname or IP address mismatch
_X509_TIME = {9: "is not valid yet", 10: "has expired"}


def fault(why: Exception, server: str, profile: Profile) -> Misconfigured | Unavailable:
    """Return what a failed handshake means and what to do about it."""
    if isinstance(why, ssl.SSLCertVerificationError):
        if why.verify_code in _X509_NAME:
            return Misconfigured(
                f"The certificate of {server} is not for the name {profile.tls_name_of(server)!r}.",
                field="tls_name",
                remedy="Enter as TLS name a name that the certificate shows, "
                "usually the server's full host name.",
            )
        if why.verify_code in _X509_TIME:
            return Misconfigured(
                f"The certificate of {server} {_X509_TIME[why.verify_code]}.",
                field="servers",
                remedy="Renew the certificate on the server, and compare the clocks.",
            )
        return Misconfigured(
            f"The certificate of {server} is not signed by a trusted authority "
            f"({why.verify_message}).",
            field="ca_certificates",
            remedy="Upload the certificate of the authority that issued it.",
        )
    if isinstance(why, TimeoutError):
        return Unavailable(
            f"{server} port {profile.port}: the TLS handshake got no answer in time."
        )
    if isinstance(why, ssl.SSLError) and why.reason in (
        "WRONG_VERSION_NUMBER",
        "RECORD_LAYER_FAILURE",
        "PACKET_LENGTH_TOO_LONG",
    ):
        return Misconfigured(
            f"{server} port {profile.port} does not speak TLS.",
            field="port",
            remedy="LDAPS uses port 636; on port 389 choose StartTLS.",
        )
    if isinstance(why, ssl.SSLError) and not isinstance(why, ssl.SSLEOFError):
        return Misconfigured(
            f"{server} and this machine cannot agree on TLS ({why.reason or why}).",
            field="encryption",
            remedy="Allow TLS 1.2 or later on the server.",
        )
    return Unavailable(
        f"{server} port {profile.port}: broke off during the TLS handshake; it may have no "
        f"certificate ({reason(why)})."
    )
