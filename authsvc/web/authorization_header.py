"""The credentials of a request's Authorization header, read so that no header is an error."""

from __future__ import annotations

import base64


def basic(header: str) -> tuple[str, str] | None:
    """Return name and password of HTTP Basic (RFC 7617); None where the header holds none."""
    kind, _, value = header.partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        pair = base64.b64decode(value.strip(), validate=True).decode()
    except ValueError:  # not base64, not ASCII, not UTF-8
        return None
    name, colon, password = pair.partition(":")
    return (name, password) if colon else None


def bearer(header: str) -> str:
    """Return the token of a Bearer header (RFC 6750 2.1); empty where it holds none."""
    kind, _, token = header.partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""
