"""Languages: which is chosen, what of its file is used, and how it writes values."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask, render_template_string

from authsvc.i18n import formatting, translate
from authsvc.i18n.po_file import CatalogueFault, read_po
from authsvc.i18n.translate import gettext, grouped, ngettext, translate_sentence, use_language

HEAD = r"""
msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\n"
"Plural-Forms: nplurals=3; plural=(n==1 ? 0 : n>=2 && n<=4 ? 1 : 2);\n"
"""
CZECH = (
    HEAD
    + r"""
# a remark
#: authsvc/web/layout.py
msgid "Home"
msgstr "Domů"

msgid "Run %(run)s is held"
msgstr "Běh %(run)s "
"čeká"

#, fuzzy
msgid "Phone book"
msgstr "Kniha"

msgid "Sign out"
msgstr ""

msgid "%(n)s person"
msgid_plural "%(n)s people"
msgstr[0] "%(n)s člověk"
msgstr[1] "%(n)s lidé"
msgstr[2] "%(n)s lidí"

msgid "Calls to <strong>%(number)s</strong>"
msgstr "Hovory na <strong>%(number)s</strong>"

msgctxt "between thousands"
msgid ","
msgstr " "

msgctxt "decimal point"
msgid "."
msgstr ","

msgctxt "sentence"
msgid "Number %(number)s is used by %(holder)s."
msgstr "Číslo %(number)s má %(holder)s."

msgctxt "sentence"
msgid "Choose another number, or free %(number)s first."
msgstr "Zvolte jiné číslo, nebo nejprve uvolněte %(number)s."

msgctxt "sentence"
msgid "The email is missing."
msgstr "Chybí e-mail."

