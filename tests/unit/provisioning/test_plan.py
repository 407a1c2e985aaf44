"""Planning people: who is created, linked, updated, deactivated, and why not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from dirclient.model.directory_objects import AccountState
from provisioning.actions import ActionKind
from provisioning.mapping_rules import Code
from provisioning.plan import Mode, Rules
from tests.syncing import (
    BUILD,
    KEEP,
    LATER,
    NOW,
    by_name,
    codes,
    department,
    disabled,
    guid,
    kinds,
    linked,
    person,
    plan,
    records,
    user,
)


def test_build_creates_and_keep_does_not() -> None:
    people = [person(1), person(2)]
    assert kinds(plan(people)) == {guid(1): "create", guid(2): "create"}
    kept = plan(people, rules=KEEP)
    assert (kinds(kept), codes(kept)) == ({}, {})
    assert kept.standing[guid(1)] == ("ready", ())


def test_a_plan_is_the_document_of_the_command() -> None:
    made = plan([person(1, "john.doe")])
    (action,) = made.as_json()["actions"]
    changes = action.pop("changes")
    assert action == {
        "action": "create",
        "guid": str(guid(1)),
        "username": "john.doe",
        "email": "john.doe@company.com",
        "extension": "1001",
    }
    assert changes["first_name"] == {"before": None, "after": "John"}
    assert made.as_json()["conflicts"] == []


def test_a_rename_marriage_or_move_updates_the_same_user() -> None:
    """Rename, marriage or OU move must not make a second account: objectGUID is the only key."""
    moved = person(
        1,
        "jane.smith",
        dn="CN=jane.smith,OU=Elsewhere,DC=goodcompany,DC=local",
    )
    made = plan([moved], known=records(linked(1, "jane.doe")))
    (action,) = made.actions
    assert action.kind is ActionKind.UPDATE
    assert action.user is not None
    assert action.user.id == 1
    assert set(action.changes) == {
        "username",
        "email",
        "last_name",
        "first_name",
        "dn",
        "principal_key",
        "account_key",
    } - {"first_name"}
    assert "extension" not in action.changes


def test_nothing_changed_means_nothing_to_do() -> None:
    made = plan([person(1), person(2)], known=records(linked(1), linked(2)))
    assert made.empty
    assert made.unchanged == {guid(1), guid(2)}


# Matching users who are there already


def test_a_local_user_with_the_same_email_is_linked() -> None:
    made = plan([person(1, "john.doe", extension="77")], known=records(user(9, "john.doe")))
    (action,) = made.actions
    assert (action.kind, action.user and action.user.id) == (ActionKind.LINK, 9)
    assert action.changes["extension"] == {"before": "1009", "after": "77"}


def test_no_one_is_taken_over_by_username_alone() -> None:
    """A name match must never silently take over a local account."""
    other = user(9, "john.doe", email="john.doe@elsewhere.org", extension="88")
    made = plan([person(1, "john.doe")], known=records(other))
    assert codes(made) == {guid(1): ["username_taken"]}
    (conflict,) = made.conflicts
    assert conflict.other == "user john.doe (John Doe)"
    assert "syncsvc user sync john.doe@elsewhere.org" in conflict.remedy


def test_an_administrator_is_never_linked_by_name_but_proposed() -> None:
    """An administrator is never merged on a match: the link is offered, and confirmed by hand."""
    admin = user(9, "john.doe", role="admin")
    made = plan([person(1, "john.doe")], known=records(admin))
    assert kinds(made) == {}
    assert codes(made) == {guid(1): ["email_taken"]}
    assert made.proposals == {guid(1): 9}
    (conflict,) = made.conflicts
    assert conflict.remedy.startswith("Confirm on the user's page")


def test_an_administrator_is_proposed_by_username_as_well() -> None:
    admin = user(9, "john.doe", role="admin", email="root@company.com")
    made = plan([person(1, "john.doe")], known=records(admin))
    assert (codes(made), made.proposals) == ({guid(1): ["username_taken"]}, {guid(1): 9})


def test_two_accounts_that_claim_one_user_are_both_refused() -> None:
    one, two = person(1, "john.doe"), person(2, "other", login="John.Doe@company.com")
    made = plan([one, two], known=records(user(9, "john.doe")))
    assert codes(made) == {guid(1): ["link_ambiguous"], guid(2): ["link_ambiguous"]}
    assert "other" in by_name(made.conflicts)["John Doe"].other.lower()


def test_an_inactive_local_user_is_not_linked() -> None:
    made = plan([person(1, "john.doe")], known=records(user(9, "john.doe", active=False)))
    assert codes(made) == {guid(1): ["email_taken"]}


def test_two_new_people_who_claim_the_same_both_get_the_conflict_naming_each_other() -> None:
    """The conflict must name both parties, the field and the remedy."""
    made = plan([person(1, "ann.lee", extension="50"), person(2, "bob.ray", extension="50")])
    assert codes(made) == {guid(1): ["extension_taken"], guid(2): ["extension_taken"]}
    found = by_name(made.conflicts)
    assert found["Ann Lee"].other == "AD person Bob Ray (bob.ray@company.com)"
    assert found["Bob Ray"].other == "AD person Ann Lee (ann.lee@company.com)"
    assert found["Ann Lee"].value == "50"


def test_the_holder_of_a_number_keeps_it() -> None:
    made = plan([person(1), person(2, extension="1001")], known=records(linked(1)))
    assert codes(made) == {guid(2): ["extension_taken"]}
    assert made.unchanged == {guid(1)}


def test_a_ring_groups_number_is_not_for_people() -> None:
    made = plan([person(1)], known=records(ring_numbers={"1001": "ring group Sales"}))
    (conflict,) = made.conflicts
    assert (conflict.code, conflict.other) == (Code.EXTENSION_TAKEN, "ring group Sales")


def test_one_persons_conflict_does_not_stop_another() -> None:
    """One bad user must not stop the run, and the message must say who."""
    people = [person(n) for n in range(1, 50)]
    people[7] = replace(people[7], extension=None)
    made = plan(people)
    assert len(made.actions) == 48
    assert codes(made) == {people[7].guid: ["extension_missing"]}


def test_two_people_swap_their_extensions() -> None:
    swapped = [person(1, extension="1002"), person(2, extension="1001")]
    made = plan(swapped, known=records(linked(1), linked(2)))
    assert kinds(made) == {guid(1): "update", guid(2): "update"}
    assert {a.guid: a.takes_from for a in made.actions} == {
        guid(1): (guid(2),),
        guid(2): (guid(1),),
    }


def test_a_chain_of_numbers_moves_on_together() -> None:
    people = [person(n, extension=str(1001 + n)) for n in (1, 2, 3)]
    made = plan(people, known=records(linked(1), linked(2), linked(3)))
    assert set(kinds(made).values()) == {"update"}


def test_a_chain_whose_end_is_blocked_stays_where_it_is() -> None:
    people = [person(n, extension=str(1001 + n)) for n in (1, 2, 3)]
    known = records(linked(1), linked(2), linked(3), user(4, "local.holder"))
    made = plan(people, known=known)
    assert kinds(made) == {}
    assert [c.other for c in made.conflicts] == [
        "user first.last2 (First Last2)",
        "user first.last3 (First Last3)",
        "user local.holder (Local Holder)",
    ]


def test_whoever_conflicts_keeps_every_present_value() -> None:
    people = [person(1, first_name="Renamed", extension="1002"), person(2)]
    made = plan(people, known=records(linked(1), linked(2)))
    assert (kinds(made), codes(made)) == ({}, {guid(1): ["extension_taken"]})


def test_a_leavers_number_is_reserved_and_free_when_the_time_is_over() -> None:
    left = linked(1, active=False, reserved_until=LATER)
    taker = person(2, extension="1001")
    assert codes(plan([taker], known=records(left))) == {guid(2): ["extension_taken"]}
    over = left._replace(reserved_until=NOW - timedelta(seconds=1))
    assert kinds(plan([taker], known=records(over))) == {guid(2): "create"}


def test_a_persons_data_that_is_incomplete_blocks_nobody() -> None:
    people = [person(1, extension="50", first_name=None), person(2, extension="50")]
    made = plan(people)
    assert (kinds(made), codes(made)) == ({guid(2): "create"}, {guid(1): ["name_missing"]})
    made = plan([disabled(person(1, extension="50")), person(2, extension="50")])
    assert kinds(made) == {guid(2): "create"}


def test_usernames_are_unique_without_regard_to_case_and_domain() -> None:
    people = [person(1, login="JohnSmith@a.com"), person(2, login="johnsmith@b.com")]
    assert codes(plan(people)) == {guid(1): ["username_taken"], guid(2): ["username_taken"]}


def test_the_same_email_is_one_conflict_not_two() -> None:
    people = [person(1, login="x@a.com"), person(2, login="X@a.com")]
    assert codes(plan(people)) == {guid(1): ["email_taken"], guid(2): ["email_taken"]}


def test_in_keep_a_link_that_is_only_possible_frees_nothing() -> None:
    """A user who would only be linked by a build still holds their username and number now."""
    known = records(user(9, "old.name", email="john.doe@company.com"), linked(1))
    people = [person(5, "john.doe", extension="70"), person(1, extension="1009")]
    made = plan(people, known=known, rules=KEEP)
    assert codes(made) == {guid(1): ["extension_taken"]}


# Leaving and coming back


@pytest.mark.parametrize(("state", "reason"), [("gone", "out_of_scope"), ("disabled", "disabled")])
def test_leavers_are_deactivated(state: str, reason: str) -> None:
    """Disabled in AD must not stay signed in: disable deactivates, and so does leaving."""
    people = [disabled(person(1))] if state == "disabled" else []
    made = plan(people, known=records(linked(1)), rules=KEEP)
    (action,) = made.actions
    assert (action.kind, action.reason) == (ActionKind.DEACTIVATE, reason)
    assert action.changes == {"active": {"before": True, "after": False}}


@pytest.mark.parametrize("rules", [BUILD, KEEP])
@pytest.mark.parametrize("state", [AccountState.DISABLED, AccountState.EXPIRED])
def test_who_is_out_in_the_directory_has_left_and_is_no_conflict(
    state: AccountState, rules: Rules
) -> None:
    """Disabled or expired is the directory's own word: there is nothing to mend."""
    out = replace(person(1), state=state)
    for before in (linked(1), linked(1, active=False, reserved_until=LATER)):
        made = plan([out], known=records(before), rules=rules)
        assert (codes(made), made.standing) == ({}, {guid(1): ("left", ())})
        assert kinds(made) == ({guid(1): "deactivate"} if before.active else {})


