"""The meaning of AD's sub-codes and of LDAP's result codes."""

from __future__ import annotations

import pytest

from dirclient.connection import result_codes
from dirclient.connection.outages import BindLost, Declined, Unsuited
from dirclient.model.errors import (
    AccountExpired,
    BadCredentials,
    DirectoryError,
    Disabled,
    HoursRestricted,
    Locked,
    LogonTypeDenied,
    Misconfigured,
    MustChangePassword,
    PasswordExpired,
    PasswordRejected,
    PasswordWasRight,
    Refused,
    Unavailable,
    WorkstationRestricted,
)

SAMBA = "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data {}, v1db1"
WINDOWS = "80090308: LdapErr: DSID-0C090569, comment: AcceptSecurityContext error, data {}, v4f7c\0"


@pytest.mark.parametrize("message", [SAMBA, WINDOWS])
@pytest.mark.parametrize(
    ("data", "meaning"),
    [
        ("525", BadCredentials),  # unknown user
        ("52e", BadCredentials),  # wrong password
        ("52E", BadCredentials),
        ("52f", BadCredentials),  # Protected Users and other restrictions: right or wrong alike
        ("57", BadCredentials),  # an ambiguous name
        ("530", HoursRestricted),
        ("531", WorkstationRestricted),
        ("532", PasswordExpired),
        ("533", Disabled),
        ("569", LogonTypeDenied),
        ("701", AccountExpired),
        ("773", MustChangePassword),
        ("775", Locked),
        ("99999", BadCredentials),
        ("0", BadCredentials),
    ],
)
def test_a_sub_code_means_one_thing(message: str, data: str, meaning: type[Refused]) -> None:
    error = result_codes.refusal("dc1", 49, message.format(data))
    assert type(error) is meaning
    assert isinstance(error, Refused)
    assert error.subcode == data.lower()


@pytest.mark.parametrize("message", ["", "Invalid credentials", "data", "metadata 532", "data xyz"])
def test_a_refusal_without_a_sub_code_is_bad_credentials(message: str) -> None:
    error = result_codes.refusal("dc1", 49, message)
    assert type(error) is BadCredentials
    assert error.subcode == ""


def test_only_right_passwords_are_told_more() -> None:
    told = {Disabled, AccountExpired, PasswordExpired, MustChangePassword}
    told |= {HoursRestricted, WorkstationRestricted, LogonTypeDenied}
    assert set(PasswordWasRight.__subclasses__()) == told


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (8, Unsuited),
        (13, Unsuited),
        (10, Unsuited),
        (32, BadCredentials),
        (34, BadCredentials),
        (48, BadCredentials),
        (50, Refused),
        (53, Refused),
        (51, Declined),
        (52, Declined),
        (1, Declined),
        (80, Declined),
        (-1, Declined),
    ],
)
def test_a_result_code_of_a_bind_means_one_thing(code: int, meaning: type[DirectoryError]) -> None:
    assert type(result_codes.refusal("dc1", code, "")) is meaning


def test_a_refusal_of_plaintext_names_the_field_and_the_remedy() -> None:
    error = result_codes.refusal("dc1", 8, "BindSimple: Transport encryption required.")
    assert isinstance(error, Misconfigured)
    assert error.field == "encryption"
    assert "StartTLS" in error.remedy


@pytest.mark.parametrize(
    ("code", "message", "reason"),
    [
        (19, "00000056: AtrErr: DSID-03190F80, #1:\n\t0: 00000056: DSID-03190F80", "old_password"),
        (19, "0000052D: SvcErr: DSID-031A12D2, problem 5003 (WILL_NOT_PERFORM)", "policy"),
        (53, "0000052D: SvcErr: DSID-031A12D2, problem 5003 (WILL_NOT_PERFORM)", "policy"),
        (19, "00000775: AtrErr: locked", "locked"),
        (53, "00000775: locked", "locked"),
        (19, "Password fails quality checking policy", "policy"),
        (49, "", "old_password"),
        (8, "", "insecure"),
        (13, "", "insecure"),
        (50, "00002098: SecErr: DSID-031514A0", "other"),
        (53, "unwilling", "other"),
        (32, "", "other"),
    ],
)
def test_a_refused_change_says_why(code: int, message: str, reason: str) -> None:
    error = result_codes.change_refusal(code, message)
    assert isinstance(error, PasswordRejected)
    assert error.reason == reason


@pytest.mark.parametrize("code", [1, 3, 11, 51, 52, 80])
def test_a_server_that_is_unwell_has_not_judged_the_new_password(code: int) -> None:
    assert type(result_codes.change_refusal(code, "")) is Unavailable


@pytest.mark.parametrize("message", [SAMBA, WINDOWS])
@pytest.mark.parametrize(
    "data",
    ["5", "8", "51f", "51F", "54b", "6ba", "6bb", "6be", "6fb", "6fc", "6fd", "80090346"],
)
def test_a_sub_code_of_a_server_that_cannot_judge_is_no_refusal(message: str, data: str) -> None:
    error = result_codes.refusal("dc1", 49, message.format(data))
    assert type(error) is Declined
    assert error.unwell
    assert data.lower() in str(error)


@pytest.mark.parametrize(
    ("code", "message", "meaning"),
    [
        (1, "000004DC: LdapErr: DSID-0C090A5C, comment: In order to perform this", BindLost),
        (1, "00002020: Operation unavailable without authentication", BindLost),
        (1, "00002077: something else", Declined),
        (3, "", Declined),
        (11, "", Declined),
        (51, "000020D9: busy", Declined),
        (52, "", Declined),
        (80, "000004DC: not by this code", Declined),
        (2, "", Unavailable),
        (4, "", Unavailable),
        (12, "", Unavailable),
        (32, "", Unavailable),
        (50, "", Unavailable),
        (53, "", Unavailable),
    ],
)
def test_a_result_code_of_a_search_means_one_thing(
    code: int, message: str, meaning: type[Unavailable]
) -> None:
    error = result_codes.unanswered("dc1", code, message)
    assert type(error) is meaning
    assert getattr(error, "unwell", False) is (code in (51, 52))
