"""The words of every page, in the reader's language: gettext over the catalogues in `locale/`.

English is the message itself, readable where it is used; the one place that holds every message
is `locale/kerauno.pot`, written by `make texts`. A language is one file beside it, `de.po` or
`pt_BR.po`, read when the service starts; a browser's Accept-Language chooses among those present.
With English alone nothing is looked up and nothing is asked of a request.

In a message a value stands as `%(name)s`. An `int` is a quantity and is written with its thousands
parted; a number that names something, such as a run's or an extension, comes as text.
"""

from __future__ import annotations

import gettext as library
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import structlog
from flask import Flask, Response, request
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from markupsafe import Markup, escape
from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from authsvc.i18n.po_file import CatalogueFault, read_po
from kerauno.base.visible_text import isolated, visible_lines

LOCALE = Path(__file__).parents[1] / "locale"
PRODUCT = "Kerauno"

_log = structlog.get_logger(__name__)
_LONGEST_WISH = 200  # characters of an Accept-Language that are looked at
_LONGEST_RETOLD = 2000  # characters; nothing we make is so long, what others send may be
_SENTENCE_END = re.compile(r"(?<=[.!?]) (?=[A-Z“])")
_VALUE = re.compile(r"%\((\w+)\)s")
_FROM_RIGHT_TO_LEFT = frozenset({"ar", "ckb", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi"})


@dataclass(frozen=True, slots=True)
class Language:
    """A language that pages can be read in. `code` is its tag (BCP 47), `pt-BR`."""

    code: str
    catalogue: library.NullTranslations = field(
        default_factory=library.NullTranslations, compare=False
    )
    thousands: str = ","
    point: str = "."
    sentences: tuple[tuple[re.Pattern[str], str], ...] = field(default=(), compare=False)

    @property
    def direction(self) -> str:
        """Return whether it is written `ltr` or `rtl`."""
        return "rtl" if self.code.partition("-")[0] in _FROM_RIGHT_TO_LEFT else "ltr"

    def written(self, figures: str) -> str:
        """A number that Python wrote as 12,345.6, as this language writes it."""
        if self.thousands == "," and self.point == ".":
            return figures
        return figures.translate({ord(","): self.thousands, ord("."): self.point})


ENGLISH = Language("en")
_spoken: ContextVar[Language] = ContextVar("language", default=ENGLISH)


def N_(message: str) -> str:  # noqa: N802 - the name that every tool of gettext knows
    """Note a message of a table for the catalogue; `gettext` translates it where it is shown."""
    return message


def language() -> Language:
    """The language of the page that is being made."""
    return _spoken.get()


def gettext(message: str, /, **values: object) -> str:
    """The message in the reader's language, as plain text that is still to be escaped."""
    spoken = _spoken.get()
    text = message if spoken is ENGLISH else spoken.catalogue.gettext(message)
    return text % _written(values) if values else text


def ngettext(singular: str, several: str, n: int, /, **values: object) -> str:
    """The form of the message that fits the count, which is the value `n` in it."""
    return _plural(singular, several, n) % _written({"n": n, **values})


def translate_sentence(*sentences: str) -> str:
    """Sentences that a room without pages made, in the reader's language where they are known.

    Errors of the records and of the directory client, and what the sync service noted, arrive as
    English with the values in it. The catalogue has their patterns (`msgctxt "sentence"`); what
    fits none, and what somebody else wrote (a server's own words), stays as it came.
    """
    spoken = _spoken.get()
    if spoken is not ENGLISH:
        sentences = tuple(_retold(spoken, sentence) for sentence in sentences)
    return " ".join(filter(None, sentences))


def grouped(value: int) -> str:
    """A count with its thousands parted: 12,345."""
    return _spoken.get().written(f"{value:,}")


def decimal(value: float, places: int) -> str:
    """A measured number with so many digits behind its point."""
    return _spoken.get().written(f"{value:,.{places}f}")


def _plural(singular: str, several: str, n: int) -> str:
    spoken = _spoken.get()
    if spoken is ENGLISH:
        return singular if n == 1 else several
    return spoken.catalogue.ngettext(singular, several, n)


def _written(values: Mapping[str, object]) -> dict[str, object]:
    return {name: grouped(it) if type(it) is int else it for name, it in values.items()}


def _in_sentence(values: Mapping[str, object]) -> dict[str, object]:
    """Values of a message of a page: a name in it turns nothing around it."""
    return {
        name: isolated(visible_lines(it)) if type(it) is str else it
        for name, it in _written(values).items()
    }


@lru_cache(maxsize=4096)
def _retold(spoken: Language, sentence: str) -> str:
    if len(sentence) > _LONGEST_RETOLD:
        return sentence
    several = _SENTENCE_END.split(sentence)
    translated = [_known(spoken, sentence) for sentence in several]
    if None in translated:  # a value may have a full stop in it, and a message two sentences
        whole = _known(spoken, sentence)
        if whole is not None:
            return whole
    return " ".join(
        sentence if it is None else it for sentence, it in zip(several, translated, strict=True)
    )


def _known(spoken: Language, sentence: str) -> str | None:
    if not sentence:
        return ""
    whole = spoken.catalogue.gettext(sentence)
    return whole if whole != sentence else _made_elsewhere(spoken, sentence)


def _made_elsewhere(spoken: Language, sentence: str) -> str | None:
    for pattern, translation in spoken.sentences:
        match = pattern.fullmatch(sentence)
        if match:
            values = match.groupdict()  # one may be such a text, too: ring group Sales
            return translation % {
                name: _made_elsewhere(spoken, value) or value for name, value in values.items()
            }
    return None


# What templates call. `_` and `_n` are text; a `trans` block may hold markup of its own, which is
# the translator's to keep. In all of them values are escaped unless they are markup already.


def _text(message: str, /, **values: object) -> str:
    spoken = _spoken.get()
    text = message if spoken is ENGLISH else spoken.catalogue.gettext(message)
    return escape(text) % _in_sentence(values) if values else text


def _text_plural(singular: str, several: str, n: int, /, **values: object) -> Markup:
    return escape(_plural(singular, several, n)) % _in_sentence({"n": n, **values})


def _block(message: str, /, **values: object) -> Markup:
    spoken = _spoken.get()
    text = message if spoken is ENGLISH else spoken.catalogue.gettext(message)
    return Markup(text) % _in_sentence(values)  # noqa: S704 - our own markup, and the translator's


def _block_plural(singular: str, several: str, n: int, /, **values: object) -> Markup:
    return Markup(_plural(singular, several, n)) % _in_sentence(values)  # noqa: S704 - as above


class InlineMessages(Extension):
    """Puts `{{ _("…") }}` into the template as text, where no other language could come instead.

    A table says the same few words in every row, and each time a call would cost more than they do.
    """

    _PLAIN = ("variable_begin", "name", "lparen", "string", "rparen", "variable_end")

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        """The tokens of a template, before they are parsed."""
        waiting: list[Token] = []
        for token in stream:
            if waiting and not self._goes_on(waiting, token):
                yield from waiting
                waiting = []
            if waiting or token.type == self._PLAIN[0]:
                waiting.append(token)
            else:
                yield token
            if len(waiting) == len(self._PLAIN):
                yield Token(waiting[0].lineno, "data", str(escape(waiting[3].value)))
                waiting = []
        yield from waiting

    def _goes_on(self, waiting: list[Token], token: Token) -> bool:
        expected = self._PLAIN[len(waiting)]
        return token.type == expected and (expected != "name" or token.value == "_")


class Languages:
    """The languages that there are. English is always among them."""

    def __init__(self, others: Sequence[Language] = ()) -> None:
        self._by_code = {known.code: known for known in (ENGLISH, *others)}
        self.several = len(self._by_code) > 1
        self.chosen = lru_cache(maxsize=512)(self._chosen)

    def for_browser(self, wish: str) -> Language:
        """The best for an Accept-Language (RFC 9110 12.5.4); English where none fits."""
        return self.chosen(wish[:_LONGEST_WISH]) if self.several and wish else ENGLISH

    def _chosen(self, wish: str) -> Language:
        accepted = parse_accept_header(wish, LanguageAccept)
        code = accepted.best_match(self._by_code.keys(), default=ENGLISH.code)
        return self._by_code[code or ENGLISH.code]


def load(folder: Path) -> Languages:
    """English and every language with a file in the folder; one that cannot be read is logged."""
    languages = []
    for path in sorted(folder.glob("*.po")):
        try:
            languages.append(_language(path))
        except CatalogueFault as fault:
            _log.error("language left out", file=path.name, error=str(fault))
    return Languages(languages)


def _language(path: Path) -> Language:
    catalogue = read_po(path.read_bytes())
    for message in catalogue.left_out:
        _log.warning("translation left out: its values or markup differ", message=message)
    translations = catalogue.translations
    sentences = catalogue.in_context("sentence")
    return Language(
        path.stem.replace("_", "-"),
        translations,
        translations.pgettext("between thousands", ","),
        translations.pgettext("decimal point", "."),
        tuple(
            (_pattern(message), sentences[message])
            for message in sorted(sentences, key=_words_of_its_own, reverse=True)
        ),
    )


def _pattern(message: str) -> re.Pattern[str]:
    """Return what finds the values in a sentence that was made from this message."""
    parts, known = [], set()
    for index, part in enumerate(_VALUE.split(message)):
        if not index % 2:
            parts.append(re.escape(part.replace("%%", "%")))
        else:
            parts.append(f"(?P={part})" if part in known else f"(?P<{part}>.+?)")
            known.add(part)
    return re.compile("".join(parts), re.DOTALL)


def _words_of_its_own(message: str) -> int:
    return len(_VALUE.sub("", message))


def stream_in_language(parts: Iterator[str]) -> Iterator[str]:
    """A page that is sent in pieces, in the language in which it was begun.

    Its pieces are made after the request is over, when its language has been forgotten.
    """
    chosen = language()

    def said() -> Iterator[str]:
        while True:
            with use_language(chosen):
                part = next(parts, None)
            if part is None:
                return
            yield part

    return said()


@contextmanager
def use_language(chosen: Language) -> Iterator[None]:
    """Everything within is said in this language."""
    before = _spoken.set(chosen)
    try:
        yield
    finally:
        _spoken.reset(before)


def setup_texts(app: Flask) -> None:
    """Let templates translate; where there are several languages, ask each request for its own."""
    env = app.jinja_env
    env.add_extension("jinja2.ext.i18n")
    env.newstyle_gettext = True  # type: ignore[attr-defined]
    env.policies["ext.i18n.trimmed"] = True
    env.globals.update(_=_text, _n=_text_plural, gettext=_block, ngettext=_block_plural)
    env.globals["language"] = language
    env.filters.update(grouped=grouped, retold=translate_sentence)
    languages = app.extensions["kerauno.languages"] = load(LOCALE)
    if languages.several:
        _follow_requests(app, languages)
    else:
        env.add_extension(InlineMessages)


def _follow_requests(app: Flask, languages: Languages) -> None:
    def choose() -> None:
        _spoken.set(languages.for_browser(request.headers.get("Accept-Language", "")))

    def say_that_it_varies(response: Response) -> Response:
        if response.mimetype == "text/html":
            response.vary.add("Accept-Language")
        return response

    def forget(_: BaseException | None) -> None:
        _spoken.set(ENGLISH)

    app.before_request(choose)
    app.after_request(say_that_it_varies)
    app.teardown_request(forget)