@pytest.mark.parametrize("state", [AccountState.DISABLED, AccountState.EXPIRED])
def test_who_never_was_a_user_and_is_out_in_the_directory_is_a_conflict(
    state: AccountState,
) -> None:
    made = plan([replace(person(1), state=state)])
    assert (kinds(made), codes(made)) == ({}, {guid(1): [f"account_{state.value}"]})


def test_who_comes_back_gets_number_and_identity_back() -> None:
    """Status must be right both ways: re-enabled in AD means active again."""
    left = linked(1, active=False, reserved_until=LATER)
    made = plan([person(1)], known=records(left), rules=KEEP)
    (action,) = made.actions
    assert action.kind is ActionKind.REACTIVATE
    assert action.want is not None
    assert action.want.extension == "1001"


def test_whose_number_went_to_another_comes_back_only_without_it() -> None:
    left = linked(1, active=False, extension=None)
    made = plan([person(1)], known=records(left, user(9, "x.y", extension="1001")))
    assert codes(made) == {guid(1): ["extension_taken"]}


def test_a_local_user_is_never_deactivated() -> None:
    """Local users must not be swept in: sync touches only what it has linked."""
    assert plan([], known=records(user(1), user(2, role="admin"))).empty


def test_turning_the_toggle_off_removes_nobody() -> None:
    people = [person(1), person(2)]
    known = records(linked(1), linked(2))
    assert plan(people, known=known, rules=KEEP).empty


