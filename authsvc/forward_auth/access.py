"""Access to a protected site: the person behind the browser, and the rule of the host.

The proxy names the host that it matched in X-Forwarded-Host. Browsers bring the host's own cookie;
the session's cookie serves on the sign-in service's own host, and where no host is named. A host
that is named and has no rule is nobody's to enter.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes, unquote_to_bytes, urlsplit

from cachetools import TTLCache

from kerauno.base.errors import InvalidValue
from kerauno.database.engine import Database
from kerauno.signin import protected_sites, sessions
from kerauno.signin.protected_sites import Rule
from kerauno.signin.sessions import Lifetime, Signed

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

SITE_LOGIN_PATH = "/.kerauno/start"
_PRINTABLE = bytes(range(0x21, 0x7F)).decode()
_RULES_KEPT = 2.0  # seconds

Identity = tuple[Signed, tuple[str, ...]]
"""Who is signed in, and the names of their departments."""


class Guard:
    """Knows the cookies and the rules. Safe to share by threads."""

    def __init__(
        self,
        database: Database,
        *,
        cookie: str,
        public_url: str,
        lifetime: Lifetime,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        try:
            self._own_host = protected_sites.normal_host(urlsplit(public_url).netloc)
        except InvalidValue:
            self._own_host = "\0"  # no proxy can name it
        self._cookie = cookie + "="
        self._host_cookie = host_cookie_for(cookie) + "="
        self._lifetime = lifetime
        self._now = now
        self._rules: TTLCache[None, dict[str, Rule]] = TTLCache(1, _RULES_KEPT)
        self._lock = threading.Lock()

    def check(self, environ: WSGIEnvironment) -> tuple[Identity | None, bool]:
        """Return who it is, and whether they may enter. Raise DatabaseUnavailable."""
        host = forwarded_host(environ)
        cookies = environ.get("HTTP_COOKIE", "")
        if host is None or host == self._own_host:
            person = self._by_session(cookies)
            rule = self._rule(host) if host else None
            return person, person is not None and (rule is None or self._lets_in(rule, person))
        person, rule = self._by_host_cookie(cookies, host), self._rule(host)
        if person is not None:
            return person, rule is not None and self._lets_in(rule, person)
        # The session's cookie opens no other host. It only tells whom signing in would not help.
        person = self._by_session(cookies)
        if person is not None and (rule is None or not self._lets_in(rule, person)):
            return person, False
        return None, False

    def _by_session(self, cookies: str) -> Identity | None:
        """Return whom the session's own cookie proves, and their departments."""
        own = cookie_value(cookies, self._cookie)
        if not own:
            return None
        return sessions.check_with_departments(self._database, own, self._now(), self._lifetime)

    def _by_host_cookie(self, cookies: str, host: str) -> Identity | None:
        """Return whom the cookie of a protected host proves, and their departments."""
        entry = cookie_value(cookies, self._host_cookie)
        if not entry or not host:
            return None
        with self._database.fast() as h:
            session_id = protected_sites.session_of(h, entry, host)
        if session_id is None:
            return None
        return sessions.check_id_with_departments(
            self._database, session_id, self._now(), self._lifetime
        )

    def _rule(self, host: str) -> Rule | None:
        """Return the host's rule as it was at most two seconds ago."""
        with self._lock:
            rules = self._rules.get(None)
        if rules is None:
            with self._database.fast() as h:
                rules = protected_sites.rules(h)
            with self._lock:
                self._rules[None] = rules
        return rules.get(host)

    def _lets_in(self, rule: Rule, person: Identity) -> bool:
        """Return whether a rule lets a person in."""
        if not rule.departments:
            return True
        with self._database.fast() as h:
            return protected_sites.may_enter(h, person[0].user_id, rule)


def forwarded_host(environ: WSGIEnvironment) -> str | None:
    """Return the host that the browser asked the proxy for, in its one spelling.

    None where no proxy names one; empty where what is named is no host, a list of several included.
    """
    text = environ.get("HTTP_X_FORWARDED_HOST")
    if text is None:
        return None
    try:
        return protected_sites.normal_host(text.encode("latin-1").decode("utf-8"))
    except (InvalidValue, UnicodeDecodeError):
        return ""


def host_cookie_for(cookie: str) -> str:
    """The name of the cookie of a protected host, after that of the session's own."""
    return cookie + "-app"


def is_page(environ: WSGIEnvironment) -> bool:
    """Return whether a person is looking at this, rather than a script or a form that would be
    lost."""
    method = environ.get("HTTP_X_FORWARDED_METHOD", "GET")
    return method in ("GET", "HEAD") and "text/html" in environ.get("HTTP_ACCEPT", "")


def login_url(environ: WSGIEnvironment) -> str:
    """Return where the protected host lets people in, with the page they asked for."""
    page = environ.get("HTTP_X_FORWARDED_URI", "/").encode("latin-1")
    return f"{SITE_LOGIN_PATH}?rd={quote_from_bytes(page, safe='')}"


def page_asked_for(query: bytes) -> str:
    """Return the page behind `rd=` of the way in, to the byte; octets above 0x7F percent-encoded.

    `login_url` escapes the page, slash and all. A proxy that cannot escape (nginx) puts it there as
    it is; then it begins with a slash, and everything behind belongs to it.
    """
    _, _, page = query.partition(b"rd=")
    if not page.startswith(b"/"):
        page = unquote_to_bytes(page.partition(b"&")[0])
    return quote_from_bytes(page, safe=_PRINTABLE)


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
