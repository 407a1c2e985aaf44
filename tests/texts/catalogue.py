"""Writes the catalogue of every message: `python -m tests.texts.catalogue`, or `make texts`.

What Babel finds in the pages and their code, and the sentences of the other rooms. It holds no
date and no line numbers, so that it changes only when a message does.
"""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

from babel.messages import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import write_po

from tests.texts.sentences import sentences

ROOT = Path(__file__).parent.parent.parent
CATALOGUE = ROOT / "authsvc" / "locale" / "kerauno.pot"

_METHODS = [("**.py", "python"), ("**.html", "jinja2")]
_OPTIONS = {
    "**.html": {"newstyle_gettext": "true", "trimmed": "true", "silent": "false",
                "trim_blocks": "true", "lstrip_blocks": "true"},
}  # fmt: skip
_KEYWORDS = {**DEFAULT_KEYWORDS, "_n": (1, 2)}
_HEAD = """\
# Every message of Kerauno's pages. Written by "make texts": do not edit.
# A language is a copy of this file, de.po or pt_BR.po, beside it (docs/operations.md).
#"""
_UNDATED = ("POT-Creation-Date", "PO-Revision-Date", "Generated-By")


@cache
def made() -> str:
    """The catalogue as it should be."""
    catalogue = Catalog(header_comment=_HEAD, project="Kerauno", version="1", fuzzy=False)
    found = extract_from_dir(ROOT / "authsvc", _METHODS, _OPTIONS, _KEYWORDS)
    for name, _, message, _, context in found:
        catalogue.add(message, locations=[(f"authsvc/{name}", 0)], context=context)
    for room, sentence in sorted(set(sentences(ROOT))):
        catalogue.add(sentence, locations=[(room, 0)], context="sentence")
    out = io.BytesIO()
    write_po(out, catalogue, sort_by_file=True, include_lineno=False, width=100)
    lines = out.getvalue().decode().splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(tuple(f'"{n}' for n in _UNDATED)))


if __name__ == "__main__":
    CATALOGUE.parent.mkdir(exist_ok=True)
    CATALOGUE.write_text(made())
