"""Look-up keys: the one form in which names are compared, so that `Mike` and `mike` are one."""

from __future__ import annotations

import hashlib
import unicodedata

from kerauno.base.visible_text import folded


def lookup_key(text: str) -> str:
    """The key under which a username, email or name is unique: NFC, stripped, casefolded, NFC.

    The last NFC is needed because casefolding may decompose (Unicode 15.0, 3.13 D145).
    """
    if text.isascii():
        key = text.strip().lower()
    else:
        folded = unicodedata.normalize("NFC", text).strip().casefold()
        key = unicodedata.normalize("NFC", folded)
    return text if key == text else key  # the same object: most names are their own keys


def label_key(label: str) -> str:
    """The key under which a label is unique: the same for all that a person could take for one.

    A digest, which any index can hold.
    """
    return hashlib.sha256(folded(label).encode("utf-8", "surrogatepass")).hexdigest()


def search_words(text: str) -> list[str]:
    """Return what a person typed into a search box, as the words that must all occur.

    Only the first 200 characters count; what no database can be asked for is left out.
    """
    plain = text[:200].replace("\0", " ").encode("utf-8", "ignore").decode("utf-8")
    return lookup_key(plain).split()


def sort_key(last_name: str | None, first_name: str | None, fallback: str = "") -> str:
    """Orders people by last, then first name, as a phone book does; at most 512 characters.

    Accents are dropped so that Örn stands beside Orn; people without a name come last, by
    `fallback` (their login or DN).
    """
    parts = [part for part in (last_name, first_name) if part]
    text = "\t".join(parts) if parts else f"\uffff{fallback}"
    if not text.isascii():
        decomposed = unicodedata.normalize("NFD", text)
        text = "".join(char for char in decomposed if not unicodedata.combining(char))
    return text.casefold()[:512]
