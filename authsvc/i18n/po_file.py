"""Reads a translator's file (gettext's PO format) into a catalogue of the standard library.

The library itself reads only the compiled form; a language should be one text file to drop in.
"""

from __future__ import annotations

import ast
import io
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from gettext import GNUTranslations

_CONTEXT = "\x04"  # between context and message, as in compiled catalogues
_FORM = "\0"  # between singular and plural, and between the forms of a translation
_MAGIC = 0x950412DE
_LINE = re.compile(r'(?:(msgctxt|msgid_plural|msgid|msgstr(?:\[\d\])?)\s*)?(".*")\s*')
_PART = re.compile(r"%\((\w+)\)s|%%|%|</?[a-z][^>]*>")


class CatalogueFault(Exception):
    """The file is none that could be used; says where and why."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """A language's messages. `left_out` are those whose translation cannot stand for them."""

    translations: GNUTranslations
    messages: Mapping[str, str]
    left_out: tuple[str, ...]

    def in_context(self, context: str) -> dict[str, str]:
        """Message and translation of those that carry this `msgctxt`."""
        mark = context + _CONTEXT
        return {
            message.removeprefix(mark): translation
            for message, translation in self.messages.items()
            if message.startswith(mark)
        }


def read_po(octets: bytes) -> Catalogue:
    """The catalogue in a file.

    A translation must have the values and the markup of its message, each plural form some of its
    values. Fuzzy and empty ones are not used. Raises CatalogueFault.
    """
    messages: dict[str, str] = {}
    left_out: list[str] = []
    for message, translation in _entries(octets):
        if not translation.strip(_FORM):
            continue
        if message and not _stands_for(translation, message):
            left_out.append(message)
            continue
        messages[message] = translation
    if "" not in messages:
        raise CatalogueFault("it has no header")
    try:
        translations = GNUTranslations(io.BytesIO(_compiled(messages)))
    except (ValueError, LookupError, UnicodeError) as error:
        raise CatalogueFault(f"its header is at fault: {error}") from None
    return Catalogue(translations, messages, tuple(left_out))


def _entries(octets: bytes) -> Iterator[tuple[str, str]]:
    """Message and translation of each entry that is not fuzzy, keyed as compiled catalogues are."""
    try:
        lines = octets.decode("utf-8-sig").splitlines()
    except UnicodeError:
        raise CatalogueFault("it is not UTF-8") from None
    parts: dict[str, str] = {}
    fuzzy, last = False, ""
    for number, line in enumerate([*lines, ""], 1):
        plain = line.strip()
        if plain.startswith("#~") or (plain.startswith("#") and not plain.startswith("#,")):
            continue
        read = _LINE.fullmatch(plain) if plain else None
        begins = not plain or plain.startswith("#,") or (read and read[1] in ("msgctxt", "msgid"))
        if begins and any(name.startswith("msgstr") for name in parts):
            if not fuzzy or not parts.get("msgid"):  # tools mark the header of a draft fuzzy
                yield _joined(parts)
            parts, fuzzy, last = {}, False, ""
        if plain.startswith("#,"):
            fuzzy = fuzzy or "fuzzy" in plain
        elif read:
            last = read[1] or last
            parts[last] = parts.get(last, "") + _unquoted(read[2], number)
        elif plain:
            raise CatalogueFault(f"line {number} is none of this format")


def _unquoted(text: str, number: int) -> str:
    try:
        return str(ast.literal_eval(text))
    except (SyntaxError, ValueError):
        raise CatalogueFault(f"line {number} is not quoted right") from None


def _joined(parts: dict[str, str]) -> tuple[str, str]:
    message = parts.get("msgid", "")
    if "msgctxt" in parts:
        message = parts["msgctxt"] + _CONTEXT + message
    if "msgid_plural" in parts:
        message += _FORM + parts["msgid_plural"]
    forms = sorted(name for name in parts if name.startswith("msgstr"))
    return message, _FORM.join(parts[name] for name in forms)


def _stands_for(translation: str, message: str) -> bool:
    """Return whether the translation can be used as the message is, values and tags alike."""
    known = [_parts(form) for form in message.rpartition(_CONTEXT)[2].split(_FORM)]
    forms = [_parts(form) for form in translation.split(_FORM)]
    if len(known) == 1:
        return forms == known
    allowed = {part for parts in known for part in parts}
    return all(set(parts) <= allowed for parts in forms)


def _parts(text: str) -> list[str]:
    """The values and tags in a text, sorted: their order is the translator's."""
    return sorted(match[0] for match in _PART.finditer(text))


def _compiled(messages: dict[str, str]) -> bytes:
    """The catalogue as the library reads it (GNU gettext manual, "The Format of GNU MO Files")."""
    pairs = [(key.encode(), messages[key].encode()) for key in sorted(messages, key=str.encode)]
    at = 7 * 4 + 16 * len(pairs)
    table, body = [_MAGIC, 0, len(pairs), 7 * 4, 7 * 4 + 8 * len(pairs), 0, 0], bytearray()
    for side in (0, 1):
        for pair in pairs:
            table += [len(pair[side]), at + len(body)]
            body += pair[side] + b"\0"
    return struct.pack(f"<{len(table)}I", *table) + body
