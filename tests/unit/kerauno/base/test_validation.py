"""Validation of a user's fields."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dirclient.model.assess import own_faults
from kerauno.base.errors import InvalidValue
from kerauno.base.passwords import hash_password, password_is
from kerauno.base.validation import valid_email, valid_name, valid_role, valid_username
from tests.syncing import person

PERSON = person(1, "john.doe")


@pytest.mark.parametrize(
    "email",
    [
        "a@b.co",
        "  a@b.co ",
        "john.o'hara+x@sub.company.local",
        "zoë@företag.se",
        "山@山.jp",
        "a@xn--frtag-jua.se",
        "a@b--c.d-e.co",
        "a@3com.co",
        "a@intra_net.co",
        "ram@उदाहरण.भारत",
    ],
)
def test_emails(email: str) -> None:
    assert valid_email(email) == email.strip()
    assert own_faults(replace(PERSON, login=email.strip())) == []


@pytest.mark.parametrize(
    "email",
    [
        "",
        "a",
        "a@b",
        "@b.co",
        "a@",
        "a@b.",
        "a@.co",
        "a@b..co",
        "a b@c.de",
        "a@b@c.de",
        "a@@b.co",
        "a@b .co",
        "<script>@b.co",
        "a@-bad.example",
        "a@bad-.example",
        "a@-bad-.example",
        "a@good.-example",
        "a@good.example-",
        "a@-.example",
        "a@b.c",
        "a@b!c.co",
        "a@b\xa0c.co",
        "a\x01@b.co",
        "a\u200b@b.co",  # nobody could sign in by a name that cannot be seen
        "a@b\u00ad.co",
        "a\u202e@b.co",
        "a\0@b.co",
        "x" * 250 + "@b.co",
    ],
)
def test_no_emails(email: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        valid_email(email)
    assert refused.value.field == "email"
    if email:
        assert own_faults(replace(PERSON, login=email)) == ["email_invalid"]


def test_names() -> None:
    assert valid_name(" Zoe\u0308 ", "first_name") == "Zoë"
    for bad in ("", "  ", "a\0b", "a\nb", "x" * 256):
        with pytest.raises(InvalidValue) as refused:
            valid_name(bad, "last_name")
        assert refused.value.field == "last_name"


def test_usernames() -> None:
    assert valid_username("john.o'hara") == "john.o'hara"
    for bad in ("", "a b", "a@b", "A\\b", "a\u200e", "x" * 256):
        with pytest.raises(InvalidValue) as refused:
            valid_username(bad)
        assert refused.value.field == "username"


def test_roles() -> None:
    assert valid_role("manager") == "manager"
    with pytest.raises(InvalidValue, match="root"):
        valid_role("root")


def test_passwords_of_local_users() -> None:
    hashed = hash_password("correct horse")
    assert hashed.startswith("$argon2id$")
    assert password_is(hashed, "correct horse")
    assert not password_is(hashed, "correct horsf")
    assert not password_is(None, "correct horse")
    assert not password_is("damaged", "correct horse")
    assert not password_is(hashed, "\ud800")
    for bad in ("short", " " * 12, "x" * 1025, "\ud800" * 12):
        with pytest.raises(InvalidValue):
            hash_password(bad)


def test_a_password_means_the_same_however_it_was_typed() -> None:
    assert password_is(hash_password("Zoë-Zoë-Zoë"), "Zoe\u0308-Zoe\u0308-Zoe\u0308")
