"""Write the cookies of a session, to the byte: the same on every way of signing in."""

from __future__ import annotations

from authsvc.signin.store import Admitted
from kerauno.accounts.known_browsers import LASTS


def session_cookie_header(name: str, token: str, *, secure: bool) -> str:
    """`Set-Cookie` for the session's token: url-safe letters, nothing to escape."""
    return f"{name}={token}; HttpOnly; Path=/; SameSite=Lax{'; Secure' if secure else ''}"


def known_browser_cookie_name(cookie: str) -> str:
    """The name of the cookie by which a browser is known, after that of the session's own."""
    return f"{cookie}-known"


def known_browser_cookie_header(cookie: str, value: str, *, secure: bool) -> str:
    """`Set-Cookie` for what `kerauno.accounts.known_browsers` made; `cookie` is the session
    cookie's name.

    No other site's link or form needs it, so it is sent with none (SameSite=Strict).
    """
    flags = f"Max-Age={int(LASTS.total_seconds())}; HttpOnly; Path=/; SameSite=Strict"
    return f"{known_browser_cookie_name(cookie)}={value}; {flags}{'; Secure' if secure else ''}"


def session_cookie_headers(cookie: str, made: Admitted, *, secure: bool) -> list[tuple[str, str]]:
    """The fields of an answer that opens a session."""
    return [
        ("Set-Cookie", session_cookie_header(cookie, made.session.cookie, secure=secure)),
        ("Set-Cookie", known_browser_cookie_header(cookie, made.known, secure=secure)),
    ]
