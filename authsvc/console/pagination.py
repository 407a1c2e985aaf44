"""Paging by where the last page ended, so that page 2,000 costs what page 1 costs."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from authsvc.web.json_reader import parse_json
from kerauno.tables.base import LARGEST_ID

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, and the cursors of the pages around them (empty: there is none)."""

    rows: tuple[T, ...]
    before: str = ""
    after: str = ""
    total: int | None = None


def pack(values: Sequence[str | int | float | None]) -> str:
    """A cursor for a URL from the sort values of a row."""
    raw = json.dumps(list(values), ensure_ascii=False, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def unpack(cursor: str, kinds: Sequence[type]) -> tuple[object, ...] | None:
    """The values of a cursor, or None where it is empty, damaged, or of another shape."""
    if not cursor or len(cursor) > 4096:
        return None
    try:
        values = parse_json(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:
        return None
    if not isinstance(values, list) or len(values) != len(kinds):
        return None
    if not all(type(value) is kind for value, kind in zip(values, kinds, strict=True)):
        return None
    if any(isinstance(value, int) and abs(value) > LARGEST_ID for value in values):
        return None
    if any(isinstance(value, str) and "\0" in value for value in values):
        return None
    return tuple(values)
