"""Every way a sign-in can end, and what each costs the directory and the throttle."""

from __future__ import annotations

from typing import Any

import pytest

from authsvc.signin.outcomes import (
    Attempt,
    Authenticated,
    Denied,
    DirectoryUnavailable,
    MustChange,
    NameIncomplete,
    RateLimited,
    Reason,
    Verdict,
)
from dirclient.config.profile import Profile
from dirclient.model import errors
from dirclient.model.deadline import remaining
from dirclient.model.directory_objects import AccountState
from tests.unit.authsvc.signin.situation import LOCAL_PASSWORD, Situation


@pytest.fixture
def here() -> Situation:
    return Situation()


# -- linked users


def test_a_linked_user_costs_exactly_one_bind(here: Situation) -> None:
    user = here.linked(here.person())
    outcome = here.try_("john.doe@company.com")
    assert isinstance(outcome, Authenticated)
    assert (outcome.user, outcome.method, outcome.link) == (user, "directory", None)
    assert (here.directory.binds, here.directory.operations) == (1, 1)


def test_a_right_answer_leaves_its_slot_to_who_acts_on_it(here: Situation) -> None:
    here.linked(here.person())
    here.try_("john.doe@company.com")
    assert here.still_open == 1


def test_a_wrong_password_costs_one_bind_and_counts(here: Situation) -> None:
    here.linked(here.person())
    outcome = here.try_("john.doe@company.com", "nope")
    assert isinstance(outcome, Denied)
    assert here.records.settled == [(Reason.WRONG_PASSWORD, Verdict.WRONG)]
    assert (here.directory.binds, here.directory.operations) == (1, 1)


@pytest.mark.parametrize(
    ("refusal", "reason", "settled"),
    [
        (errors.Locked, Reason.LOCKED, Verdict.WRONG),
        (errors.Refused, Reason.WRONG_PASSWORD, Verdict.WRONG),
        (errors.Disabled, Reason.DISABLED, Verdict.CORRECT_BUT_REFUSED),
        (errors.AccountExpired, Reason.EXPIRED, Verdict.CORRECT_BUT_REFUSED),
        (errors.HoursRestricted, Reason.HOURS, Verdict.CORRECT_BUT_REFUSED),
        (errors.WorkstationRestricted, Reason.WORKSTATION, Verdict.CORRECT_BUT_REFUSED),
        (errors.LogonTypeDenied, Reason.LOGON_TYPE, Verdict.CORRECT_BUT_REFUSED),
    ],
)
def test_what_the_directory_refuses_is_told_to_administrators_alone(
    here: Situation, refusal: type[errors.Refused], reason: Reason, settled: Verdict
) -> None:
    person = here.person()
    here.linked(person)
    here.directory.refuse(person.guid, refusal)
    assert isinstance(here.try_("john.doe@company.com"), Denied)
    assert here.records.settled == [(reason, settled)]


@pytest.mark.parametrize(
    ("refusal", "expired"), [(errors.PasswordExpired, True), (errors.MustChangePassword, False)]
)
def test_an_expired_password_is_explained_when_it_was_right(
    here: Situation, refusal: type[errors.Refused], expired: bool
) -> None:
    person = here.person()
    here.linked(person)
    here.directory.refuse(person.guid, refusal)
    outcome = here.try_("john.doe@company.com")
    assert isinstance(outcome, MustChange)
    assert (outcome.expired, here.still_open) == (expired, 0)


@pytest.mark.parametrize("refusal", [errors.PasswordExpired, errors.MustChangePassword])
def test_an_expired_password_is_not_explained_when_it_was_wrong(
    here: Situation, refusal: type[errors.Refused]
) -> None:
    person = here.person()
    here.linked(person)
    here.directory.refuse(person.guid, refusal)
    assert isinstance(here.try_("john.doe@company.com", "nope"), Denied)
    assert here.reasons == [Reason.WRONG_PASSWORD]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({"active": False}, Reason.INACTIVE), ({"blocked": True}, Reason.BLOCKED)],
)
def test_a_user_without_access_costs_a_bind_as_nobody(
    here: Situation, fields: dict[str, object], reason: Reason
) -> None:
    person = here.person()
    here.linked(person, **fields)
    assert isinstance(here.try_("john.doe@company.com"), Denied)
    assert here.reasons == [reason]
    assert (here.directory.binds, here.directory.operations) == (1, 1)


# -- names


