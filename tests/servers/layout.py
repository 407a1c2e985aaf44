"""How a page is laid out at every width, with the widest and the narrowest font, with large text
and with wide spacing: one load, then only resizes."""

from __future__ import annotations

import base64
from pathlib import Path

from playwright.sync_api import Page, Route

from tests.servers.chromium import VENDOR

WIDTHS = (320, 360, 400, 768, 1280, 1920)
FONTS = ("wide", "narrow")
LOOKS = {16: ("wide", "narrow", "wide spaced"), 32: ("wide",)}
"""For each text size that a person may set in the browser, in pixels: the classes of the looks."""

# WCAG 2.2, success criterion 1.4.12: the spacing that a page has to bear.
_SPACED = """
.spaced * { line-height: 1.5 !important; letter-spacing: 0.12em !important;
            word-spacing: 0.16em !important; }
.spaced p { margin-bottom: 2em !important; }
"""
_MEASURE = (Path(__file__).parent / "layout.js").read_text()


def _style() -> str:
    """Return a style that forces a vendored font by a class: no font of this machine is used."""
    rules = [_SPACED, "* { transition: none !important; animation: none !important; }"]
    for font in FONTS:
        data = base64.b64encode((VENDOR / f"{font}.woff2").read_bytes()).decode()
        rules.append(
            f"@font-face {{ font-family: {font}; src: url(data:font/woff2;base64,{data}); }}"
            f".{font} * {{ font-family: {font} !important; }}"
        )
    return f"<style>{''.join(rules)}</style></head>"


class Bench:
    """A browser page that lays out HTML as if the served site had answered with it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._html = ""
        self._cdp = page.context.new_cdp_session(page)
        page.route("**/laid-out", self._answer)
        page.route("**/form_post*.js*", lambda route: route.abort())  # it would leave the page

    def _answer(self, route: Route) -> None:
        body = self._html.replace("</head>", _style(), 1)
        route.fulfill(content_type="text/html; charset=utf-8", body=body)

    def load(self, html: str) -> None:
        """Show this page, in place of the page before."""
        self._html = html
        self.page.goto("/laid-out")
        for font in FONTS:
            load = "async font => (await document.fonts.load(`16px ${font}`)).length"
            assert self.page.evaluate(load, font) == 1

    def faults(self) -> list[str]:
        """Return what the page does wrong at any width, with any font, text size and spacing."""
        wrong: list[str] = []
        for text, looks in LOOKS.items():
            sizes = {"standard": text, "fixed": text}
            self._cdp.send("Page.setFontSizes", {"fontSizes": sizes})
            for width in WIDTHS:
                self.page.set_viewport_size({"width": width, "height": 800})
                lines = self.page.evaluate(_MEASURE, looks)
                wrong += [f"{width} px, {text} px text, {line}" for line in lines]
        return wrong
