"""Names of variables, classes and modules that a newcomer can read."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.process import PROJECT

PACKAGES = ("authsvc", "syncsvc", "provisioning", "kerauno", "dirclient")

BANNED = frozenset(["one", "found", "here", "held", "asked", "wanted", "whom", "nobody", "said"])
"""Variables are named for their type: `person`, `lease`, `connection`; loop variables too."""

SHARED_MODULES = frozenset({"__init__", "__main__", "views", "queries", "setup", "base", "errors"})
"""File names that every room of a package may have."""

SHARED_CLASSES = {("authsvc", "Directories")}
"""Classes of one name on purpose: a port and what implements it."""


OPENERS = ("Who", "Whom", "Whose", "What", "Where", "Whether")
"""No docstring begins so. It says what is done (*Return*, *Raise*, *Write*) or what it is."""


def sources(package: str) -> Iterator[Path]:
    """Yield the modules of a package, without migrations."""
    for path in sorted((PROJECT / package).rglob("*.py")):
        if "versions" not in path.parts:
            yield path


def banned_names(source: str) -> Iterator[str]:
    """Yield `line: name` for each variable, argument, loop variable and alias that is banned."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in BANNED:
            yield f"{node.lineno}: {node.id}"
        elif isinstance(node, ast.arg) and node.arg in BANNED:
            yield f"{node.lineno}: {node.arg}"
        elif isinstance(node, ast.alias) and node.asname in BANNED | {"dns"}:
            yield f"{node.lineno}: {node.asname}"
        elif isinstance(node, ast.ExceptHandler) and node.name in BANNED:
            yield f"{node.lineno}: {node.name}"


@pytest.mark.parametrize("package", PACKAGES)
def test_variables_are_named_for_their_type(package: str) -> None:
    found_in = [
        f"{path.relative_to(PROJECT)}:{name}"
        for path in sources(package)
        for name in banned_names(path.read_text())
    ]
    assert found_in == []


@pytest.mark.parametrize(
    "source",
    [
        "one = 1", "for found in []: pass", "def f(here): pass", "import x as dns",
        "lambda asked: 0", "[x for held in y]", "with a as said: pass",
        "try: pass\nexcept E as nobody: pass", "if (whom := 1): pass", "def f(*wanted): pass",
    ],
)  # fmt: skip
def test_a_planted_name_is_caught(source: str) -> None:
    assert len(list(banned_names(source))) == 1


def opened_by_pronouns(source: str) -> Iterator[str]:
    """Yield `line: beginning` for each docstring that begins with one of `OPENERS`."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(source)):
        text = ast.get_docstring(node) if isinstance(node, kinds) else None
        if text and text.split()[0].strip(",.") in OPENERS:
            yield f"{getattr(node, 'lineno', 1)}: {text[:40]}"


def docstring_faults(package: str) -> list[str]:
    """Return the places of a package where a docstring begins with a pronoun."""
    return [
        f"{path.relative_to(PROJECT)}:{fault}"
        for path in sorted((PROJECT / package).rglob("*.py"))
        for fault in opened_by_pronouns(path.read_text())
    ]


@pytest.mark.parametrize("package", [*PACKAGES, "demo", "benchmarks", "tests"])
def test_docstrings_say_what_to_do(package: str) -> None:
    assert docstring_faults(package) == []


@pytest.mark.parametrize("word", OPENERS)
def test_a_planted_docstring_is_caught(word: str) -> None:
    assert len(list(opened_by_pronouns(f'def f():\n    """{word} may enter."""'))) == 1


@pytest.mark.parametrize("package", PACKAGES)
def test_no_two_modules_of_a_package_have_one_name(package: str) -> None:
    by_name = defaultdict(list)
    for path in sources(package):
        if path.stem not in SHARED_MODULES:
            by_name[path.stem].append(path.relative_to(PROJECT).as_posix())
    assert {name: paths for name, paths in by_name.items() if len(paths) > 1} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_two_public_classes_of_a_package_have_one_name(package: str) -> None:
    by_name = defaultdict(list)
    for path in sources(package):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                by_name[node.name].append(path.relative_to(PROJECT).as_posix())
    twice = {name: paths for name, paths in by_name.items() if len(paths) > 1}
    assert {
        name: paths for name, paths in twice.items() if (package, name) not in SHARED_CLASSES
    } == {}


def test_the_glossary_is_short() -> None:
    rows = (PROJECT / "docs" / "glossary.md").read_text().splitlines()
    assert 0 < len([row for row in rows if row.startswith("| ")]) - 1 <= 25