@pytest.mark.parametrize("name", ["john.doe", "COMPANY\\john.doe"])
def test_only_the_full_address_where_the_settings_say_so(here: Situation, name: str) -> None:
    here.login_without_domain = False
    here.linked(here.person())
    assert isinstance(here.try_(name), NameIncomplete)
    assert (here.directory.operations, here.still_open) == (0, 0)


def test_a_bare_name_where_the_settings_allow_it(here: Situation) -> None:
    here.linked(here.person())
    assert isinstance(here.try_("John.DOE"), Authenticated)


@pytest.mark.parametrize(
    "name", ["", "   ", "x" * 10_000, "a\0b", "a@b@c", "\\", "A\\B\\C", "a\u202eb", "@company.com"]
)
def test_what_is_no_name_asks_nobody(here: Situation, name: str) -> None:
    assert isinstance(here.try_(name), Denied)
    assert (here.reasons, here.directory.operations) == ([Reason.NOT_A_NAME], 0)


@pytest.mark.parametrize("name", ["*", "a*", ")(uid=*", "*@company.com", "EVIL\\john.doe"])
def test_wildcards_and_other_domains_match_nobody(here: Situation, name: str) -> None:
    here.person()
    here.user()
    assert isinstance(here.try_(name), Denied)
    assert here.reasons == [Reason.UNKNOWN]


def test_a_name_of_another_domain_is_not_the_same_username(here: Situation) -> None:
    here.linked(here.person())
    assert isinstance(here.try_("john.doe@other.example"), Denied)
    assert here.reasons == [Reason.UNKNOWN]


@pytest.mark.parametrize("password", ["", "   ", "\0", "nul\0inside", "x" * 1025, "\ud800"])
def test_a_password_that_proves_nothing_is_never_sent(here: Situation, password: str) -> None:
    here.linked(here.person())
    assert isinstance(here.try_("john.doe@company.com", password), Denied)
    assert isinstance(here.try_("nobody@company.com", password), Denied)
    assert here.directory.binds == 0


# -- unknown names


@pytest.mark.parametrize("auto_sync", [True, False])
def test_an_unknown_name_costs_a_bind_that_is_nobodys(here: Situation, auto_sync: bool) -> None:
    here.auto_sync = auto_sync
    john = here.person()
    for _ in range(5):
        assert isinstance(here.try_("nobody@company.com"), Denied)
    assert here.reasons == [Reason.UNKNOWN] * 5
    assert here.directory.binds == 5
    here.linked(john)
    assert isinstance(here.try_("john.doe@company.com"), Authenticated)


def test_an_unknown_name_is_throttled_as_a_known_one(here: Situation) -> None:
    here.linked(here.person())
    for name in ("john.doe@company.com", "nobody@company.com"):
        for _ in range(here.limit):
            assert isinstance(here.try_(name, "nope"), Denied)
        assert here.try_(name, "nope") == RateLimited(60, "THROTTLED")


def test_without_a_directory_nobody_is_known(here: Situation) -> None:
    here.configured = False
    here.user()
    assert isinstance(here.try_("john.doe@company.com"), Denied)
    assert isinstance(here.try_("nobody@company.com"), Denied)
    assert here.reasons == [Reason.NO_WAY_IN, Reason.UNKNOWN]


# -- the first sign-in


def test_the_first_sign_in_links(here: Situation) -> None:
    person = here.person()
    user = here.user()
    outcome = here.try_("john.doe@company.com")
    assert isinstance(outcome, Authenticated)
    assert outcome.user == user
    assert outcome.link is not None
    assert (outcome.link.guid, outcome.link.account_name) == (person.guid, "john.doe")
    assert (here.directory.binds, here.directory.operations) == (1, 2)


def test_look_up_and_bind_share_the_time_of_one_sign_in(here: Situation) -> None:
    here.person()
    here.user()
    left: dict[str, float] = {}
    here.directory.on_operation = lambda name: left.update({name: remaining(1000)})
    here.try_("john.doe@company.com")
    assert list(left) == ["search", "bind"]
    assert 0 < left["bind"] < left["search"] <= Profile().sign_in_timeout


@pytest.mark.parametrize("name", ["john.doe", "COMPANY\\john.doe", "JOHN.DOE@COMPANY.COM"])
def test_the_first_sign_in_by_any_form_of_the_name(here: Situation, name: str) -> None:
    here.person()
    here.user()
    assert isinstance(here.try_(name), Authenticated)