# Held out, scopes, selection


def test_who_was_desynced_is_held_out_until_they_leave_the_scope() -> None:
    held = frozenset({str(guid(1)), str(guid(2))})
    known = records(user(1), held_out=held)
    made = plan([person(1)], known=known)
    assert codes(made) == {guid(1): ["held_out"]}
    assert made.standing[guid(1)][0] == "held-out"
    assert made.holds_ended == (str(guid(2)),)


def test_synced_for_sign_in_alone_name_and_extension_stay_kerauno_s() -> None:
    known = linked(1, scope="login", origin="admin", extension="42", first_name="Johnny")
    changed = person(1, "new.name", extension="99", first_name=None)
    (action,) = plan([changed], known=records(known)).actions
    assert action.want is not None
    assert (action.want.first_name, action.want.extension) == ("Johnny", "42")
    assert action.want.email == "new.name@company.com"


def test_a_link_by_sign_in_becomes_full_when_building() -> None:
    known = linked(1, scope="login", origin="sign-in", extension=None)
    (action,) = plan([person(1)], known=records(known)).actions
    assert action.want is not None
    assert (action.want.scope, action.want.origin, action.want.extension) == (
        "full",
        "sync",
        "1001",
    )
    assert plan([person(1)], known=records(known), rules=KEEP).empty
    assert plan([person(1, extension=None)], known=records(known)).empty


