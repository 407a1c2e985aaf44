"""The console's guide shows what there is: its pictures exist, are taken by a test, and fit."""

from __future__ import annotations

import re
from pathlib import Path

from tests.servers.process import PROJECT

GUIDE = (PROJECT / "docs/console.md").read_text()
SHOWN = set(re.findall(r"\(images/([\w-]+)\.png\)", GUIDE))


def test_every_picture_of_the_guide_exists() -> None:
    assert [name for name in sorted(SHOWN) if not picture(name).is_file()] == []


def test_every_picture_of_the_guide_is_taken_by_the_tests() -> None:
    taken = set(
        re.findall(
            r'picture\(page, "([\w-]+)"\)',
            (PROJECT / "tests/browser/test_console_samba.py").read_text(),
        )
    )
    assert SHOWN - taken == set()


def test_the_guide_names_only_headings_it_has() -> None:
    headings = {
        re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in GUIDE.splitlines()
        if line.startswith("## ")
    }
    assert set(re.findall(r"\]\(#([\w-]+)\)", GUIDE)) == headings


def picture(name: str) -> Path:
    """Return where a picture is kept."""
    return PROJECT / "docs/images" / f"{name}.png"
