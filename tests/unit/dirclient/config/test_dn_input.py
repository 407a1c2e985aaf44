"""Search DNs as people type them."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dirclient.config.dn_input import (
    DnInput,
    NameInput,
    PathInput,
    domain_dn,
    domain_name,
    parse_dn_input,
)
from dirclient.wire import dn_syntax

WHOLE = "CN=Kerauno_PhoneUsers,OU=Groups,DC=goodcompany,DC=local"


@pytest.mark.parametrize(
    "text",
    [
        WHOLE,
        "CN=Kerauno_PhoneUsers\n\nOU= Groups\n\nDC=goodcompany\n\nDC=local \n",
        "CN=Kerauno_PhoneUsers\r\nOU= Groups\r\nDC=goodcompany\r\nDC=local",
        "CN=Kerauno_PhoneUsers / OU= Groups / DC=goodcompany / DC=local",
        "CN=Kerauno_PhoneUsers/OU=Groups/DC=goodcompany/DC=local",
        "CN=Kerauno_PhoneUsers,\nOU= Groups,\nDC=goodcompany,\nDC=local,",
        "  CN = Kerauno_PhoneUsers , OU = Groups ; DC=goodcompany , DC=local ",
        "CN=Kerauno_PhoneUsers,\u00a0OU=Groups,DC=goodcompany,DC=local",
    ],
)
def test_every_way_to_write_a_dn_is_the_dn(text: str) -> None:
    assert parse_dn_input(text) == DnInput(WHOLE)


def test_a_value_with_a_slash_stays_one_value() -> None:
    assert parse_dn_input("CN=Sales/Support,OU=Groups,DC=x") == DnInput(
        "CN=Sales/Support,OU=Groups,DC=x"
    )


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("CN=Phones,OU=Groups", DnInput("CN=Phones,OU=Groups", partial=True)),
        ("OU=Groups\nOU= Staff", DnInput("OU=Groups,OU=Staff", partial=True)),
        (
            "goodcompany.local/Groups/Phone Users",
            PathInput("goodcompany.local", ("Groups", "Phone Users")),
        ),
        ("Staff/Sales/", PathInput("", ("Staff", "Sales"))),
        ("Staff/In\\/Out/Sales", PathInput("", ("Staff", "In/Out", "Sales"))),
        ("Staff/Back\\\\/Sales", PathInput("", ("Staff", "Back\\", "Sales"))),
        ("Kerauno_PhoneUsers", NameInput("Kerauno_PhoneUsers")),
        ("  Phone   Users ", NameInput("Phone Users")),
        ("COMPANY\\Phone Users", NameInput("Phone Users")),
        ("goodcompany.local", NameInput("goodcompany.local")),
        ("*", NameInput("*")),
        (")(uid=*", NameInput(")(uid=*")),
    ],
)
def test_what_else_may_be_meant(text: str, meaning: object) -> None:
    assert parse_dn_input(text) == meaning


@pytest.mark.parametrize(
    "text", ["", "   ", ",", "CN=a\0b", "x" * 10_000, "CN=a,Groups", "CN=a\\zz,DC=x", "\\"]
)
def test_what_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(dn_syntax.InvalidDn, match=r"[a-z]"):
        parse_dn_input(text)


@given(st.text(max_size=80))
def test_any_text_has_a_meaning_or_is_refused(text: str) -> None:
    try:
        parse_dn_input(text)
    except dn_syntax.InvalidDn:
        pass


def test_domains_in_both_forms() -> None:
    assert domain_dn("goodcompany.local.") == "DC=goodcompany,DC=local"
    assert domain_name("OU=Staff,DC=GoodCompany,DC=local") == "goodcompany.local"
    assert domain_name("not a dn") == ""


_VALUES = st.text(st.sampled_from('ab \\,;+"#='), min_size=1, max_size=6)


@given(_VALUES, _VALUES, st.sampled_from([",", " ,\n", "\n", " / ", "\r\n,"]))
@example("\\ ", "a", "\n")
@example("a ", "a,", "\n")
def test_no_escaped_sign_is_lost_at_the_end_of_a_line(one: str, two: str, between: str) -> None:
    parts = [f"CN={dn_syntax.escape(one)}", f"OU={dn_syntax.escape(two)}"]
    assert parse_dn_input(between.join(parts)) == DnInput(",".join(parts), partial=True)
    assert parse_dn_input(parts[0]) == DnInput(parts[0], partial=True)
