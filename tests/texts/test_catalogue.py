"""The catalogue holds every message, and says so when it does not."""

from __future__ import annotations

import io

import pytest
from babel.messages import Catalog
from babel.messages.pofile import read_po

from tests.texts.catalogue import CATALOGUE, made
from tests.texts.sentences import sentences


@pytest.fixture(scope="module")
def catalogue() -> Catalog:
    return read_po(io.StringIO(made()))


def test_the_catalogue_is_up_to_date() -> None:
    assert CATALOGUE.read_text() == made(), "run: make texts"


def test_it_holds_texts_of_every_kind(catalogue: Catalog) -> None:
    # a template's text, its sentence with markup, its plural, a macro's argument, a code's words,
    # an error of a view, a label of a form, an entry of the navigation
    for message in (
        "Skip to the page",
        "Calls to <strong>%(number)s</strong> ring its %(n)s member.",
        "%(shown)s of %(n)s people",
        "Try another search or filter.",
        "Waiting for you",
        "The two passwords are not the same.",
        "Login Without Email Domain",
        "Phone access",
    ):
        assert message in catalogue
    assert catalogue.get("Number %(number)s is used by %(holder)s.", context="sentence")


def test_no_message_is_a_mere_piece_of_a_sentence(catalogue: Catalog) -> None:
    """Blanks at the ends are the mark of a text that is glued to others."""
    texts = [
        text
        for message in catalogue
        if message.id
        for text in ((message.id,) if isinstance(message.id, str) else message.id)
    ]
    assert [text for text in texts if text != text.strip() or "{" in text] == []


def test_sentences_of_the_other_rooms_are_found_with_their_values() -> None:
    found = {sentence for _, sentence in sentences(CATALOGUE.parent.parent.parent)}
    assert "The service account is locked after too many wrong passwords." in found
    assert "%(server)s did not answer in %(seconds)s s." in found
    assert "Change the %(field)s in AD, or that of %(username)s." in found
    assert "ring group %(name)s" in found
