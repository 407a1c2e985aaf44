"""Escaped text is read back the same by another reader than ours."""

from __future__ import annotations

import csv
import io
import re
from http.cookies import SimpleCookie
from xml.parsers import expat

import sansldap
from hypothesis import example, given
from hypothesis import strategies as st

from authsvc.console.ad_users import powershell
from authsvc.forward_auth.access import cookie_value
from authsvc.portal import phonebook_formats
from authsvc.portal.phonebook_formats import PhonebookEntry
from dirclient.wire.filters import eq

_TEXT = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=40)
_NAMES = (_TEXT | st.text(st.sampled_from("\\,;:\"'<>&()*= a"), max_size=12)).map("A".__add__)
_TOKEN = st.text(st.sampled_from("aZ09_-."), min_size=1, max_size=12)


@given(_NAMES, _NAMES)
@example("A\\ ", 'A"\\')
def test_csv(name: str, department: str) -> None:
    entry = PhonebookEntry("user-1", name, "201", name, name, "a@b.de", (department, department))
    rows = list(csv.reader(io.StringIO(phonebook_formats.as_csv([entry]).removeprefix("\ufeff"))))
    assert rows[1:] == [[name, name, name, "201", "a@b.de", f"{department}, {department}"]]


@given(_NAMES, _NAMES)
@example("A\\ ", "A\\")
@example("A\\;", "A\\,")
def test_vcard(first: str, last: str) -> None:
    entry = PhonebookEntry("user-1", first, "201", first, last, departments=(last, first))
    lines = phonebook_formats.as_vcards([entry]).replace("\r\n ", "").split("\r\n")
    values = dict(line.partition(":")[::2] for line in lines)
    assert _parts(values["FN"]) == [first]
    assert _parts(values["N"]) == [last, first, "", "", ""]
    assert _parts(values["ORG"]) == ["", last, first]


def _parts(value: str) -> list[str]:
    """The components of a structured value, by RFC 6350 3.4, sign by sign."""
    parts, signs = [""], iter(value)
    for sign in signs:
        if sign == ";":
            parts.append("")
        else:
            parts[-1] += next(signs) if sign == "\\" else sign
    return parts


@given(_NAMES, _NAMES)
@example("A]]>", "A&amp;")
def test_xml(name: str, title: str) -> None:
    body = phonebook_formats.as_yealink([PhonebookEntry("user-1", name, "201")], title)
    texts: list[str] = []
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.CharacterDataHandler = texts.append
    parser.StartElementHandler = lambda _name, _attributes: None  # ends a text before it
    parser.Parse(body, True)
    assert texts == [title, name, "201"]


@given(_NAMES)
@example("A\\ ")
@example("A\\2a*)(\0")
def test_filter(value: str) -> None:
    read = sansldap.LDAPFilter.from_string(str(eq("cn", value)))
    assert isinstance(read, sansldap.FilterEquality)
    assert (read.attribute, read.value) == ("cn", value.encode())


@given(st.dictionaries(_TOKEN, _TOKEN, min_size=1, max_size=4))
def test_cookie(cookies: dict[str, str]) -> None:
    header = "; ".join(f"{name}={value}" for name, value in cookies.items())
    theirs = {name: morsel.value for name, morsel in SimpleCookie(header).items()}
    assert {name: cookie_value(header, f"{name}=") for name in cookies} == theirs == cookies


@given(_NAMES)
@example("A‘’‚‛'")
def test_powershell_literal(text: str) -> None:
    literal = powershell.literal(text)
    quotes = re.compile("(['‘’‚‛])\\1")
    assert (literal[0], literal[-1]) == ("'", "'")
    assert not re.search("['‘’‚‛]", quotes.sub("", literal[1:-1]))
    assert quotes.sub(r"\1", literal[1:-1]) == text