def test_with_auto_synchronization_a_sign_in_links_nobody(here: Situation) -> None:
    here.auto_sync = True
    here.person()
    here.user()
    assert isinstance(here.try_("john.doe@company.com"), Denied)
    assert here.reasons == [Reason.NOT_LINKED]


def test_two_accounts_with_one_mail_link_nobody(here: Situation) -> None:
    here.person("john.doe")
    here.person("other", login="john.doe@company.com")
    here.user()
    assert isinstance(here.try_("john.doe@company.com"), Denied)
    assert here.reasons == [Reason.AMBIGUOUS]
    assert "CN=john.doe" in here.records.notes[0]
    assert "CN=other" in here.records.notes[0]


def test_the_same_name_with_another_email_links_nobody(here: Situation) -> None:
    here.person(login="john.doe@elsewhere.example")
    here.user()
    assert isinstance(here.try_("john.doe"), Denied)
    assert here.reasons == [Reason.NO_MATCH]


def test_who_is_out_of_scope_is_not_linked(here: Situation) -> None:
    here.person(in_scope=False)
    here.user()
    assert isinstance(here.try_("john.doe@company.com"), Denied)
    assert here.reasons == [Reason.NO_MATCH]


def test_who_is_held_out_is_not_linked(here: Situation) -> None:
    person = here.person()
    here.user()
    here.records.held.add(person.guid)
    assert isinstance(here.try_("john.doe@company.com"), Denied)
    assert here.reasons == [Reason.HELD_OUT]


def test_an_account_linked_to_another_user_is_not_linked_again(here: Situation) -> None:
    person = here.person()
    here.linked(person, email="old@company.com", username="old")
    here.user()
    assert isinstance(here.try_("john.doe@company.com"), Denied)
    assert here.reasons == [Reason.NO_MATCH]


def test_a_linked_user_is_found_by_a_name_that_only_the_directory_knows(here: Situation) -> None:
    user = here.linked(here.person())
    outcome = here.try_("COMPANY\\john.doe")
    assert isinstance(outcome, Authenticated)
    assert (outcome.user, here.directory.binds, here.still_open) == (user, 1, 1)


def test_an_administrator_is_never_linked_by_name(here: Situation) -> None:
    person = here.person()
    user = here.user(role="admin")
    assert isinstance(here.try_("john.doe@company.com"), Denied)
    assert here.reasons == [Reason.ADMINISTRATOR]
    assert here.records.proposals == [(user.user_id, person.guid)]


def test_who_does_not_know_the_password_proposes_nothing(here: Situation) -> None:
    here.person()
    here.user(role="admin")
    assert isinstance(here.try_("john.doe@company.com", "nope"), Denied)
    assert here.records.proposals == []


SPELLINGS = [
    "nils.bérg@company.com",
    "nils.bérg",
    "COMPANY\\nils.bérg",
    "NILS.BÉRG",
    " nils.be\u0301rg ",
    "Nils.Bérg@other.example",
    "nils.bérg@company.local",
]
ANSWERS = [Denied] * 5 + [RateLimited] * 2


def answers(here: Situation, names: list[str], **more: str) -> list[type[object]]:
    """Return what each attempt with a wrong password comes to."""
    return [type(here.try_(name, "nope", **more)) for name in names]


@pytest.mark.parametrize("order", [SPELLINGS, SPELLINGS[::-1], SPELLINGS[3:] + SPELLINGS[:3]])
@pytest.mark.parametrize("auto_sync", [True, False])
@pytest.mark.parametrize("kind", ["linked", "unlinked", "local", "inactive", "invented"])
def test_every_spelling_of_a_name_shares_one_budget_whoever_has_it(
    here: Situation, order: list[str], auto_sync: bool, kind: str
) -> None:
    here.auto_sync = auto_sync
    if kind in ("linked", "inactive"):
        here.linked(here.person("nils.bérg"), active=kind == "linked")
    elif kind == "unlinked":
        here.person("nils.bérg")
        here.user("nils.bérg@company.com")
    elif kind == "local":
        here.local("nils.bérg@company.com")
    assert answers(here, order) == ANSWERS


