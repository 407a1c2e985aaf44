"""Sign-in names as people and attackers type them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dirclient.model.directory_objects import Guid, Login, LoginForm, Person
from dirclient.model.login_name import LONGEST, InvalidLogin, fold, matching, parse


@pytest.mark.parametrize(
    ("typed", "parsed"),
    [
        ("john.doe", Login(LoginForm.BARE, "john.doe")),
        ("  john.doe\t", Login(LoginForm.BARE, "john.doe")),
        ("JOHN.DOE", Login(LoginForm.BARE, "JOHN.DOE")),
        ("john doe", Login(LoginForm.BARE, "john doe")),
        ("john.doe@company.com", Login(LoginForm.EMAIL, "john.doe", "company.com")),
        ("COMPANY\\john.doe", Login(LoginForm.DOWN_LEVEL, "john.doe", "COMPANY")),
        ("*", Login(LoginForm.BARE, "*")),
        ("a*", Login(LoginForm.BARE, "a*")),
        (")(uid=*", Login(LoginForm.BARE, ")(uid=*")),
        ("DOMAIN/user", Login(LoginForm.BARE, "DOMAIN/user")),
        ("שרה@company.com", Login(LoginForm.EMAIL, "שרה", "company.com")),
        ("山田@company.com", Login(LoginForm.EMAIL, "山田", "company.com")),
        (unicodedata.normalize("NFD", "zoë"), Login(LoginForm.BARE, "zoë")),
        ("o'neill", Login(LoginForm.BARE, "o'neill")),
    ],
)
def test_a_name_is_parsed(typed: str, parsed: Login) -> None:
    assert parse(typed) == parsed


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "Enter a sign-in name."),
        ("   ", "Enter a sign-in name."),
        ("\u00a0\u2003", "Enter a sign-in name."),
        ("a" * 10_000, "longer than 320"),
        ("e\u0301" * 200, "longer than 320"),
        ("john\0doe", "cannot be seen"),
        ("john\ndoe", "cannot be seen"),
        ("john\x7fdoe", "cannot be seen"),
        ("\u202ejohn", "cannot be seen"),  # turns what follows around
        ("john\u200bdoe", "cannot be seen"),
        ("john\u2028doe", "cannot be seen"),
        ("john\ud800", "cannot be seen"),
        ("john\ue000", "cannot be seen"),
        ("\\", "DOMAIN\\name"),
        ("\\john", "DOMAIN\\name"),
        ("COMPANY\\", "DOMAIN\\name"),
        ("COMPANY\\\\john", "DOMAIN\\name"),
        ("A\\B\\john", "DOMAIN\\name"),
        ("COMPANY\\john@company.com", "DOMAIN\\name"),
        ("@", "name@company.com"),
        ("@company.com", "name@company.com"),
        ("john@", "name@company.com"),
        ("john@a@b", "name@company.com"),
    ],
)
def test_what_cannot_be_a_name_is_told_so(typed: str, said: str) -> None:
    with pytest.raises(InvalidLogin) as caught:
        parse(typed)
    assert said in str(caught.value)


@given(st.text(max_size=400))
def test_whatever_is_typed_is_parsed_or_refused(typed: str) -> None:
    try:
        login = parse(typed)
    except InvalidLogin:
        return
    assert login.name == login.name.strip() != ""
    assert len(str(login)) <= LONGEST
    assert unicodedata.is_normalized("NFC", str(login))
    assert parse(str(login)) == login


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("John.Doe", "john.DOE"),
        ("STRASSE", "straße"),
        (unicodedata.normalize("NFD", "ZOË"), "zoë"),
        (" a ", "a"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
    ],
)
def test_spellings_of_one_name_fold_alike(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@given(st.text(max_size=50))
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold(fold(text)) == fold(text)


# -- who signs in by a name


def someone(number: int, login: str | None, account: str) -> Person:
    """A person with these names."""
    return Person(
        guid=Guid.parse(f"{number:032x}"),
        dn=f"CN={account}",
        login=login,
        first_name=None,
        last_name=None,
        extension=None,
        account_name=account,
        principal_name=f"{account}@goodcompany.local",
    )


JOHN = someone(1, "John.Doe@company.com", "jdoe")
OTHER_JOHN = someone(2, "john.doe@elsewhere.com", "jdoe2")
NAMESAKE = someone(3, "j.d@company.com", "john.doe")
NOBODY = someone(4, None, "nobody")
EVERYONE = [JOHN, OTHER_JOHN, NAMESAKE, NOBODY]


@pytest.mark.parametrize(
    ("people", "typed", "found"),
    [
        (EVERYONE, "john.doe@COMPANY.com", [JOHN]),
        (EVERYONE, "jdoe@goodcompany.local", []),  # a principal name that is not the login value
        (EVERYONE, "john.doe", [JOHN, OTHER_JOHN]),
        ([JOHN, NAMESAKE], "john.doe", [JOHN]),  # the login value goes before the account name
        ([NAMESAKE], "john.doe", [NAMESAKE]),
        (EVERYONE, "JDOE", [JOHN]),
        (EVERYONE, "ANY\\john.doe", [NAMESAKE]),
        (EVERYONE, "nobody", [NOBODY]),
        (EVERYONE, "*", []),
        (EVERYONE, "j", []),
    ],
)
def test_a_name_matches_whose_it_is(people: list[Person], typed: str, found: list[Person]) -> None:
    assert matching(people, parse(typed)) == found
