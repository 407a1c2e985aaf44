"""Membership: nesting with cycles, primary groups, OUs, cut member lists."""

from __future__ import annotations

import random
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dirclient.mapping.groups import (
    Group,
    MemberPart,
    Nesting,
    Unit,
    below,
    member_part,
    plain_dn,
    reference,
    rid_of,
)
from dirclient.model.directory_objects import Guid
from dirclient.model.errors import Incomplete
from dirclient.wire.decode import Entry

PEOPLE = [Guid(uuid.UUID(int=number)) for number in range(1, 9)]
GROUPS = [Guid(uuid.UUID(int=number)) for number in range(101, 109)]


def graph(
    members: dict[int, set[int]], people: dict[int, set[int]], primary: dict[int, set[int]]
) -> Nesting:
    """Groups by number: nested groups, direct people, people by primary group."""
    groups = {
        GROUPS[number]: Group(
            guid=GROUPS[number],
            dn=f"CN=g{number}",
            name=f"g{number % 3}",  # names repeat, as they do in real life
            members=frozenset(
                (
                    *(GROUPS[one] for one in members.get(number, ())),
                    *(PEOPLE[one] for one in people.get(number, ())),
                    "a computer",
                )
            ),
            rid=1000 + number,
        )
        for number in range(len(GROUPS))
    }
    return Nesting(
        groups,
        lambda one: one if one in PEOPLE else None,  # type: ignore[arg-type, return-value]
        lambda one: one if one in groups else None,  # type: ignore[arg-type, return-value]
        {1000 + number: {PEOPLE[one] for one in who} for number, who in primary.items()},
    )


def reachable(root: int, edges: dict[int, set[int]]) -> set[int]:
    """Return what a plain walk finds."""
    seen, left = {root}, [root]
    while left:
        for one in edges.get(left.pop(), ()):
            if one not in seen:
                seen.add(one)
                left.append(one)
    return seen


edges = st.dictionaries(
    st.integers(0, len(GROUPS) - 1), st.sets(st.integers(0, len(GROUPS) - 1)), max_size=8
)
belongings = st.dictionaries(
    st.integers(0, len(GROUPS) - 1), st.sets(st.integers(0, len(PEOPLE) - 1)), max_size=8
)


@given(edges, belongings, belongings)
def test_effective_members_are_all_that_can_be_reached(
    nested: dict[int, set[int]], people: dict[int, set[int]], primary: dict[int, set[int]]
) -> None:
    found = graph(nested, people, primary)
    for root in range(len(GROUPS)):
        inside = reachable(root, nested)
        expected = {
            PEOPLE[one]
            for group in inside
            for one in people.get(group, set()) | primary.get(group, set())
        }
        members, via = found.effective(GROUPS[root])
        assert members == expected
        assert found.closure(GROUPS[root]) == {GROUPS[one] for one in inside}
        direct = {PEOPLE[one] for one in people.get(root, set()) | primary.get(root, set())}
        assert via.keys() == expected - direct


@given(edges, belongings, st.randoms(use_true_random=False))
def test_the_order_of_members_changes_nothing(
    nested: dict[int, set[int]], people: dict[int, set[int]], chance: random.Random
) -> None:
    one = graph(nested, people, {})
    shuffled = list(one._groups.items())
    chance.shuffle(shuffled)
    other = Nesting(dict(shuffled), one._person_of, one._group_of, {})
    for root in GROUPS:
        assert one.effective(root) == other.effective(root)


def test_the_shortest_path_is_told() -> None:
    nested = graph({0: {1, 2}, 1: {3}, 2: {4}, 3: {4}, 4: {0}}, {0: {0}, 3: {1}, 4: {0, 2}}, {})
    _, via = nested.effective(GROUPS[0])
    assert via == {PEOPLE[1]: ("g1", "g0"), PEOPLE[2]: ("g2", "g1")}


def test_an_ou_holds_all_that_lies_below_it() -> None:
    sales, emea = (
        Unit(GROUPS[0], "OU=Sales\\, All,DC=x", "Sales, All"),
        Unit(GROUPS[1], "OU=EMEA,OU=Desk,OU=Sales\\, All,DC=x", "EMEA"),
    )
    people = [
        (PEOPLE[0], "CN=a,OU=Sales\\, All,DC=x"),
        (PEOPLE[1], "CN=b\\,OU=EMEA,ou=sales\\2c all,dc=X"),
        (PEOPLE[2], "CN=c,OU=EMEA,OU=Desk,OU=Sales\\, All,DC=x"),
        (PEOPLE[3], "CN=d,OU=Elsewhere,DC=x"),
    ]
    assert below(people, [sales, emea]) == {
        sales.guid: (frozenset(PEOPLE[:3]), {PEOPLE[2]: ("Desk", "EMEA")}),
        emea.guid: (frozenset([PEOPLE[2]]), {}),
    }


def cut(**attributes: list[bytes]) -> Entry:
    return Entry("CN=g", {name.replace("_", ";", 1): v for name, v in attributes.items()})


def test_a_whole_member_list_is_whole() -> None:
    assert member_part(Entry("CN=g", {"member": [b"a", b"b"]}), "member") == MemberPart(
        [b"a", b"b"]
    )
    assert member_part(Entry("CN=g", {}), "member") == MemberPart([])
    other = Entry("CN=g", {"membership;range=0-1": [b"a", b"b"]})
    assert member_part(other, "member") == MemberPart([])


def test_a_cut_member_list_says_where_it_goes_on() -> None:
    first = Entry("CN=g", {"member": [], "member;range=0-1": [b"a", b"b"]})
    assert member_part(first, "member") == MemberPart([b"a", b"b"], 2)
    last = Entry("CN=g", {"member;range=2-*": [b"c"]})
    assert member_part(last, "member", 2) == MemberPart([b"c"])


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("member;range=0-1", [b"a"], 0),  # fewer than it says
        ("member;range=0-0", [b"a", b"b"], 0),  # more than it says
        ("member;range=3-4", [b"a", b"b"], 2),  # a gap
        ("member;range=0-1", [b"a", b"b"], 2),  # from the start again
        ("member;range=0-1", [], 0),
    ],
)
def test_a_member_list_with_a_hole_is_incomplete(
    name: str, values: list[bytes], expected: int
) -> None:
    with pytest.raises(Incomplete):
        member_part(Entry("CN=g", {name: values}), "member", expected)


def test_references_are_guids_or_keys() -> None:
    guid = "7B1C0A5E-0000-4000-8000-00000000000a"
    extended = f"<GUID={guid}>;<SID=S-1-5-21-1>;CN=Smith\\, A,DC=x"
    assert reference(extended.encode()) == guid.lower()
    assert reference(b"CN=Smith\\2C A,dc=X") == "cn=smith\\, a,dc=x"
    assert plain_dn(extended) == "CN=Smith\\, A,DC=x"
    assert plain_dn("CN=a,DC=x") == "CN=a,DC=x"


def test_only_domain_groups_can_be_primary() -> None:
    def sid(*parts: int) -> bytes:
        return (
            bytes((1, len(parts)))
            + bytes(5)
            + b"\x05"
            + b"".join(part.to_bytes(4, "little") for part in parts)
        )

    assert rid_of(sid(21, 1, 2, 3, 513)) == 513
    assert rid_of(sid(32, 545)) == 0
    assert rid_of(sid(21, 1, 2, 3)) == 0
    assert rid_of(None) == 0
