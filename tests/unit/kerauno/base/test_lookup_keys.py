"""Look-up keys: one person is one key, however the name is written."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from kerauno.base.lookup_keys import lookup_key, sort_key


def test_case_accents_and_blanks() -> None:
    assert lookup_key("  JohnSmith@A.com ") == "johnsmith@a.com"
    assert lookup_key("Zoë") == lookup_key(unicodedata.normalize("NFD", "ZOË")) == "zoë"
    assert lookup_key("STRASSE") == lookup_key("straße") == "strasse"
    assert lookup_key("山田") == "山田"


@given(st.text())
def test_key_of_a_key_is_itself_and_normal(text: str) -> None:
    key = lookup_key(text)
    assert unicodedata.is_normalized("NFC", key)
    assert lookup_key(key) == key


@given(st.text())
def test_key_does_not_depend_on_normal_form(text: str) -> None:
    assert lookup_key(unicodedata.normalize("NFD", text)) == lookup_key(text)


def test_people_sort_by_last_name_then_first_with_the_nameless_last() -> None:
    people = [("Doe", "John"), ("Örn", "Eva"), ("Orn", "Adam"), ("doe", "Anna"), (None, None)]
    keys = sorted(sort_key(last, first, "nobody") for last, first in people)
    assert keys == [
        sort_key("doe", "Anna"),
        sort_key("Doe", "John"),
        sort_key("Orn", "Adam"),
        sort_key("Örn", "Eva"),
        sort_key(None, None, "nobody"),
    ]
    assert len(sort_key("x" * 9999, "y")) == 512