def test_selected_people_alone() -> None:
    rules = Rules(Mode.BUILD, NOW, only=frozenset({str(guid(1))}))
    known = records(linked(3), linked(4))
    made = plan([person(1), person(2), person(3, first_name="X")], known=known, rules=rules)
    assert kinds(made) == {guid(1): "create"}


# Roles


def test_roles_follow_mapped_groups_and_nothing_else() -> None:
    groups = [department(101, "Managers", [1]), department(102, "Others", [2])]
    rules = replace(BUILD, role_groups={str(guid(101)): "manager"})
    known = records(linked(2, role="manager"), linked(3, role="admin"))
    made = plan([person(1), person(2), person(3)], groups, known, rules)
    wants = {a.guid: a.want.role for a in made.actions if a.want}
    assert wants == {guid(1): "manager", guid(2): "user"}


def test_a_group_that_is_not_seen_takes_no_role() -> None:
    rules = replace(BUILD, role_groups={str(guid(101)): "manager"})
    assert plan([person(1)], [], records(linked(1, role="manager")), rules).empty


def test_the_last_administrator_is_not_demoted() -> None:
    rules = replace(BUILD, role_groups={str(guid(101)): "admin"})
    empty = [department(101, "Admins", [])]
    alone = records(linked(1, role="admin"))
    assert plan([person(1)], empty, alone, rules).empty
    two = records(linked(1, role="admin"), user(2, role="admin"))
    (action,) = plan([person(1)], empty, two, rules).actions
    assert action.changes == {"role": {"before": "admin", "after": "user"}}


def test_ten_thousand_conflicts_at_once() -> None:
    """Ten thousand people with one number: every one a conflict, and planning stays fast."""
    made = plan([person(n, extension="50") for n in range(1, 10_001)])
    assert len(made.conflicts) == 10_000
    assert {c.code for c in made.conflicts} == {Code.EXTENSION_TAKEN}
