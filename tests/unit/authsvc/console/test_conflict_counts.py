"""The connection test counts the conflicts that the plan would have."""

from __future__ import annotations

from hypothesis import given

from authsvc.console.ad_credentials.conflict_counts import conflicts_of
from dirclient.model.directory_objects import DirectoryDepartment, Guid, Person
from provisioning.plan import make_plan
from provisioning.records import Records
from tests.syncing import BUILD, NOW, guid, linked, person, records, snapshot, user
from tests.unit.provisioning.test_plan_properties import SMALL, departments, known, people


def counted(who: list[Person], held: Records) -> dict[Guid, list[str]]:
    """Return what the test finds."""
    found = conflicts_of(who, held.users.values(), held.ring_numbers, held.held_out, NOW)
    return {guid: sorted(codes) for guid, codes in found.items()}


def planned(
    who: list[Person], groups: list[DirectoryDepartment], held: Records
) -> dict[Guid, list[str]]:
    """Return what a build finds."""
    standing = make_plan(snapshot(who, groups), held, BUILD).standing
    return {
        guid: sorted(conflict.code.value for conflict in conflicts)
        for guid, (_, conflicts) in standing.items()
        if conflicts
    }


@SMALL
@given(people(), departments(), known())
def test_each_person_has_the_conflicts_that_a_build_would_find(
    who: list[Person], groups: list[DirectoryDepartment], held: Records
) -> None:
    assert counted(who, held) == planned(who, groups, held)


def test_what_kerauno_has_is_in_the_way() -> None:
    held = records(
        user(1, "local.one", extension="1001"),
        linked(2, "ann.lee", extension="1002"),
        user(3, "boss.root", role="admin"),
        ring_numbers={"1003": "ring group Sales"},
        held_out=frozenset({str(guid(7))}),
    )
    who = [
        person(2, "ann.lee", extension="1002"),  # is who holds it
        person(4, "cy.fox", extension="1001"),
        person(5, "di.orr", extension="1003"),
        person(6, "ed.poe", extension="1002"),
        person(7, "fay.ray"),
        person(8, "boss.root"),
        person(9, "gus.lot"),
    ]
    assert counted(who, held) == {
        guid(4): ["extension_taken"],
        guid(5): ["extension_taken"],
        guid(6): ["extension_taken"],
        guid(7): ["held_out"],
        guid(8): ["email_taken"],
    }
