"""Properties run with the same examples wherever, whenever and beside whatever they run."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests import properties
from tests.servers.process import PROJECT

_DRAW = """
from tests import properties
properties.load_profile()
{loaded}
from hypothesis import given, settings, strategies as st
seen = []
@settings(max_examples=properties.examples(40))
@given(st.text(), st.integers())
def draw(text, number):
    seen.append((text, number))
draw()
print(len(seen), ascii(seen))
"""


def drawn(loaded: str = "", **environ: str) -> str:
    """Return what a process that loaded these modules draws."""
    done = subprocess.run(
        [sys.executable, "-c", _DRAW.format(loaded=loaded)],
        cwd=PROJECT,
        env={**os.environ, properties.PROFILE: "fixed", **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_examples_are_the_same_in_every_process_and_beside_every_module() -> None:
    alone = drawn()
    assert alone.startswith("40 ")
    loaded = "import dirclient.wire.filters, kerauno.base.lookup_keys, tests.said"
    assert drawn(loaded, CI="true", PYTHONHASHSEED="7", TZ="Pacific/Chatham") == alone


def test_a_search_draws_others_each_time_and_more() -> None:
    first, second = (drawn(KERAUNO_PROPERTIES="search") for _ in range(2))
    assert first != second
    assert first.startswith("400 ")


def test_an_unknown_profile_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(properties.PROFILE, "fast")
    with pytest.raises(ValueError, match="KERAUNO_PROPERTIES is fixed or search, not 'fast'"):
        properties.chosen()
