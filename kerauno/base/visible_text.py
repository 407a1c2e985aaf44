"""Names as they may be shown: signs that nobody sees, or that turn a line around, are marked.

Names are anyone's text and are stored as the directory has them. Whatever leaves the program for
people's eyes goes through here: pages, messages, tables, logs, files, headers and claims. ESC
becomes ␛, and a right-to-left override [U+202E]. Signs that belong to a script stay: joiners
between letters of Persian or Hindi and within emoji, variants of emoji and of Han letters.

`folded` tells which names a person could take for one. Letters of other scripts that look alike
(Cyrillic а, Greek ο) are not folded: they are letters, and visible (UTS 39 4 would be the way).
"""

from __future__ import annotations

import re
import unicodedata

# Controls, default-ignorable signs (Unicode 15.0, 5.21), blanks that are letters or symbols, what
# directs bidirectional text (UAX 9 2), lone surrogates, private use and noncharacters.
_RANGES = (
    "\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u2800\u3164\ufdd0-\ufdef\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\ufffe\uffff\ud800-\udfff\ue000-\uf8ff\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U0010ffff"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(1, 14))
)
_SIGN = re.compile(f"[{_RANGES}]")
_SIGN_IN_LINES = re.compile(f"(?![\t\n\r])[{_RANGES}]")

_NON_JOINER, _JOINER, _KEYCAP = "\u200c", "\u200d", "\u20e3"
_EMOJI_STYLES = frozenset("\ufe0e\ufe0f")
_JOINED_SCRIPTS = re.compile(
    "[\u0600-\u08ff\u0900-\u0dff\u1000-\u109f\u1780-\u17ff\u1800-\u18af\ufb50-\ufdcf\ufe70-\ufefc"
    "\U00010a00-\U00010bff\U00010d00-\U00010fff\U00011000-\U00011fff\U0001e900-\U0001e95f]"
)
_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_PICTURES = frozenset({"So", "Sm", "Sk"})  # Sk: skin tones
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})


def visible(text: str) -> str:
    """Return the text on one line with every invisible or turning sign marked."""
    if text.isascii() and text.isprintable():
        return text
    return _SIGN.sub(_mark, text)


def visible_lines(text: str) -> str:
    """As `visible`, for text that may have several lines: tabs and line ends stay."""
    if text.isascii() and text.isprintable():
        return text
    return _SIGN_IN_LINES.sub(_mark, text)


def isolated(text: str) -> str:
    """Return a value that stands in a sentence so that its direction turns nothing around it.

    Only where it has right-to-left letters: between FSI and PDI (UAX 9 2.7).
    """
    if text.isascii() or _RIGHT_TO_LEFT.isdisjoint(map(unicodedata.bidirectional, text)):
        return text
    return f"\u2068{text}\u2069"


def folded(text: str) -> str:
    """Return what is the same for names that look alike.

    Compatible letters are one (NFKC), as are upper and lower case; signs that nobody sees are
    gone, joiners and variants too; blanks are collapsed.
    """
    while (once := _folded_once(text)) != text:  # what a sign parted may compose when it is gone
        text = once
    return text


def escaped_json(text: str) -> str:
    """Return a JSON document with its invisible signs escaped; its values stay the same."""
    return text if text.isascii() else _SIGN_IN_LINES.sub(_json_escape, text)


def _folded_once(text: str) -> str:
    text = _SIGN.sub("", " ".join(text.split()))
    text = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(unicodedata.normalize("NFKC", text).split())


def _mark(match: re.Match[str]) -> str:
    sign, text, start, end = match[0], match.string, match.start(), match.end()
    if _belongs(sign, text[max(0, start - 2) : start], text[end : end + 1]):
        return sign
    code = ord(sign)
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"[U+{code:04X}]"


def _belongs(sign: str, before: str, after: str) -> bool:
    """Tell whether a script or an emoji is written with this sign between its neighbours."""
    last = before[-1:]
    if not last:
        return False
    if sign in _EMOJI_STYLES and unicodedata.category(last) in ("So", "Sm"):
        return True
    if sign == "\ufe0f" and last in "0123456789#*":
        return after == _KEYCAP
    if "\ufe00" <= sign <= "\ufe0f" or "\U000e0100" <= sign <= "\U000e01ef":
        return bool(_HAN.match(last))
    if sign not in (_NON_JOINER, _JOINER) or not after:
        return False
    if _JOINED_SCRIPTS.match(last) and _JOINED_SCRIPTS.match(after):
        return True
    picture = before[0] if last in _EMOJI_STYLES else last
    joined = _PICTURES.issuperset(map(unicodedata.category, picture + after))
    return sign == _JOINER and joined


def _json_escape(match: re.Match[str]) -> str:
    octets = match[0].encode("utf-16-be", "surrogatepass")
    pairs = (octets[at : at + 2] for at in range(0, len(octets), 2))
    return "".join(f"\\u{int.from_bytes(pair):04x}" for pair in pairs)