#~ msgid "Gone"
#~ msgstr "Pryč"
"""
)


@pytest.fixture
def locale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "cs.po").write_text(CZECH)
    (tmp_path / "pt_BR.po").write_text(HEAD + '\nmsgid "Home"\nmsgstr "Início"\n')
    (tmp_path / "ar.po").write_text(HEAD + '\nmsgid "Home"\nmsgstr "الرئيسية"\n')
    monkeypatch.setattr(translate, "LOCALE", tmp_path)
    return tmp_path


@pytest.fixture
def czech(locale: Path) -> Iterator[None]:
    with use_language(translate.load(locale).for_browser("cs")):
        yield


@pytest.fixture
def app(locale: Path) -> Flask:
    made = Flask("authsvc")
    translate.setup_texts(made)
    made.add_url_rule("/", "page", lambda: render_template_string(
        '<html lang="{{ language().code }}" dir="{{ language().direction }}">{{ _("Home") }}'
    ))  # fmt: skip
    return made


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        ("cs", "cs"),
        ("cs-CZ,cs;q=0.9,en;q=0.8", "cs"),
        ("pt-BR", "pt-BR"),
        ("de,cs;q=0.5", "cs"),
        ("en,cs;q=0.9", "en"),
        ("en-GB,en;q=0.9,cs;q=0.8", "en"),
        ("cs;q=0", "en"),
        ("de", "en"),
        ("", "en"),
        ("*", "en"),
        ("cs;q=x, ;;;,\0", "en"),
        ("x" * 100_000, "en"),
    ],
)
def test_the_browser_chooses_among_the_languages_there_are(
    locale: Path, wish: str, code: str
) -> None:
    assert translate.load(locale).for_browser(wish).code == code


def test_with_english_alone_nothing_is_asked(tmp_path: Path) -> None:
    languages = translate.load(tmp_path)
    assert not languages.several
    assert languages.for_browser("cs") is translate.ENGLISH
    assert languages.chosen.cache_info().currsize == 0


def test_pages_say_their_language_and_that_they_vary(app: Flask) -> None:
    client = app.test_client()
    czech = client.get("/", headers={"Accept-Language": "cs"})
    assert czech.text == '<html lang="cs" dir="ltr">Domů'
    assert czech.headers["Vary"] == "Accept-Language"
    assert client.get("/", headers={"Accept-Language": "ar"}).text.startswith(
        '<html lang="ar" dir="rtl">'
    )
    assert client.get("/").text == '<html lang="en" dir="ltr">Home'
    assert gettext("Home") == "Home"  # nothing of a request is left behind


def test_where_english_is_alone_its_messages_stand_in_the_templates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(translate, "LOCALE", tmp_path)
    app = Flask("authsvc")
    translate.setup_texts(app)
    page = """<a title="{{ _('Users & "Devices"') }}">{{ name }}{{ _("It's here") }}</a>
{{ _("Run %(run)s", run=name) }} {{ _(name) }} {{ (_("Home")) }} {{ _("Home") | upper }}"""
    with app.test_request_context():
        shown = render_template_string(page, name="<b>")
        app.jinja_env.globals["_"] = lambda *_, **__: "asked"
        again = render_template_string(page + " ", name="<b>")
    lead = '<a title="Users &amp; &#34;Devices&#34;">&lt;b&gt;It&#39;s here</a>\n'
    assert shown == lead + "Run &lt;b&gt; &lt;b&gt; Home HOME"
    assert again == lead + "asked asked asked ASKED "


def test_english_alone_does_not_vary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translate, "LOCALE", tmp_path)
    app = Flask("authsvc")
    translate.setup_texts(app)
    app.add_url_rule("/", "page", lambda: render_template_string('{{ _("Home") }}'))
    answer = app.test_client().get("/", headers={"Accept-Language": "cs"})
    assert (answer.text, answer.headers.get("Vary")) == ("Home", None)


@pytest.mark.usefixtures("czech")
class TestCzech:
    """A language with three plural forms, and a blank between its thousands."""

    def test_messages(self) -> None:
        assert gettext("Home") == "Domů"
        assert gettext("Run %(run)s is held", run="1234") == "Běh 1234 čeká"
        assert gettext("Sign out") == "Sign out"  # not translated yet
        assert gettext("Phone book") == "Phone book"  # not sure yet
        assert gettext("Gone") == "Gone"

    @pytest.mark.parametrize(
        ("n", "said"),
        [(1, "1 člověk"), (3, "3 lidé"), (0, "0 lidí"), (12_345, "12 345 lidí")],
    )
    def test_plurals(self, n: int, said: str) -> None:
        assert ngettext("%(n)s person", "%(n)s people", n) == said

    def test_numbers(self) -> None:
        assert grouped(1_234_567) == "1 234 567"
        assert formatting.figure(1234.5) == "1 234,5"
        assert formatting.seconds(2.54) == "2,5 s"
        assert formatting.ago(timedelta(hours=3)) == "3 hours ago"

    def test_sentences_made_elsewhere(self) -> None:
        said = translate_sentence("Number 201 is used by Anna, of Sales.", "The email is missing.")
        assert said == "Číslo 201 má Anna, of Sales. Chybí e-mail."
        two = "Number 201 is used by Bob. Choose another number, or free 201 first."
        assert (
            translate_sentence(two)
            == "Číslo 201 má Bob. Zvolte jiné číslo, nebo nejprve uvolněte 201."
        )
        assert translate_sentence("What a server said: 00002020") == "What a server said: 00002020"
        assert translate_sentence("", "") == ""


def test_sentences_made_elsewhere_stay_as_they_came_in_english() -> None:
    assert translate_sentence("The email is missing.", "") == "The email is missing."


def test_a_name_from_elsewhere_is_escaped_in_every_kind_of_message(
    app: Flask, locale: Path
) -> None:
    attack = "<script>alert(1)</script>%(number)s\"'"
    page = """{% trans number=name %}Calls to <strong>{{ number }}</strong>{% endtrans %}
{{ _("Run %(run)s is held", run=name) }} <i title="{{ _("Run %(run)s is held", run=name) }}">
{{ _n("%(n)s of %(who)s", "%(n)s of %(who)s", 2, who=name) }}
{% trans n=2, who=name %}{{ n }} of {{ who }}{% pluralize %}{{ n }} for {{ who }}{% endtrans %}"""
    for code in ("en", "cs"):
        with app.test_request_context(headers={"Accept-Language": code}):
            app.preprocess_request()
            shown = render_template_string(page, name=attack)
        assert shown.count("&lt;script&gt;alert(1)&lt;/script&gt;%(number)s&#34;&#39;") == 5
        assert "<script>" not in shown
        assert shown.startswith(
            "Calls to <strong>&lt;" if code == "en" else "Hovory na <strong>&lt;"
        )


def test_a_message_is_text_and_markup_in_a_value_stays_markup(app: Flask) -> None:
    page = """{% set when %}<time>now</time>{% endset %}{{ _("Users & Devices") }}
{{ _("Run %(run)s is held", run=when) }}"""
    with app.test_request_context():
        shown = render_template_string(page)
    assert shown == "Users &amp; Devices\nRun <time>now</time> is held"


@pytest.mark.parametrize(
    ("message", "translation"),
    [
        ("Run %(run)s is held", "Běh %(beh)s čeká"),
        ("Run %(run)s is held", "Běh čeká"),
        ("Run %(run)s is held", "Běh %(run)s čeká na 100 %"),
        ("Run %(run)s is held", "Běh %(run)d čeká"),
        ("Calls to <strong>%(number)s</strong>", "Hovory na %(number)s"),
        ("Home", "<b>Domů</b>"),
        ("Home", '<img src=x onerror="alert(1)">'),
    ],
)
def test_a_translation_that_cannot_stand_for_its_message_is_left_out(
    message: str, translation: str
) -> None:
    quoted = translation.replace('"', '\\"')
    read = read_po((HEAD + f'\nmsgid "{message}"\nmsgstr "{quoted}"\n').encode())
    assert read.left_out == (message,)
    assert read.translations.gettext(message) == message


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\xff\xfe",
        b'msgid "Home"\nmsgstr "Dom"\n',
        (HEAD + '\nmsgid "Home\nmsgstr "Dom"\n').encode(),
        (HEAD + "\nthis is no catalogue\n").encode(),
        HEAD.replace("plural=(n==1", "plural=(import os").encode(),
        HEAD.replace("charset=UTF-8", "charset=KLINGON").encode(),
    ],
)
def test_a_file_that_is_none_is_a_fault_and_its_language_is_left_out(
    octets: bytes, tmp_path: Path
) -> None:
    with pytest.raises(CatalogueFault):
        read_po(octets)
    (tmp_path / "cs.po").write_bytes(octets)
    assert not translate.load(tmp_path).several


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(1, "1 second"), (40, "40 seconds"), (90, "2 minutes"), (7_200, "2 hours"), (0, "1 second")],
)
def test_a_waiting_time_is_rounded_up(seconds: int, said: str) -> None:
    assert formatting.waiting(seconds) == said
