"""JSON from outside, read within bounds: Python's own reader follows any depth until it breaks."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from flask import request

MOST_DEPTH = 32
LARGEST = 256 * 1024  # octets

_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKET = re.compile(rb"[\[{\]}]")


def parse_json(octets: bytes | str) -> Any:
    """Return the value of a JSON document (RFC 8259).

    Raise ValueError where it is none, is too large or too deep, or holds what is no JSON value:
    NaN, an infinite number, half of a surrogate pair.
    """
    if isinstance(octets, str):
        octets = octets.encode("utf-8", "surrogatepass")
    if len(octets) > LARGEST or _depth(octets) > MOST_DEPTH:
        raise ValueError("The JSON document is too large or too deep.")
    value = json.loads(octets.decode(), parse_constant=_refuse, parse_float=_finite)
    if b"\\u" in octets:
        json.dumps(value, ensure_ascii=False).encode()  # raises UnicodeEncodeError, a ValueError
    return value


def json_body() -> Any:
    """Return the value that this request's body holds; None where it is no JSON at all."""
    if not request.is_json:
        return None
    try:
        return parse_json(request.get_data())
    except ValueError:
        return None


def _depth(octets: bytes) -> int:
    """Return how deep lists and objects are nested at most."""
    if octets.count(b"[") + octets.count(b"{") <= MOST_DEPTH:
        return 0
    deepest = depth = 0
    for bracket in _BRACKET.finditer(_TEXT.sub(b"", octets)):
        depth += 1 if bracket[0] in (b"[", b"{") else -1
        deepest = max(deepest, depth)
    return deepest


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value.")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("The number is too large.")
    return number
