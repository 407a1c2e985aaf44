"""Addresses at which apps are answered, handled as the texts that they were registered as.

Nothing here takes an address apart and puts it together again: what an app compares or reads of
its own address must come back to the byte.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import urlencode

_LOOPBACK = re.compile(r"(http://(\[[0-9a-f:.]+\]|[a-z0-9.]+))(?::([0-9]{1,5}))?((?:[/?].*)?)")
_ORIGIN = re.compile(r"https?://[^/?#]+", re.IGNORECASE)


def with_parameters(uri: str, parameters: Sequence[tuple[str, str]]) -> str:
    """Return the address with more parameters at the end of its query (RFC 6749 4.1.2).

    The address has no fragment. What it has of a query stays as it is.
    """
    added = urlencode(parameters)
    if "?" not in uri:
        return f"{uri}?{added}"
    return f"{uri}{added}" if uri[-1] in "?&" else f"{uri}&{added}"


def is_loopback(host: str) -> bool:
    """Tell whether a host is the machine itself, by name or by address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def without_loopback_port(uri: str) -> str | None:
    """Return an http address on the machine itself without its port; None for any other."""
    match = _LOOPBACK.fullmatch(uri)
    if match is None or not is_loopback(match[2].strip("[]")) or int(match[3] or 0) > 65535:
        return None
    return match[1] + match[4]


def origin(uri: str) -> str:
    """Return the address's origin as a policy names it; for a scheme of an app's own, the scheme.

    The address is one that can be registered, see `kerauno.oauth.registration.uri_problem`.
    """
    match = _ORIGIN.match(uri)
    return match[0] if match else uri.partition(":")[0] + ":"
