"""CSV: read back as written, and nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.web.csv_cells import csv_line
from kerauno.base.visible_text import visible


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=4))
def test_a_line_is_read_back(raw: list[str]) -> None:
    cells = [visible(cell) for cell in raw]
    [read] = csv.reader(io.StringIO(csv_line(raw), newline=""))
    assert [text if text == cell else text.removeprefix("'") for text, cell in zip(
        read, cells, strict=True)] == cells  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "＝1+1", "＋1", "－1", "＠x", " =1"],
)
def test_what_would_run_is_led_by_an_apostrophe(text: str) -> None:
    for telephones in ((), (0,)):
        if telephones and text == "+1":
            continue
        [[read]] = csv.reader(io.StringIO(csv_line([text], telephones), newline=""))
        assert read == f"'{text}"


@pytest.mark.parametrize("text", ["\n=1", "\t=1", "\r=1", "\u200b=1", "\u202e=1", "\x1b=1"])
def test_what_begins_with_a_sign_that_nobody_sees_begins_with_its_mark(text: str) -> None:
    assert csv_line([text]) == f"{visible(text)}\r\n"
    assert visible(text)[0] in "␊␉␍[␛"


@pytest.mark.parametrize("text", ["+1 317 555-0100", "0123", "201", "+49 (0)30 / 123"])
def test_a_telephone_number_stays_as_it_is_in_its_own_column(text: str) -> None:
    assert csv_line(["x", text], telephones=(1,)) == f"x,{text}\r\n"
    assert csv_line([text]) == (f"'{text}\r\n" if text.startswith("+") else f"{text}\r\n")
