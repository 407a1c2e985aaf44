"""Names as they may be shown: what is marked, what stays, and which names look alike."""

from __future__ import annotations

import json
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerauno.base.visible_text import escaped_json, folded, isolated, visible, visible_lines

SEEN_FORMATS = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2"
SEEN_FORMATS += "\U000110bd\U000110cd"  # signs above numbers, which have a shape of their own


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("\x1b[31mRed", "␛[31mRed"),
        ("a\x00b\tc\nd\x7f", "a␀b␉c␊d␡"),
        ("\u202eEngineering", "[U+202E]Engineering"),
        ("\u2066x\u2069", "[U+2066]x[U+2069]"),
        ("Sa\u200bles", "Sa[U+200B]les"),
        ("x\u2028y\u2029z", "x[U+2028]y[U+2029]z"),
        ("\x9b31m\x85", "[U+009B]31m[U+0085]"),
        ("a\U000e0041", "a[U+E0041]"),
        ("Sa\u200dles", "Sa[U+200D]les"),
        ("Sa\ufe0fles", "Sa[U+FE0F]les"),
        ("\u3164\u2800\uffa0", "[U+3164][U+2800][U+FFA0]"),
        ("\ud800", "[U+D800]"),
        ("\u05e9\u200f", "\u05e9[U+200F]"),
        ("\u200d👩", "[U+200D]👩"),
        ("علی\u200c", "علی[U+200C]"),
    ],
)
def test_signs_that_nobody_sees_are_marked(name: str, shown: str) -> None:
    assert visible(name) == shown


@pytest.mark.parametrize(
    "name",
    [
        "Anna O'Berg, Dr.",
        "Jürgen Groß",
        "שרה כהן",
        "محمد علي",
        "علی\u200cرضا",  # ZWNJ in a Persian name
        "क्\u200dष",  # ZWJ after a virama
        "👩\u200d💻 IT",
        "👩🏽\u200d🚒",
        "🏳\ufe0f\u200d🌈",
        "❤\ufe0f",
        "1\ufe0f\u20e3 Line",
        "葛\U000e0100城",  # a variant of a Han letter, as Japanese names have
        "日本\u3000太郎",
        "[U+202E]",
    ],
)
def test_what_people_write_stays(name: str) -> None:
    assert visible(name) == name


def test_every_control_and_format_sign_of_unicode_is_marked() -> None:
    left = [
        f"{code:04X}"
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code)) in ("Cc", "Cf", "Cs", "Zl", "Zp", "Co")
        and chr(code) not in SEEN_FORMATS
        and visible(f"a{chr(code)}b") == f"a{chr(code)}b"
    ]
    assert left == []


@given(st.text())
def test_marking_twice_is_marking_once(name: str) -> None:
    assert visible(visible(name)) == visible(name)
    assert visible_lines(visible_lines(name)) == visible_lines(name)


def test_lines_stay_where_there_may_be_several() -> None:
    assert visible_lines("a\tb\r\nc\x1b") == "a\tb\r\nc␛"


@pytest.mark.parametrize(
    "other",
    [
        "\u202eEngineering",
        "Engi\u200bneering",
        "ENGINEERING",
        "Ｅngineering",
        " Engineering\xa0",
        "Engi\u00adneering",
        "Engineering\U000e0041",
        "Engineering\x1b",
        "\u3164Engineering",
        "Engi\ufe0fneering",
    ],
)
def test_names_that_look_alike_fold_to_one(other: str) -> None:
    assert folded(other) == folded("Engineering") == "engineering"


def test_names_that_look_different_stay_apart() -> None:
    names = ["Sales", "Sale", "Sales EMEA", "SalesEMEA", "Sáles", "Ѕales", "[U+202E]Sales"]
    assert len({folded(name) for name in names}) == len(names)
    assert folded("e\u200b\u0301") == folded("é")
    assert folded("Sales \u200b EMEA\n") == folded("sales emea")


@given(st.text())
def test_folding_twice_is_folding_once(name: str) -> None:
    assert folded(folded(name)) == folded(name)


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_stays_the_same_and_shows_every_sign(document: object) -> None:
    text = escaped_json(json.dumps(document, ensure_ascii=False, indent=1))
    assert json.loads(text) == document
    if not text.isascii():
        assert visible_lines(text) == text


def test_only_names_from_right_to_left_are_isolated() -> None:
    assert isolated("שרה") == "\u2068שרה\u2069"
    assert isolated("Jürgen") == "Jürgen"
