"""Lines of a CSV file that no spreadsheet takes for formulas."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterable

from kerauno.base.visible_text import visible

_FORMULA = re.compile("[ \u00a0\u3000]*[=+@\uff1d\uff0b\uff20\uff0d-]")
"""How a cell begins that a spreadsheet may run, full-width signs included."""
_TELEPHONE = re.compile(r"\+?[0-9][0-9 ()./-]*")


def csv_line(cells: Iterable[str], telephones: Collection[int] = ()) -> str:
    """Return a line of RFC 4180, its end included.

    Signs that nobody sees are marked. A cell that a spreadsheet would run is led by an
    apostrophe. `telephones` are the columns, from
    0, whose cells may begin with a plus: a telephone number there stays as it is.
    """
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(
        text if at in telephones and _TELEPHONE.fullmatch(text) else _harmless(text)
        for at, text in enumerate(map(visible, cells))
    )
    return out.getvalue()


def _harmless(text: str) -> str:
    return "'" + text if _FORMULA.match(text) else text
