"""The name of a browser, from its User-Agent, in words that a person recognizes."""

from __future__ import annotations

import re

from authsvc.i18n.translate import gettext

# The first that matches wins: Edge and Opera also say Chrome, Chrome also says Safari.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox", "Firefox"),
    ("HeadlessChrome", "Chrome"),
    ("Chrome", "Chrome"),
    ("Version", "Safari"),
    ("curl", "curl"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def browser_name(user_agent: str) -> str:
    """Such as `Firefox 130 on Windows`; empty for one nobody knows."""
    name = ""
    for token, word in _BROWSERS:
        match = re.search(rf"\b{token}/(\d{{1,4}})", user_agent)
        if match:
            name = f"{word} {match.group(1)}"
            break
    system = next((word for token, word in _SYSTEMS if token in user_agent), "")
    if name and system:
        return gettext("%(browser)s on %(system)s", browser=name, system=system)
    return name or system
