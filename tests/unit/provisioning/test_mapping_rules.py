"""A person by Kerauno's rules."""

from __future__ import annotations

import pytest

from dirclient.model.directory_objects import AccountState
from provisioning.mapping_rules import Code, Desired, account_conflict, desire
from tests.syncing import person


def wanted(**fields: object) -> Desired:
    found = desire(person(1, "john.doe", **fields))
    assert isinstance(found, Desired)
    return found


def faults(**fields: object) -> list[tuple[Code, str]]:
    found = desire(person(1, "john.doe", **fields))
    assert isinstance(found, tuple)
    return [(conflict.code, conflict.field) for conflict in found]


def test_a_complete_person_is_wanted_as_they_are() -> None:
    assert wanted() == Desired(
        username="john.doe",
        username_key="john.doe",
        email="john.doe@company.com",
        email_key="john.doe@company.com",
        first_name="John",
        last_name="Doe",
        extension="1001",
    )


def test_keys_fold_case_and_normal_form_but_the_shown_value_is_what_ad_returned() -> None:
    """`Mike` and `mike` must not become two users: the value AD returns, folded look-up keys."""
    found = wanted(login="Zoe\u0308.STRASSE@Company.COM")
    assert (found.username, found.username_key) == ("Zoe\u0308.STRASSE", "zoë.strasse")
    assert found.email_key == "zoë.strasse@company.com"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"first_name": None}, [(Code.NAME_MISSING, "first_name")]),
        ({"last_name": None}, [(Code.NAME_MISSING, "last_name")]),
        ({"first_name": None, "last_name": None}, [(Code.NAME_MISSING, "name")]),
        ({"first_name": "\0"}, [(Code.NAME_MISSING, "first_name")]),
        ({"last_name": "\u200b\u202e\u2060"}, [(Code.NAME_MISSING, "last_name")]),
        ({"login": None}, [(Code.EMAIL_MISSING, "email")]),
        ({"login": "john.doe"}, [(Code.EMAIL_INVALID, "email")]),
        ({"extension": None}, [(Code.EXTENSION_MISSING, "extension")]),
        ({"extension": "7"}, [(Code.EXTENSION_INVALID, "extension")]),
        ({"extension": "12345678901"}, [(Code.EXTENSION_INVALID, "extension")]),
        ({"extension": "+1 317 555 0100"}, [(Code.EXTENSION_INVALID, "extension")]),
        (
            {"login": None, "extension": None, "last_name": None},
            [
                (Code.EMAIL_MISSING, "email"),
                (Code.NAME_MISSING, "last_name"),
                (Code.EXTENSION_MISSING, "extension"),
            ],
        ),
    ],
)
def test_every_fault_is_found_at_once(
    fields: dict[str, object], expected: list[tuple[Code, str]]
) -> None:
    assert faults(**fields) == expected


@pytest.mark.parametrize("text", ["+1 317 555 0100 x1234", "+13175550100;ext=1234", "1234"])
def test_the_extension_of_a_phone_number_counts(text: str) -> None:
    assert wanted(extension=text).extension == "1234"


def test_a_conflict_is_data_with_a_remedy() -> None:
    (conflict,) = desire(person(1, "john.doe", extension="7"))  # type: ignore[misc]
    assert conflict.as_json() == {
        "guid": str(person(1).guid),
        "person": "John Doe",
        "code": "extension_invalid",
        "field": "extension",
        "value": "7",
        "other": "",
        "remedy": conflict.remedy,
    }
    assert conflict.remedy


def test_a_long_value_is_cut_and_a_control_character_is_no_part_of_a_name() -> None:
    found = wanted(first_name="x" * 10_000, last_name="Do\x00e")
    assert (len(found.first_name or ""), found.last_name) == (255, "Do e")
    (conflict,) = desire(person(1, login="x" * 10_000))  # type: ignore[misc]
    assert len(conflict.value) <= 254


def test_an_account_that_may_not_sign_in_says_only_that() -> None:
    off = person(1, state=AccountState.DISABLED, login=None)
    conflict = account_conflict(off, held_out=False)
    assert conflict is not None
    assert conflict.code is Code.ACCOUNT_DISABLED
    late = account_conflict(person(1, state=AccountState.EXPIRED), held_out=True)
    assert late is not None
    assert late.code is Code.ACCOUNT_EXPIRED
    held = account_conflict(person(1), held_out=True)
    assert held is not None
    assert held.code is Code.HELD_OUT
    assert account_conflict(person(1), held_out=False) is None


def test_for_sign_in_alone_username_and_email_suffice() -> None:
    found = desire(person(1, "john.doe", first_name=None, extension=None), full=False)
    assert isinstance(found, Desired)
    assert (found.username, found.extension) == ("john.doe", None)
