"""Looks for signs in a page that nobody sees, or that turn a line around."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from kerauno.base.visible_text import visible_lines

SIGNS = "\x1b[31m\u202e\u200b\u2066\x9b\u2028\U000e0041"
_ISOLATE = re.compile("\u2068([^\u2068\u2069]*)\u2069")
_COMES_BACK = frozenset({"value", "data-value"})
"""Attributes that hold what a form sends: to the letter, in a box of their own."""


def leaks(page: str) -> list[str]:
    """The texts and attributes of a page with an unmarked sign in them.

    The isolates that a page puts around a name are its own, where each is closed again.
    """
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return [text for text in reader.found if _leaks(text)]


def _leaks(text: str) -> bool:
    if text.count("\u2068") == text.count("\u2069") == len(_ISOLATE.findall(text)):
        text = _ISOLATE.sub(r"\1", text)
    return visible_lines(text) != text


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._in_box = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_box = tag == "textarea"
        self.found += [text for name, text in attrs if text and name not in _COMES_BACK]

    def handle_endtag(self, tag: str) -> None:
        self._in_box = False

    def handle_data(self, data: str) -> None:
        if not self._in_box:
            self.found.append(data)
