"""How properties run: the same examples each time in `make test`, new ones in `make fuzz`.

The same means the same on every machine, in every order and however much of the suite runs.
`tests.search` runs them at random; what it finds becomes an `@example` of its property.
"""

from __future__ import annotations

import os

from hypothesis import settings
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants

PROFILE = "KERAUNO_PROPERTIES"
"""The environment variable that names the profile: fixed, or search."""

_MORE = {"fixed": 1, "search": 10}
_HYPOTHESIS_RUNS = 100


def examples(number: int) -> int:
    """How many examples the chosen profile runs of a property that has so many in `make test`."""
    return number * _MORE[chosen()]


def chosen() -> str:
    """The profile that the environment chooses. Raises `ValueError` where there is none such."""
    name = os.environ.get(PROFILE) or "fixed"
    if name not in _MORE:
        raise ValueError(f"{PROFILE} is fixed or search, not {name!r}")
    return name


def load_profile() -> None:
    """Make the chosen profile the default of every property that is defined from now on."""
    settings.register_profile("fixed", derandomize=True, database=None, deadline=None)
    settings.register_profile(
        "search",
        derandomize=False,
        database=None,
        deadline=None,
        max_examples=examples(_HYPOTHESIS_RUNS),
        print_blob=True,
    )
    settings.load_profile(chosen())
    if chosen() == "fixed":
        # Hypothesis also draws the constants of whichever modules of the project are loaded; the
        # examples would follow the order of the tests and every change of the code.
        providers._get_local_constants = Constants
