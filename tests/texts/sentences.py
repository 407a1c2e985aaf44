"""The sentences of the rooms without pages: errors, remedies, what a test of credentials says.

Those rooms speak English and know of no translation. What of it is a whole sentence is found here
in their source, with the values it is made of, so that the pages can say it in another language
(`authsvc.i18n.translate.retold`).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("dirclient", "kerauno", "provisioning", "syncsvc")
UNSEEN = (
    *("dirclient/fake/", "kerauno/migrations/", "kerauno/base/config.py", "kerauno/base/logs.py"),
    *("kerauno/cli_base.py", "syncsvc/cli.py"),
)
"""Modules whose sentences reach only terminals, logs and tests."""

_WHOLE = re.compile(r"(?:[A-Z“]|%\().*[^.][.?]", re.DOTALL)
_WORDS = re.compile(r"[a-z]{2,}.* ", re.DOTALL)
_PARTY = re.compile(r"(?:ring group|AD person) %\(.*")  # who has a number, inside a sentence


def sentences(root: Path) -> Iterator[tuple[str, str]]:
    """Each sentence as a message, and the package it is from."""
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            if path.relative_to(root).as_posix().startswith(UNSEEN):
                continue
            for sentence in _in(ast.parse(path.read_text())):
                yield package, sentence


def _in(tree: ast.Module) -> Iterator[str]:
    silent = {id(node) for node in _remarks(tree)}
    for node in _outermost(tree):
        message = _message(node)
        whole = _WHOLE.fullmatch(message) and _WORDS.search(message)
        if id(node) not in silent and (whole or _PARTY.fullmatch(message)):
            yield message


def _outermost(tree: ast.AST) -> Iterator[ast.Constant | ast.JoinedStr]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.JoinedStr) or (
            isinstance(node, ast.Constant) and isinstance(node.value, str)
        ):
            yield node
        else:
            yield from _outermost(node)


def _remarks(tree: ast.Module) -> Iterator[ast.AST]:
    """Strings that stand alone: what a module says to its readers."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value


def _message(node: ast.Constant | ast.JoinedStr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value).replace("%", "%%")
    names: dict[str, str] = {}
    parts = []
    for part in node.values:
        if isinstance(part, ast.Constant):
            parts.append(str(part.value).replace("%", "%%"))
        elif isinstance(part, ast.FormattedValue):
            made = names.setdefault(ast.dump(part), "")
            if not made:
                made = _name(part.value, set(names.values()))
                names[ast.dump(part)] = made
            parts.append(f"%({made})s")
    return "".join(parts)


def _name(value: ast.expr, taken: set[str]) -> str:
    """A name for a translator to read: the last plain word of the expression."""
    words = [
        node.attr if isinstance(node, ast.Attribute) else node.id
        for node in ast.walk(value)
        if isinstance(node, ast.Name | ast.Attribute)
    ]
    name = (words[0] if words else "value").strip("_").lower()
    return next(
        wanted for wanted in (name, *(f"{name}{n}" for n in range(2, 20))) if wanted not in taken
    )
