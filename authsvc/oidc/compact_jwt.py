"""A signed JWT as it was sent, read within bounds before a library looks at its signature."""

from __future__ import annotations

import base64
from typing import Any

from authsvc.web.json_reader import parse_json

LONGEST = 16 * 1024  # characters; RS256 with many claims takes about two thousand


def read_unverified(token: str) -> dict[str, Any]:
    """Return the claims of a token in compact form (RFC 7515 7.1), not to be believed yet.

    Raise ValueError where header or claims are no JSON object of bounded depth: what passes here
    can be given to joserfc, which reads both again without bounds.
    """
    parts = token.split(".")
    if len(token) > LONGEST or len(parts) != 3:
        raise ValueError("This is no signed token.")
    header, claims = (parse_json(_decoded(part)) for part in parts[:2])
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise ValueError("Header and claims must be JSON objects.")
    return claims


def _decoded(part: str) -> bytes:
    return base64.b64decode(part.encode("ascii") + b"=" * (-len(part) % 4), b"-_", validate=True)
