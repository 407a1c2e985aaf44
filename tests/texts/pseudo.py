"""A language that shows what no translation would reach, and a reader that looks for it.

In it every message stands in brackets and every value of a message outside of them: what is left
outside is data, or an English text that somebody forgot to mark. `Reading` sits in front of an app,
has each page made in this language, looks at it, and hands it on without the brackets, so that the
tests around it read the English they expect.
"""

from __future__ import annotations

import html
import io
import json
import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

from babel.messages import Catalog
from babel.messages.pofile import read_po, write_po
from flask import Flask
from sqlalchemy import select

from authsvc.services import Services
from kerauno.tables.core import Base
from tests.texts.catalogue import made
from tests.texts.marks import NAMES, READ_ALOUD

CODE = "eo"
"""Any that a browser knows and no other test asks for."""

_OPEN, _CLOSE = "⟦", "⟧"
_VALUE = re.compile(r"(%\(\w+\)s)(?![^<]*>)")  # none in a tag
_WORD = re.compile(r"[^\W\d_]+")
_MARK = re.compile(r"\[U\+[0-9A-F]{4,6}\]")  # of a sign that nobody sees, in a name
_READ_OUT = re.compile(r"\b[A-Z0-9]{4}-[A-Z0-9]{2,4}\b")  # the code of a refusal or a device


def bracketed(message: str) -> str:
    """The message in brackets, its values outside of them."""
    return _OPEN + _VALUE.sub(rf"{_CLOSE}\1{_OPEN}", message) + _CLOSE


def write_language(folder: Path) -> Path:
    """Every message of the catalogue in brackets, as the one language besides English."""
    template = read_po(io.StringIO(made()))
    language = Catalog(locale="en")
    for message in template:
        if message.id and message.context not in ("between thousands", "decimal point"):
            forms = (message.id,) if isinstance(message.id, str) else message.id
            said = tuple(bracketed(form) for form in forms)
            language.add(message.id, said if len(said) > 1 else said[0], context=message.context)
    path = folder / f"{CODE}.po"
    with path.open("wb") as out:
        write_po(out, language, no_location=True)
    return path


class Reading:
    """Looks at every page that an app makes. `faults` are the texts that were left in English."""

    def __init__(self) -> None:
        self.faults: dict[str, str] = {}
        self.pages = 0
        self.look_in_records = True
        self._known = set(_words(" ".join(NAMES | UNIVERSAL)))

    def __call__(self, app: Flask, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """WSGI, around the app's own."""
        environ["HTTP_ACCEPT_LANGUAGE"] = CODE
        sent = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(sent)
        begun: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            begun[:] = [status, headers, *rest]
            return lambda _: None

        body = app.wsgi_app(environ, start)
        status, headers = begun[:2]
        kind = dict(headers).get("Content-Type", "")
        if not kind.startswith("text/html") or status.startswith("3"):  # nobody reads a redirect
            start_response(*begun)
            return body
        page = b"".join(body)
        getattr(body, "close", lambda: None)()
        self._look_at(app, page.decode(), environ, sent)
        page = page.decode().replace(_OPEN, "").replace(_CLOSE, "").encode()
        kept = [pair for pair in headers if pair[0] != "Content-Length"]
        start_response(status, [*kept, ("Content-Length", str(len(page)))], *begun[2:])
        return [page]

    def _look_at(self, app: Flask, page: str, environ: dict[str, Any], sent: bytes) -> None:
        self.pages += 1
        left = [text for text in texts_outside(page) if self._unknown(text)]
        if left:
            self._known.update(_asked(environ, sent))
            if self.look_in_records:
                self._known.update(_stored(app))
        for text in left:
            if self._unknown(text):
                self.faults[text] = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"

    def _unknown(self, text: str) -> bool:
        return not self._known.issuperset(_words(_READ_OUT.sub("", _MARK.sub("", text))))

    def allow(self, *texts: str) -> None:
        """Allow texts of this test that are neither a message nor in the records."""
        self._known.update(word for text in texts for word in _words(text))


UNIVERSAL = frozenset({
    "p50 p99", "RS256 ES256 PKCE", "openid profile email phone groups offline_access",
    "CONFIRM",  # typed to apply a held run
    "Apache (mod_auth_openidc)", "Grafana", "GitLab", "Nextcloud",
    "config/apache/kerauno.conf", "https://x/.oidc/callback", "grafana.ini", "gitlab.rb",
    "/login/generic_oauth", "/users/auth/openid_connect/callback",
    "user_oidc", "/apps/user_oidc/code",
})  # fmt: skip
"""Names of products, files and standards, the same in every language."""


def texts_outside(page: str) -> list[str]:
    """The texts of a page, and those that are read aloud, without what is in brackets."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return [text for text in reader.found if _WORD.search(text)]


COPIED = frozenset({"code", "pre", "script", "style"})
"""Elements that hold what is typed or copied as it is."""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._inside = 0
        self._silent = 0
        self._initials = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._initials = "avatar" in (dict(attrs).get("class") or "").split()
        self._silent += tag in COPIED
        for name, text in attrs:
            if name in READ_ALOUD and text and not _is_example(tag, name, text):
                self.found.append(self._outside(text, 0)[0])

    def handle_endtag(self, tag: str) -> None:
        self._initials = False
        self._silent -= tag in COPIED

    def handle_data(self, data: str) -> None:
        text, self._inside = self._outside(data, self._inside)
        if not (self._silent or self._initials):
            self.found.append(text)

    def _outside(self, text: str, inside: int) -> tuple[str, int]:
        kept = []
        for char in text:
            if char in (_OPEN, _CLOSE):
                inside += 1 if char == _OPEN else -1
                kept.append(" ")
            elif inside <= 0:
                kept.append(char)
        return "".join(kept), inside


def _is_example(tag: str, name: str, text: str) -> bool:
    """Return what a placeholder shows may be an example of a code, a host or a DN."""
    return name == "placeholder" and not re.search(r"[a-z] [a-z]", text) and _OPEN not in text


def _words(text: str) -> list[str]:
    return _WORD.findall(text)


def _asked(environ: dict[str, Any], sent: bytes) -> Iterator[str]:
    """The words of the request itself."""
    for text in (environ["PATH_INFO"], environ.get("QUERY_STRING", ""), sent.decode("latin-1")):
        yield from _words(unquote_plus(text))
    yield from _words(environ.get("HTTP_HOST", ""))


def _stored(app: Flask) -> Iterator[str]:
    """The words of the records: every text in them that is not one of a code's fixed words."""
    held: Services = app.extensions["kerauno"]
    with held.database.read() as s:
        for table in Base.metadata.sorted_tables:
            columns = [column for column in table.columns if column.name not in CODES]
            for row in s.execute(select(*columns)) if columns else ():
                for value in row:
                    yield from _words(html.unescape(_as_text(value)))


def _as_text(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else ""


CODES = frozenset({"status", "state", "kind", "role", "event", "outcome", "action", "subject",
                   "trigger", "scope", "origin", "method", "phase", "account_state"})  # fmt: skip
"""Columns whose words are the product's own and must never be shown as they are."""