@pytest.mark.parametrize("kind", ["linked", "local", "invented"])
def test_two_names_of_one_person_answer_as_two_invented_ones(here: Situation, kind: str) -> None:
    if kind == "linked":
        here.linked(here.person("nils.berg"), username="nberg")
    elif kind == "local":
        here.local("nils.berg@company.com", username="nberg")
    names = ["nils.berg@company.com"] * 4 + ["nberg"] * 6 + ["nils.berg@company.com"] * 2
    expected = [Denied] * 9 + [RateLimited] + [Denied] + [RateLimited]
    assert answers(here, names) == expected


def test_all_names_of_a_person_together_stay_below_the_directorys_lockout(here: Situation) -> None:
    person = here.person("nils.berg")
    here.linked(person, username="nberg")
    answers(here, ["nils.berg@company.com"] * 4 + ["nberg"] * 4)
    assert here.directory._accounts[person.guid].wrong == here.limit
    assert here.directory.binds == 8  # the rest as nobody, at the same cost
    assert here.reasons[-3:] == [Reason.USED_UP] * 3
    assert isinstance(here.try_("nberg"), Denied)  # the right password tells nothing either


# -- known browsers


def test_a_known_browser_has_attempts_of_its_own(here: Situation) -> None:
    here.linked(here.person())
    name, known = "john.doe@company.com", "known to john.doe"
    assert answers(here, [name] * 12) == [Denied] * 5 + [RateLimited] * 7
    assert isinstance(here.try_(name, known="known to mary.major"), RateLimited)
    assert isinstance(here.try_(name, known=known), Authenticated)


def test_all_known_browsers_share_what_is_reserved(here: Situation) -> None:
    here.linked(here.person())
    name, known = "john.doe@company.com", "known to john.doe"
    answers(here, [name] * 5)
    assert answers(here, [name] * 5, known=known) == [Denied] * 3 + [RateLimited] * 2
    assert here.directory.binds == here.limit + here.reserved


# -- Kerauno passwords


def test_a_local_user_asks_no_directory(here: Situation) -> None:
    user = here.local()
    outcome = here.try_("ada@company.com", LOCAL_PASSWORD)
    assert isinstance(outcome, Authenticated)
    assert (outcome.user, outcome.method, here.directory.operations) == (user, "local", 0)


@pytest.mark.parametrize("role", ["user", "admin"])
def test_a_local_user_has_no_other_password(here: Situation, role: str) -> None:
    here.person("ada")
    here.local(role=role)
    assert isinstance(here.try_("ada@company.com", "Welcome!2026"), Denied)
    assert here.directory.operations == 0


def test_a_local_user_signs_in_while_the_directory_is_away_or_broken(here: Situation) -> None:
    here.local()
    here.directory.down = True
    assert isinstance(here.try_("ada@company.com", LOCAL_PASSWORD), Authenticated)
    here.broken = True
    assert isinstance(here.try_("ada@company.com", LOCAL_PASSWORD), Authenticated)


@pytest.mark.parametrize("fields", [{"active": False}, {"blocked": True}])
def test_a_local_user_without_access(here: Situation, fields: dict[str, Any]) -> None:
    here.local(**fields)
    assert isinstance(here.try_("ada@company.com", LOCAL_PASSWORD), Denied)


# -- outages


@pytest.mark.parametrize("name", ["john.doe@company.com", "new@company.com", "nobody@company.com"])
def test_while_no_server_answers_everybody_is_told_so(here: Situation, name: str) -> None:
    here.linked(here.person())
    here.user("new@company.com")
    here.directory.down = True
    outcome = here.try_(name)
    assert isinstance(outcome, DirectoryUnavailable)
    assert here.records.settled == [(Reason.UNAVAILABLE, Verdict.NOT_CHECKED)]


def test_an_outage_uses_up_nobodys_attempts(here: Situation) -> None:
    here.linked(here.person())
    here.directory.down = True
    for _ in range(3 * here.limit):
        assert isinstance(here.try_("john.doe@company.com"), DirectoryUnavailable)
    here.directory.down = False
    assert isinstance(here.try_("john.doe@company.com"), Authenticated)


def test_a_server_that_never_answers_may_have_counted_the_password(here: Situation) -> None:
    here.linked(here.person())
    here.directory.hung = True
    assert isinstance(here.try_("john.doe@company.com"), DirectoryUnavailable)
    assert here.records.settled == [(Reason.UNAVAILABLE, Verdict.UNKNOWN)]


def test_the_right_password_is_not_kept_out_by_answers_that_were_lost(here: Situation) -> None:
    here.linked(here.person())
    here.directory.hung = True
    for _ in range(here.limit):
        assert isinstance(here.try_("john.doe@company.com"), DirectoryUnavailable)
    here.directory.hung = False
    assert isinstance(here.try_("john.doe@company.com"), Authenticated)


