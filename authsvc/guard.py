"""Whether a browser may see what it asked a reverse proxy for: who it is, and the host's rule.

A protected host (`kerauno.protected`) is named by the proxy in X-Forwarded-Host. Its browsers
bring the host's own cookie; on the sign-in service's own host the session's cookie serves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from cachetools import TTLCache

from kerauno import protected, sessions
from kerauno.db import Database
from kerauno.errors import InvalidValue
from kerauno.protected import Rule
from kerauno.sessions import Lifetime, Signed

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

WAY_IN = "/.kerauno/start"
_RULES_KEPT = 2.0  # seconds

Found = tuple[Signed, tuple[str, ...]]
"""Who is signed in, and the names of their departments."""


class Guard:
    """Knows the cookies and the rules. Safe to share by threads."""

    def __init__(
        self,
        database: Database,
        *,
        cookie: str,
        lifetime: Lifetime,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._cookie = cookie + "="
        self._host_cookie = host_cookie_for(cookie) + "="
        self._lifetime = lifetime
        self._now = now
        self._rules: TTLCache[None, dict[str, Rule]] = TTLCache(1, _RULES_KEPT)
        self._lock = threading.Lock()

    def check(self, environ: WSGIEnvironment) -> tuple[Found | None, bool]:
        """Who it is, and whether they may enter. Raises DatabaseUnavailable."""
        host = forwarded_host(environ)
        found = self._who(environ.get("HTTP_COOKIE", ""), host)
        if not found:
            return None, False
        return found, not host or self._may_enter(found[0], host)

    def _who(self, cookies: str, host: str) -> Found | None:
        """Whom the cookies prove, and their departments."""
        database, now = self._database, self._now()
        own = cookie_value(cookies, self._cookie)
        if own:
            found = sessions.check_with_departments(database, own, now, self._lifetime)
            if found:
                return found
        entry = host and cookie_value(cookies, self._host_cookie)
        if not entry:
            return None
        with database.fast() as h:
            session_id = protected.session_of(h, entry, host)
        if session_id is None:
            return None
        return sessions.check_id_with_departments(database, session_id, now, self._lifetime)

    def _may_enter(self, signed: Signed, host: str) -> bool:
        """Whether the host's rule, as it was at most two seconds ago, lets the person in."""
        with self._lock:
            rules = self._rules.get(None)
        if rules is None:
            with self._database.fast() as h:
                rules = protected.rules(h)
            with self._lock:
                self._rules[None] = rules
        rule = rules.get(host)
        if rule is None or not rule.departments:
            return True
        with self._database.fast() as h:
            return protected.may_enter(h, signed.user_id, rule)


def forwarded_host(environ: WSGIEnvironment) -> str:
    """The host that the browser asked the proxy for; empty where no proxy says, or none is one."""
    text = environ.get("HTTP_X_FORWARDED_HOST", "").split(",")[0]
    if not text:
        return ""
    try:
        return protected.normal_host(text)
    except InvalidValue:
        return ""


def host_cookie_for(cookie: str) -> str:
    """The name of the cookie of a protected host, after that of the session's own."""
    return cookie + "-app"


def is_page(environ: WSGIEnvironment) -> bool:
    """Whether a person is looking at this, rather than a script or a form that would be lost."""
    method = environ.get("HTTP_X_FORWARDED_METHOD", "GET")
    return method in ("GET", "HEAD") and "text/html" in environ.get("HTTP_ACCEPT", "")


def way_in(environ: WSGIEnvironment) -> str:
    """Where the protected host lets people in, with the page they asked for."""
    return f"{WAY_IN}?rd={quote(environ.get('HTTP_X_FORWARDED_URI', '/'), safe='/')}"


def cookie_value(header: str, name: str) -> str:
    """The value of the cookie whose name, with its `=`, is given; empty without it.

    `__Host-` cookies cannot be set by another host; of several with a plain name the first counts,
    which is the one with the longest path (RFC 6265 5.4).
    """
    for part in header.split(";"):
        part = part.strip()
        if part.startswith(name):
            return part[len(name) :].strip('"')
    return ""
