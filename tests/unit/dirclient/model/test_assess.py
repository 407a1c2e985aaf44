"""Conflicts as far as the directory alone tells."""

from __future__ import annotations

import dataclasses
import uuid

import pytest

from dirclient.model.assess import assess, number_in, own_faults
from dirclient.model.directory_objects import AccountState, Guid, Person


def person(number: int, **fields: object) -> Person:
    whole = Person(
        guid=Guid(uuid.UUID(int=number)),
        dn=f"CN=p{number}",
        login=f"p{number}@company.com",
        first_name="P",
        last_name=str(number),
        extension=str(1000 + number),
    )
    return dataclasses.replace(whole, **fields)  # type: ignore[arg-type]


def test_a_whole_person_is_free() -> None:
    assert own_faults(person(1)) == []
    assert assess([person(1), person(2)]).free == 2


@pytest.mark.parametrize(
    ("fields", "codes"),
    [
        ({"state": AccountState.DISABLED}, ["account_disabled"]),
        ({"state": AccountState.EXPIRED}, ["account_expired"]),
        ({"first_name": None}, ["name_missing"]),
        ({"last_name": ""}, ["name_missing"]),
        ({"last_name": "\u200b"}, ["name_missing"]),
        ({"state": AccountState.DISABLED, "login": None}, ["account_disabled"]),
        ({"login": None}, ["email_missing"]),
        ({"login": "p1 at company"}, ["email_invalid"]),
        ({"login": "p1@company"}, ["email_invalid"]),
        ({"login": "a" * 250 + "@b.com"}, ["email_invalid"]),
        ({"extension": None}, ["extension_missing"]),
        ({"extension": "reception"}, ["extension_invalid"]),
        ({"login": None, "extension": "1"}, ["email_missing", "extension_invalid"]),
    ],
)
def test_each_fault_has_its_code(fields: dict[str, object], codes: list[str]) -> None:
    assert own_faults(person(1, **fields)) == codes


def test_people_who_claim_the_same_are_counted_all() -> None:
    people = [
        person(1, extension="2000"),
        person(2, extension="2000"),
        person(3, login="P4@Company.com"),
        person(4),
        person(5, login="p6@other.com"),
        person(6),
        person(7, extension="2000", state=AccountState.DISABLED),  # blocks nobody
        person(8),
    ]
    found = assess(people)
    assert found.people == 8
    assert found.free == 1
    assert found.conflicts == {
        "extension_taken": 2,
        "email_taken": 2,
        "username_taken": 4,
        "account_disabled": 1,
    }
    assert found.sentences() == [
        "4 whose username is another's, too",
        "2 whose email is another's, too",
        "2 whose extension is another's, too",
        "1 disabled",
    ]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1234", "1234"),
        ("１２３４", "1234"),
        ("+1 317 555 0100 x1234", "1234"),
        ("+1 317 555 0100;ext=1234", "1234"),
        ("555 ext. 12", "12"),
        ("1", ""),
        ("12345678901", ""),
        ("+1 317 555 0100", ""),
    ],
)
def test_numbers_in_text(text: str, number: str) -> None:
    assert number_in(text) == number
