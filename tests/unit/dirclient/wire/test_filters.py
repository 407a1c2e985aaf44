"""The filter algebra: text as RFC 4515, wire as RFC 4511, and no value that escapes its leaf."""

from __future__ import annotations

import pytest
import sansldap
from hypothesis import given
from hypothesis import strategies as st
from ldap3.operation.search import parse_filter

from dirclient.wire import encode
from dirclient.wire.filters import (
    EVERYTHING,
    And,
    Filter,
    InvalidFilter,
    all_of,
    any_of,
    bits,
    contains,
    eq,
    ge,
    in_chain,
    le,
    present,
    starts,
)


@pytest.mark.parametrize(
    ("built", "text"),
    [
        (eq("mail", "john.doe@company.com"), "(mail=john.doe@company.com)"),
        (eq("cn", "*"), r"(cn=\2a)"),
        (eq("cn", "a*"), r"(cn=a\2a)"),
        (eq("cn", ")(uid=*"), r"(cn=\29\28uid=\2a)"),
        (eq("cn", "a\\b"), r"(cn=a\5cb)"),
        (eq("cn", "a\0b"), r"(cn=a\00b)"),
        (eq("cn", "Zoë 山田"), "(cn=Zoë 山田)"),
        (eq("cn", " x "), "(cn= x )"),
        (eq("objectGUID", b"\xff\x00a"), r"(objectGUID=\ff\00\61)"),
        (eq("sAMAccountType", 805306368), "(sAMAccountType=805306368)"),
        (ge("uSNChanged", 7), "(uSNChanged>=7)"),
        (le("uSNChanged", 7), "(uSNChanged<=7)"),
        (present("mail"), "(mail=*)"),
        (starts("mail", "a*@"), r"(mail=a\2a@*)"),
        (contains("cn", "(x"), r"(cn=*\28x*)"),
        (bits("userAccountControl", 2), "(userAccountControl:1.2.840.113556.1.4.803:=2)"),
        (
            in_chain("memberOf", "CN=a (b)"),
            r"(memberOf:1.2.840.113556.1.4.1941:=CN=a \28b\29)",
        ),
        (eq("a", 1) & eq("b", 2) & eq("c", 3), "(&(a=1)(b=2)(c=3))"),
        (eq("a", 1) | eq("b", 2) | eq("c", 3), "(|(a=1)(b=2)(c=3))"),
        ((eq("a", 1) | eq("b", 2)) & ~eq("c", 3), "(&(|(a=1)(b=2))(!(c=3)))"),
        (all_of([eq("a", 1)]), "(a=1)"),
        (any_of([eq("a", 1), eq("b", 2)]), "(|(a=1)(b=2))"),
        (EVERYTHING, "(objectClass=*)"),
    ],
)
def test_text_is_escaped_once_at_the_leaf(built: Filter, text: str) -> None:
    assert str(built) == text
    assert Filter.raw(text) == built


@pytest.mark.parametrize("name", ["", "a b", "mail)(cn", "ma*il", "1x", "ä", "a=b", "a\0"])
def test_what_is_no_attribute_is_refused(name: str) -> None:
    with pytest.raises(InvalidFilter):
        eq(name, "x")


def test_an_empty_part_is_refused_rather_than_matching_everything() -> None:
    for build in (starts, contains):
        with pytest.raises(InvalidFilter):
            build("mail", "")


# -- an administrator's own


@pytest.mark.parametrize(
    "text",
    [
        "(cn=a)",
        "(cn=)",
        "(cn>=a)",
        "(cn<=a)",
        "(cn~=a)",
        "(cn=a*b*c)",
        "(cn=*b*)",
        "(!(cn=a))",
        "(&(a=1)(|(b=2)(c=3)))",
        r"(cn=\28x\29)",
        "(memberOf:1.2.840.113556.1.4.1941:=CN=a,DC=b)",
        "(cn:caseExactMatch:=Fred)",
        "(ou:dn:=Sales)",
        "(ou:dn:2.4.6.8.10:=Sales)",
        "(:1.2.3:=x)",
        "(sn;lang-de=Größe)",
        "(1.2.840.1=x)",
    ],
)
def test_every_form_of_filter_is_taken_and_given_back(text: str) -> None:
    assert str(Filter.raw(text)) == text
    assert str(Filter.raw(f"  {text}\n")) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cn=a",
        "(cn=a",
        "(cn=a))",
        "(cn=a)(cn=b)",
        "()",
        "(&)",
        "(|)",
        "(!)",
        "(!(a=1)(b=2))",
        "(cn)",
        "(=a)",
        "(c n=a)",
        r"(cn=\zz)",
        r"(cn=\2)",
        "(cn=a(b)",
        "(cn>=a*)",
        "(cn=a\0b)",
        "(:=x)",
        "(cn:=a*)",
        "(&(cn=a) (cn=b))",
        "(" * 60 + "a=1" + ")" * 60,
        "(!" * 500 + "(a=1)" + ")" * 500,
    ],
)
def test_what_is_no_filter_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(InvalidFilter) as caught:
        Filter.raw(text)
    assert "at position" in str(caught.value)


# -- any value at all

attributes = st.sampled_from(["mail", "cn", "sn;lang-de", "1.2.840.113556"])
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
leaves = st.one_of(
    st.builds(eq, attributes, texts),
    st.builds(eq, attributes, st.binary(min_size=1, max_size=20)),
    st.builds(ge, attributes, texts),
    st.builds(starts, attributes, texts),
    st.builds(contains, attributes, texts),
    st.builds(present, attributes),
    st.builds(in_chain, attributes, texts),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a & b, inner, inner),
        st.builds(lambda a, b: a | b, inner, inner),
        st.builds(lambda a: ~a, inner),
    ),
    max_leaves=12,
)


@given(trees)
def test_text_and_tree_are_the_same_filter(tree: Filter) -> None:
    assert Filter.raw(str(tree)) == tree


@given(trees)
def test_an_independent_reader_understands_the_wire(tree: Filter) -> None:
    request = encode.search_request(1, "", "base", tree.encode())
    (message,) = sansldap.LDAPServer().receive(request)
    assert isinstance(message, sansldap.SearchRequest)
    assert shape(message.filter) == tree.encode()


def shape(found: sansldap.LDAPFilter) -> bytes:
    """The filter as sansldap writes what it read."""
    writer = sansldap.asn1.ASN1Writer()
    found.pack(writer, sansldap.FilterOptions())
    return bytes(writer.get_data())


@given(trees)
def test_an_independent_parser_accepts_the_text(tree: Filter) -> None:
    parse_filter(str(tree), None, False, None, None, False)


@given(texts)
def test_a_value_never_becomes_structure(value: str) -> None:
    wanted = eq("cn", value) & eq("sn", value)
    parsed = Filter.raw(str(wanted))
    assert type(parsed) is And
    assert parsed == wanted
