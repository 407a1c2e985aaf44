"""Refuse a request that names something that no record can have."""

from __future__ import annotations

from flask import request
from werkzeug.exceptions import BadRequest, NotFound

from kerauno.tables.base import LARGEST_ID


def refuse_impossible() -> None:
    """404 for an id that no record can have, 400 for a NUL, which PostgreSQL takes in no text."""
    for value in (request.view_args or {}).values():
        if (isinstance(value, int) and value > LARGEST_ID) or "\0" in str(value):
            raise NotFound
    if any("\0" in text for text in request.args.values()):
        raise BadRequest
