"""Looks through a template for texts that are not marked for translation.

Two looks: at the page between the template's own marks (texts of elements, and the attributes that
people read or hear), and at the strings within those marks (arguments of macros).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser

from jinja2 import Environment, nodes

READ_ALOUD = frozenset(
    {"title", "aria-label", "aria-description", "alt", "placeholder", "label", "summary",
     "data-label", "data-copied"}
)  # fmt: skip
"""Attributes whose text a person reads or hears. The sheet shows `data-label` on narrow screens."""

MARKED = frozenset({"_", "_n", "gettext", "ngettext"})
_LETTER = re.compile(r"[^\W\d_]")
_READABLE = re.compile(
    r"[A-Z…“](?!\w*=).*[a-z]"  # like the beginning of a text,
    r"|[a-z]+ [a-z]+ [a-z]+"  # or three words,
    r"|[0-9.]+ [a-z]+ |[a-z.]+, [a-z]"
    r"|[ ,:;]+[a-z][a-z ]*$|[a-z][a-z ]* $",  # or a piece that is glued to others
    re.DOTALL,
)
_CLASS = re.compile(r"\b\w+(?:__|--)[\w-]+")
_ATTRIBUTE = re.compile(r"""\s[a-z-]+=("[^"]*"|'[^']*')""")


@dataclass(frozen=True, order=True)
class Unmarked:
    """A text that no translation would reach."""

    line: int
    text: str


def environment() -> Environment:
    """Reads templates as the app does."""
    env = Environment(autoescape=True, extensions=["jinja2.ext.i18n"])
    env.trim_blocks = env.lstrip_blocks = True
    return env


def unmarked(source: str) -> list[Unmarked]:
    """Everything in the template that people would read in English whatever their language."""
    return sorted({*_in_the_page(source), *_in_expressions(source)})


def _in_the_page(source: str) -> Iterator[Unmarked]:
    page = _Page()
    page.feed(_page_alone(source))
    page.close()
    yield from page.found


def _page_alone(source: str) -> str:
    """The source with everything of the template language, and all that is marked, blanked out."""
    kept: list[str] = []
    inside, block = False, ""
    for _, kind, text in environment().lexer.tokeniter(source, None):
        if kind == "block_begin":
            block = ""
        elif kind == "name" and not block:
            block = text
            inside = text == "trans" or (inside and text != "endtrans")
        shown = kind == "data" and not inside
        kept.append(text if shown else re.sub(r"[^\n]", " ", text))
        if kind in ("block_end", "variable_end"):
            block = "-"
    return "".join(kept)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[Unmarked] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in ("code", "script", "style")
        for name, text in attrs:
            if name in READ_ALOUD and text and _LETTER.search(text) and not _is_example(text):
                self.found.append(Unmarked(self.getpos()[0], text.strip()))

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("code", "script", "style")

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        data = _CLASS.sub(" ", _ATTRIBUTE.sub(" ", data))  # macros and blocks make parts of tags
        blank = len(data) - len(data.lstrip())
        line = self.getpos()[0] + data.count("\n", 0, blank)
        text = " ".join(data.split())
        if _LETTER.search(text) and text not in NAMES:
            self.found.append(Unmarked(line, text))


NAMES = frozenset(
    {
        "StartTLS",
        "LDAPS",
        "Active Directory",
        "Kerauno",
        "· Kerauno",
        "Yealink",
        "Grandstream",
        "Cisco",
        "UTC",
        "OpenLDAP",
    }
)
"""Names of products and of the time scale: the same in every language."""


def _is_example(text: str) -> bool:
    """A code, a host or a number range as an example, nothing in words."""
    return not re.search(r"[a-z] [a-z]", text) and not re.fullmatch(r"[A-Z][a-z]+", text)


def _in_expressions(source: str) -> Iterator[Unmarked]:
    env = environment()
    tree = env.parse(source)
    marked = {
        id(const)
        for call in tree.find_all(nodes.Call)
        if isinstance(call.node, nodes.Name) and call.node.name in MARKED
        for const in call.find_all(nodes.Const)
    }
    for const in tree.find_all(nodes.Const):
        text = const.value
        if not isinstance(text, str) or id(const) in marked or text in NAMES:
            continue
        if _READABLE.match(text):
            yield Unmarked(const.lineno, text)
