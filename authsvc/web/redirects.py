"""Redirects that stay on this site."""

from __future__ import annotations

from urllib.parse import urlsplit


def safe_redirect_path(target: str | None) -> str:
    """`target` when it is a place on this site, else the home page.

    Only a path may pass: `//host`, `/\\host`, schemes and control characters are ways to another
    site (browsers drop tabs and line breaks and read a backslash as a slash, WHATWG URL 4.4).
    """
    if not target or len(target) > 4096 or not target.startswith("/"):
        return "/"
    if target[1:2] in ("/", "\\") or "\\" in target.split("?", 1)[0]:
        return "/"
    if any(ord(char) <= 0x20 or ord(char) == 0x7F for char in target):
        return "/"
    try:
        parts = urlsplit(target)
    except ValueError:
        return "/"
    return "/" if parts.scheme or parts.netloc else target
