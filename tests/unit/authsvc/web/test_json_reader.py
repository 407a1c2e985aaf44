"""JSON of strangers: what is read is what Python reads, and nothing breaks the reader."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.web.json_reader import LARGEST, MOST_DEPTH, parse_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(
        st.characters(exclude_categories=["Cs"])), inner, max_size=4),
)  # fmt: skip


@given(VALUES, st.booleans())
def test_a_value_is_read_as_it_was_written(value: object, ascii_only: bool) -> None:
    assert parse_json(json.dumps(value, ensure_ascii=ascii_only)) == value


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_depth_is_bounded(opening: str) -> None:
    closing = {"[": "]"}.get(opening, "}")
    assert parse_json(opening * MOST_DEPTH + "1" + closing * MOST_DEPTH) is not None
    for depth in (MOST_DEPTH + 1, 1400, 100_000):
        for text in (opening * depth, opening * depth + "1" + closing * depth):
            with pytest.raises(ValueError):
                parse_json(text)


def test_brackets_within_texts_are_no_depth() -> None:
    text = '[{"\\"' * 500
    assert parse_json(json.dumps({text: [text]})) == {text: [text]}


@pytest.mark.parametrize(
    "octets",
    [b"", b" ", b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b'"\\ud800"', b'{"\\udfff":1}',
     b"\xff", b'"\xed\xa0\x80"', b"{", b'{"a":1}}', b'"' + b"x" * LARGEST + b'"'],
)  # fmt: skip
def test_what_is_no_json_is_a_value_error(octets: bytes) -> None:
    with pytest.raises(ValueError):
        parse_json(octets)
