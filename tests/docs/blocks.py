"""Reads the shell blocks out of the documentation."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from tests.servers.process import PROJECT

DOCUMENTS = (PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md")))
PROGRAMS = ("authsvc", "syncsvc")
_BLOCK = re.compile(r"(?:<!-- runs: (?P<group>[\w-]+) -->\n)?```sh\n(?P<text>.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of shell, and the group it runs in; an empty group is only shown."""

    document: Path
    group: str
    text: str


def blocks() -> list[Block]:
    """Every shell block of every document, in order."""
    return [
        Block(document, found["group"] or "", found["text"])
        for document in DOCUMENTS
        for found in _BLOCK.finditer(document.read_text())
    ]


def commands() -> list[tuple[str, list[str]]]:
    """Every command of the product that any document shows: where, and its words."""
    found = []
    for block in blocks():
        for line in block.text.replace("\\\n", " ").splitlines():
            words = shlex.split(line.replace("|", " | ").replace("<", " < "), comments=True)
            for at, word in enumerate(words):
                if word in PROGRAMS and (at == 0 or words[at - 1] in ("|", "&&", "||")):
                    end = [i for i, one in enumerate(words) if i > at and one in "|<>||&&"]
                    found.append((block.document.name, words[at : end[0] if end else None]))
    return found