def test_wrong_passwords_whose_answers_were_lost_count(here: Situation) -> None:
    """The directory counted them before it broke off, and says so."""
    person = here.person()
    here.linked(person)
    here.directory.hung = True
    for _ in range(here.limit):
        here.try_("john.doe@company.com", "wrong")
    here.directory.hung = False
    here.directory.count_wrong(person.guid, here.limit)
    assert isinstance(here.try_("john.doe@company.com"), Denied)
    assert here.reasons[-1] == Reason.USED_UP


def test_a_directory_that_cannot_say_how_they_ended_leaves_them_counted(here: Situation) -> None:
    here.linked(here.person())
    here.directory.hung = True
    for _ in range(here.limit + 1):
        assert isinstance(here.try_("john.doe@company.com"), DirectoryUnavailable)
    assert here.still_open == 0


def test_settings_that_cannot_be_used_are_not_the_persons_fault(here: Situation) -> None:
    here.linked(here.person())
    here.broken = True
    for name in ("john.doe@company.com", "nobody@company.com"):
        assert isinstance(here.try_(name), DirectoryUnavailable)
    assert here.reasons == [Reason.MISCONFIGURED] * 2
    assert here.still_open == 0


# -- changing a password


def change(here: Situation, old: str, new: str) -> object:
    attempt = Attempt("john.doe@company.com", old, "10.0.0.1")
    return here.sign_in.change_directory_password(attempt, new)


def test_an_expired_password_is_changed_and_signs_in(here: Situation) -> None:
    person = here.person()
    user = here.linked(person)
    here.directory.refuse(person.guid, errors.PasswordExpired)
    assert isinstance(change(here, "Welcome!2026", "Another!2027"), Authenticated)
    now = here.directory.find_guid(person.guid).password_set
    assert here.records.passwords == [(user.user_id, person.guid, now)]
    assert isinstance(here.try_("john.doe@company.com", "Another!2027"), Authenticated)


def test_a_new_hire_changes_the_first_password_and_is_linked(here: Situation) -> None:
    here.person(must_change_password=True)
    here.user()
    outcome = change(here, "Welcome!2026", "Another!2027")
    assert isinstance(outcome, Authenticated)
    assert outcome.link is not None


def test_a_new_password_that_the_rules_refuse(here: Situation) -> None:
    person = here.person()
    here.linked(person)
    here.directory.refuse(person.guid, errors.MustChangePassword)
    outcome = change(here, "Welcome!2026", "short")
    assert isinstance(outcome, MustChange)
    assert outcome.rejected == "policy"


def test_a_wrong_password_changes_nothing(here: Situation) -> None:
    here.linked(here.person())
    assert isinstance(change(here, "nope", "Another!2027"), Denied)
    assert here.directory.operations == 1


def test_without_encryption_no_password_is_changed(here: Situation) -> None:
    here.linked(here.person())
    here.directory.encrypted = False
    outcome = change(here, "Welcome!2026", "Another!2027")
    assert isinstance(outcome, MustChange)
    assert outcome.rejected == "insecure"


def test_a_disabled_person_in_the_directory_is_not_explained(here: Situation) -> None:
    here.linked(here.person(state=AccountState.DISABLED))
    assert isinstance(here.try_("john.doe@company.com"), Denied)


# -- no password anywhere


def test_an_attempt_hides_its_password() -> None:
    assert "hunter2" not in repr(Attempt("john", "hunter2", "10.0.0.1"))


@pytest.mark.parametrize("domain", ["COMPANY", "company", "goodcompany.local"])
def test_a_down_level_name_of_this_domain_is_the_person(here: Situation, domain: str) -> None:
    here.linked(here.person())
    assert isinstance(here.try_(f"{domain}\\john.doe"), Authenticated)


def test_a_down_level_name_of_another_domain_is_nobody(here: Situation) -> None:
    here.linked(here.person())
    assert isinstance(here.try_("OTHER\\john.doe"), Denied)
    assert here.reasons == [Reason.UNKNOWN]


def test_a_down_level_name_is_not_judged_while_its_domain_cannot_be_asked(here: Situation) -> None:
    here.linked(here.person())
    here.directory.down = True
    assert isinstance(here.try_("COMPANY\\john.doe"), DirectoryUnavailable)
