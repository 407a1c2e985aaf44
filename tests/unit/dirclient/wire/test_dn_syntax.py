"""Distinguished names: parsed, compared and written, whatever signs are in them."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ldap3.utils.dn import parse_dn

from demo import names
from dirclient.wire import dn_syntax

ODD_VALUES = [
    "Comma, Anna",
    "Anna+Plus",
    'Anna "The" Quote',
    "#1 Anna",
    " Anna Blank",
    "Blank Anna ",
    "  ",
    "Jürgen Größe",
    "Sinéad O'Connor",
    "😀",
    "שרה כהן",
    "Anna \\ Slash",
    "Anna <b>;=</b>",
    "Anna (*) Star",
    "a=b",
    "\\,",
    "a\nb",
]


@pytest.mark.parametrize("value", ODD_VALUES)
def test_an_odd_value_survives_writing_and_parsing(value: str) -> None:
    text = f"CN={dn_syntax.escape(value)},OU=Staff,DC=x"
    assert dn_syntax.parse(text) == ((("CN", value),), (("OU", "Staff"),), (("DC", "x"),))
    assert dn_syntax.name(text) == value
    assert dn_syntax.split(text) == (f"CN={dn_syntax.escape(value)}", "OU=Staff,DC=x")
    assert dn_syntax.is_under(dn_syntax.key(text), dn_syntax.key("ou=staff, dc=X"))


_VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
_SPECIAL_VALUES = st.text(st.sampled_from('\\ ,+"#=<>;a\u3000\n'), min_size=1, max_size=8)


@given(_VALUES | _SPECIAL_VALUES, _SPECIAL_VALUES)
@example("\\ ", "\\")
@example("\\\\ ", " ")
@example("  ", "# ")
@example("a\u3000", "\u00a0a")
def test_any_value_survives_writing_and_parsing(value: str, outer: str) -> None:
    text = f"CN={dn_syntax.escape(value)},OU={dn_syntax.escape(outer)},DC=x"
    rdns = ((("CN", value),), (("OU", outer),), (("DC", "x"),))
    assert dn_syntax.parse(text) == rdns
    assert dn_syntax.write(rdns) == text
    assert dn_syntax.split(text) == (
        f"CN={dn_syntax.escape(value)}",
        f"OU={dn_syntax.escape(outer)},DC=x",
    )
    assert (dn_syntax.name(text), dn_syntax.path(text)) == (value, (outer, value))
    assert dn_syntax.is_under(dn_syntax.key(text), dn_syntax.key(dn_syntax.split(text)[1]))


@given(_VALUES | _SPECIAL_VALUES)
@example("\\ ")
@example(" ")
def test_the_demo_directory_reads_and_writes_the_same_names(value: str) -> None:
    ours, theirs = f"CN={dn_syntax.escape(value)},DC=x", names.text_of((("CN", value), ("DC", "x")))
    assert names.parse(ours) == names.parse(theirs) == (("CN", value), ("DC", "x"))
    assert dn_syntax.parse(theirs) == dn_syntax.parse(ours)


# These need no escape (RFC 4514 2.4), but ldap3 wants one, or takes them for a separator.
_FOR_LDAP3 = st.text(
    st.characters(categories=["L", "N", "P", "S", "Zs"], exclude_characters="=#"),
    min_size=1,
    max_size=20,
)


@given(_FOR_LDAP3)
@example("\\ ")
@example(" a\\\\ ")
def test_an_independent_parser_sees_the_same_parts(value: str) -> None:
    text = f"CN={dn_syntax.escape(value)},OU=a,DC=x"
    assert parse_dn(text) == [
        ("CN", dn_syntax.escape(value), ","),
        ("OU", "a", ","),
        ("DC", "x", ""),
    ]


@given(st.text(max_size=60))
def test_whatever_is_typed_is_parsed_or_refused(text: str) -> None:
    try:
        parsed = dn_syntax.parse(text)
    except dn_syntax.InvalidDn:
        return
    assert dn_syntax.parse(dn_syntax.write(parsed)) == parsed


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("CN=John Doe,DC=x", "cn=john doe,dc=X"),
        ("CN=John Doe,DC=x", " CN = John Doe , DC = x "),
        (r"CN=a\;b\=c,DC=x", r"CN=a\3Bb\3Dc,DC=x"),  # as Samba writes them
        (r"CN=a\,b,DC=x", 'CN="a,b",DC=x'),
        (r"CN=Gr\c3\b6\c3\9fe,DC=x", "CN=GRÖSSE,DC=x"),
        ("CN=zoe\u0308,DC=x", "CN=zo\u00eb,DC=x"),
        ("CN=a+OU=b,DC=x", "OU=b+CN=a,DC=x"),
        ("CN=a;DC=x", "CN=a,DC=x"),
        ("CN=a  b,DC=x", "CN=a b,DC=x"),
        (r"CN=\#1,DC=x", r"CN=\231,DC=x"),
    ],
)
def test_two_spellings_of_one_name_have_one_key(one: str, other: str) -> None:
    assert dn_syntax.key(one) == dn_syntax.key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("CN=a,DC=x", "CN=b,DC=x"),
        ("CN=a,DC=x", "OU=a,DC=x"),
        (r"CN=a\,DC=x,DC=y", "CN=a,DC=x,DC=y"),
        ("CN=e,DC=x", "CN=é,DC=x"),
    ],
)
def test_different_names_have_different_keys(one: str, other: str) -> None:
    assert dn_syntax.key(one) != dn_syntax.key(other)


@pytest.mark.parametrize(
    ("child", "base", "under"),
    [
        ("CN=a,OU=b,DC=x", "OU=b,DC=x", True),
        ("OU=b,DC=x", "OU=b,DC=x", True),
        ("CN=a,OU=b,DC=x", "", True),
        ("CN=a,OU=bb,DC=x", "OU=b,DC=x", False),
        ("OU=bOU=b,DC=x", "OU=b,DC=x", False),
        (r"CN=a\,OU=b,DC=x", "OU=b,DC=x", False),
        (r"CN=a\\,OU=b,DC=x", "OU=b,DC=x", True),
        ("DC=x", "OU=b,DC=x", False),
        ("", "OU=b,DC=x", False),
    ],
)
def test_being_below_is_a_matter_of_whole_parts(child: str, base: str, under: bool) -> None:
    assert dn_syntax.is_under(dn_syntax.key(child), dn_syntax.key(base)) is under


@pytest.mark.parametrize("text", ["John", "CN", "=a", "CN=a,", "CN=a,,DC=x", "1a=b", 'CN="a', "\\"])
def test_what_is_no_dn_is_refused(text: str) -> None:
    with pytest.raises(dn_syntax.InvalidDn):
        dn_syntax.parse(text)


def test_the_readable_place_leaves_the_domain_out() -> None:
    assert dn_syntax.path(r"CN=Comma\, Anna,OU=EMEA,OU=Sales,DC=x,DC=y") == (
        "Sales",
        "EMEA",
        "Comma, Anna",
    )
