"""A real Chromium, the system's own, driven by Playwright."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, Page, sync_playwright

VENDOR = Path(__file__).resolve().parents[1] / "browser" / "vendor"

Scheme = Literal["light", "dark"]
Look = tuple[int, Scheme]
"""How a page is looked at: the window's width in pixels, the colour scheme."""
WIDE, NARROW = 1280, 400

# Without these Chromium looks for its makers' hosts at every start.
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


def executable() -> str:
    """The browser's path. Raises RuntimeError when none is installed."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    raise RuntimeError("Chromium is not installed")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser; it ends with the block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


def violations(page: Page) -> list[str]:
    """Return what axe-core finds wrong with the page as it stands: rule, help and elements, one a
    line."""
    (script,) = VENDOR.glob("axe-*.min.js")
    page.evaluate(script.read_text())  # through the debugger, which a page's CSP does not govern
    return _found(page)


def faults(page: Page, looks: Iterable[Look]) -> list[str]:
    """Return what is wrong with the page in each look: axe-core's findings, and scrolling sideways.

    The page is laid out anew for each look but not loaded again; it is left in the last one.
    """
    (script,) = VENDOR.glob("axe-*.min.js")
    page.evaluate(script.read_text())
    wrong: list[str] = []
    for width, scheme in looks:
        page.set_viewport_size({"width": width, "height": 900 if width > NARROW else 800})
        # Without motion: no colour is met halfway between two schemes.
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found = _found(page)
        wide, room = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        if wide > room:
            found.append(f"scrolls sideways: {wide} > {room}")
        wrong += [f"{width} {scheme}: {one}" for one in found]
    page.emulate_media(reduced_motion="no-preference")
    return wrong


def _found(page: Page) -> list[str]:
    script = "axe.run({resultTypes: ['violations']}).then(result => result.violations)"
    found: list[dict[str, Any]] = page.evaluate(script)
    return [
        f"{one['id']}: {one['help']} {json.dumps([node['target'] for node in one['nodes']])}"
        for one in found
    ]
