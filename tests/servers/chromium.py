"""A real Chromium, the system's own, driven by Playwright."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

VENDOR = Path(__file__).resolve().parents[1] / "browser" / "vendor"

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
    """What axe-core finds wrong with the page as it stands: rule, help and elements, one a line."""
    (script,) = VENDOR.glob("axe-*.min.js")
    page.evaluate(script.read_text())  # through the debugger, which a page's CSP does not govern
    found: list[dict[str, Any]] = page.evaluate("axe.run().then(result => result.violations)")
    return [
        f"{one['id']}: {one['help']} {json.dumps([node['target'] for node in one['nodes']])}"
        for one in found
    ]
