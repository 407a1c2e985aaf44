"""Texts that count as an extension."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerauno.accounts.dial_plan import parse_extension, parse_range
from kerauno.base.errors import InvalidValue


@pytest.mark.parametrize(
    ("text", "extension"),
    [
        ("1234", "1234"),
        ("  0012\t", "0012"),
        ("１２３４", "1234"),  # full-width digits
        ("+1 317 555 0100 x1234", "1234"),
        ("+1 317 555 0100x1234", "1234"),
        ("+1 (317) 555-0100 ext. 1234", "1234"),
        ("+49 89 1234-0 Ext 77", "77"),
        ("317.555.0100 extension 1234", "1234"),
        ("tel:+1-317-555-0100;ext=1234", "1234"),
        ("+1 317 555 0100 ;ext=1234", "1234"),
        ("+1 317 555 0100 #1234", "1234"),
        ("+1 317 555 0100, ext: 1234", "1234"),
        ("x1234", "1234"),
        ("ext. 1234", "1234"),
        ("+7 495 555 01 00 доб. 1234", "1234"),
        ("+34 91 555 01 00 anexo 1234", "1234"),
        ("+1 317 555 0100,,1234", "1234"),  # as a phone dials it: two pauses
        ("\u202a1234\u202c", "1234"),  # as Windows copies a number
        ("12\u200b34", "1234"),
    ],
)
def test_understood(text: str, extension: str) -> None:
    assert parse_extension(text) == extension


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "1",
        "12345678901",
        "+1 317 555 0100",
        "12 34",
        "12-34",
        "abc",
        "fax1234",
        "box 12",
        "x1",
        "٣٤٥٦",  # digits, but none a phone dials
        "1234²",  # a footnote is no digit
        "①②",
        "1234;1235",  # two numbers: nobody knows which is meant
        "0301234567; 0301234568",
        "0301234567, 0301234568",
        "1234\n5678",
        "-12",
        "1.5",
        "12\0",
        "9" * 10_000,
        "x" * 10_000,
        "<b>12</b>",
    ],
)
def test_refused_with_field_and_remedy(text: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        parse_extension(text)
    assert refused.value.field == "extension"
    assert "2 to 10 digits" in refused.value.remedy
    assert len(str(refused.value)) < 100


@given(st.from_regex(r"[0-9]{2,10}", fullmatch=True), st.sampled_from(["x", " ext. ", ";ext="]))
def test_however_it_is_written_the_digits_come_back(digits: str, mark: str) -> None:
    assert parse_extension(digits) == digits
    assert parse_extension(f"+1 317 555 0100{mark}{digits}") == digits


@given(st.text(max_size=60))
def test_the_result_is_always_dialable(text: str) -> None:
    try:
        extension = parse_extension(text)
    except InvalidValue:
        return
    assert extension.isascii()
    assert extension.isdigit()
    assert 2 <= len(extension) <= 10


def test_ranges() -> None:
    assert parse_range(" 600-699 ") == ("600", "699")
    assert parse_range("0600 – 0699") == ("0600", "0699")
    for bad in ("", "600", "699-600", "60-699", "a-b", "1-9", "600-699-700"):
        with pytest.raises(InvalidValue, match="range"):
            parse_range(bad)
