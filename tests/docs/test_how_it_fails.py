"""Everything that docs/how-it-fails.md names exists: files, functions, words of pages, faults."""

from __future__ import annotations

import re
from functools import cache
from itertools import chain

import pytest

from tests.faults import clock, postgresql, sqlite
from tests.servers.process import PROJECT

TEXT = (PROJECT / "docs/how-it-fails.md").read_text()
PACKAGES = ("authsvc", "syncsvc", "provisioning", "kerauno", "dirclient")
FAULTS = (*postgresql.FAULTS, *postgresql.POOLED, *sqlite.FAULTS, *clock.FAULTS)


@cache
def source() -> str:
    """Everything that the product may say."""
    files = chain.from_iterable(
        (PROJECT / package).rglob(kind) for package in PACKAGES for kind in ("*.py", "*.html")
    )
    return "\n".join(file.read_text() for file in files)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`([a-z]+/[\w/]+\.py)`", TEXT))))
def test_the_files_that_decide_are_there(path: str) -> None:
    assert (PROJECT / path).is_file()


@pytest.mark.parametrize(("path", "name"), re.findall(r"`([\w/]+\.py)` \(`(\w+)`\)", TEXT))
def test_what_is_named_in_a_file_is_there(path: str, name: str) -> None:
    assert f"def {name}(" in (PROJECT / path).read_text()


@pytest.mark.parametrize("words", sorted(set(re.findall(r"(?<!\*)\*([^*\n]+)\*(?!\*)", TEXT))))
def test_words_on_pages_and_in_logs_are_so(words: str) -> None:
    for part in re.split(r"…|: ", words):
        assert part.strip() in source(), part


def test_each_case_says_who_sees_what_and_which_file_decides() -> None:
    cases = [part for part in TEXT.split("\n## ")[1:] if not part.startswith("Measured")]
    assert len(cases) == 9
    for case in cases:
        rows = re.findall(r"^\| (\w+) \|", case, re.MULTILINE)
        assert rows == ["people", "administrators", "records", "decides"], case[:40]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_figures_of_each_fault_are_told(fault: object) -> None:
    assert f"\n| {getattr(fault, 'name')} |" in TEXT  # noqa: B009
