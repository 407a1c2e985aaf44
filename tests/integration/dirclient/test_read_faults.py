"""A read is complete or it raises: what networks and servers do to it, one by one."""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dirclient.client import DirectoryClient
from dirclient.config.profile import Profile
from dirclient.model.directory_objects import Guid, Snapshot
from dirclient.model.errors import Incomplete, Misconfigured
from dirclient.snapshot.bulk_search import Scan
from tests.servers import quirks
from tests.servers.quirks import QuirkyServer
from tests.servers.samba import SambaDC, Scratch
from tests.servers.slapd import Slapd

pytestmark = [pytest.mark.samba, pytest.mark.slapd]


@pytest.fixture
def quirky(samba_dc: SambaDC) -> Iterator[QuirkyServer]:
    """The domain controller behind a proxy that can misbehave."""
    server = QuirkyServer(samba_dc.host, samba_dc.tls_port, samba_dc.ca_file, samba_dc.dns_name)
    yield server
    server.stop()


Clients = Callable[..., DirectoryClient]


@pytest.fixture
def clients(samba_dc: SambaDC, quirky: QuirkyServer) -> Iterator[Clients]:
    """Makes clients that read through the proxy."""
    made: list[DirectoryClient] = []

    def make(**fields: Any) -> DirectoryClient:
        profile = quirky.profile(samba_dc.profile(**fields))
        made.append(DirectoryClient(Profile.model_validate(profile)))
        return made[-1]

    yield make
    for client in made:
        client.close()


def same(one: Snapshot, other: Snapshot) -> bool:
    """Return whether two snapshots show the same directory."""
    return one.people == other.people and one.departments == other.departments


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of three, so that the company fills many."""
    monkeypatch.setattr("dirclient.snapshot.profile_searches.PEOPLE_PAGE", 3)
    monkeypatch.setattr("dirclient.snapshot.bulk_search.GROUP_PAGE", 3)


@pytest.mark.parametrize(
    "quirk",
    [
        *(quirks.DiesAfterPages(pages) for pages in (0, 5, 12)),
        *(quirks.TornInsideEntry(entries) for entries in (0, 5, 60)),
        *(quirks.EndsWithCode(code, 20) for code in (3, 4, 11, 51)),
        quirks.ForgetsTheCookie(),
    ],
    ids=lambda quirk: type(quirk).__name__,
)
@pytest.mark.usefixtures("small_pages")
def test_a_read_that_does_not_reach_its_end_raises(
    clients: Clients, quirky: QuirkyServer, samba_dc: SambaDC, quirk: quirks.Quirk
) -> None:
    for scope in (samba_dc.users_dn, samba_dc.phone_users_dn):
        client = clients(user_search_dn=scope)
        quirky.quirk = copy.copy(quirk)
        with pytest.raises(Incomplete):
            client.read()
    quirky.quirk = quirks.Quirk()
    assert len(client.read().people) == 42


@pytest.mark.parametrize(
    "quirk",
    [
        *(quirks.TornInsideEntry(entries) for entries in (0, 5, 60)),
        *(quirks.EndsWithCode(code, 20) for code in (3, 4, 11, 51)),
    ],
    ids=lambda quirk: type(quirk).__name__,
)
@pytest.mark.usefixtures("small_pages")
def test_a_whole_answer_that_does_not_reach_its_end_raises(
    clients: Clients, quirky: QuirkyServer, samba_dc: SambaDC, quirk: quirks.Quirk
) -> None:
    """Samba, known for what it is, is asked without pages."""
    for scope in (samba_dc.users_dn, samba_dc.phone_users_dn):
        client = clients(user_search_dn=scope)
        quirky.quirk = copy.copy(quirk)
        quirky.quirk.disguised = False
        with pytest.raises(Incomplete):
            client.read()
        quirky.quirk = quirks.Quirk()
        assert len(client.read().people) == 42


@pytest.mark.usefixtures("small_pages")
def test_an_answer_that_is_too_large_comes_again_in_pages(
    clients: Clients, quirky: QuirkyServer, samba_dc: SambaDC
) -> None:
    for scope in (samba_dc.users_dn, samba_dc.phone_users_dn):
        client = clients(user_search_dn=scope)
        in_pages = client.read()
        quirky.quirk = limits = quirks.LimitsAnswers(20)
        limits.disguised = False
        assert same(client.read(), in_pages)
        assert limits.limited == 2  # containers and people
        quirky.quirk = quirks.Quirk()


@pytest.mark.usefixtures("small_pages")
def test_catching_up_and_sweeping_raise_too(
    clients: Clients, quirky: QuirkyServer, fresh_ou: Scratch
) -> None:
    client = clients(user_search_dn=fresh_ou.dn)
    people = [fresh_ou.user(f"p{number}") for number in range(7)]
    before = client.read()
    fresh_ou.dc.delete(people[0])
    fresh_ou.dc.modify(people[1], ipPhone="4001")
    for follow in (client.catch_up, client.sweep):
        for quirk in (quirks.EndsWithCode(3, 0), quirks.DiesAfterPages(0)):
            quirky.quirk = quirk
            with pytest.raises(Incomplete):
                follow(before)
    quirky.quirk = quirks.Quirk()
    current = client.catch_up(before)
    assert current is not None
    assert same(client.sweep(current), client.read())


def test_an_answer_without_people_is_complete_and_empty(
    clients: Clients, quirky: QuirkyServer
) -> None:
    client = clients()
    quirky.quirk = quirks.HidesEntries("CN=.*,OU=Staff,")
    snapshot = client.read()
    assert snapshot.people == {}
    assert all(not one.members for one in snapshot.departments.values())
    # Everyone in the departments lies below the search DN and cannot be seen: nobody left. Orla
    # alone is named by no group, but by her own primary group.
    quirky.quirk = quirks.Quirk()
    whole = client.read()
    named = {guid for one in whole.departments.values() for guid in one.members}
    orla = next(p.guid for p in whole.people.values() if p.account_name == "orla.byrne")
    assert snapshot.hidden == named - {orla}
    assert len(snapshot.warnings) == 1


def test_a_user_group_whose_people_cannot_be_seen_is_half_read(
    clients: Clients, quirky: QuirkyServer, samba_dc: SambaDC
) -> None:
    client = clients(user_search_dn=samba_dc.phone_users_dn)
    quirky.quirk = quirks.HidesEntries("CN=John Doe,OU=Sales,")
    with pytest.raises(Incomplete, match="may not see"):
        client.read()


def test_people_who_hide_their_state_are_not_guessed(
    clients: Clients, quirky: QuirkyServer
) -> None:
    class HidesState(quirks.Quirk):
        def answer(self, data: bytes, found: Any) -> Iterator[bytes]:
            yield data.replace(b"userAccountControl", b"userAccountMystery")

    client = clients()
    quirky.quirk = HidesState()
    with pytest.raises(Incomplete, match="userAccountControl of CN="):
        client.read()


@pytest.mark.parametrize("limit", [2, 5])
@pytest.mark.parametrize("scope", ["users_dn", "phone_users_dn"])
def test_a_member_list_is_followed_to_its_end(
    clients: Clients, quirky: QuirkyServer, samba_dc: SambaDC, limit: int, scope: str
) -> None:
    client = clients(user_search_dn=getattr(samba_dc, scope))
    whole = client.read()
    quirky.quirk = cutting = quirks.CutsMembers(limit)
    assert same(client.read(), whole)
    assert cutting.parts >= 4


def test_a_member_list_without_an_end_is_incomplete(clients: Clients, quirky: QuirkyServer) -> None:
    client = clients()
    quirky.quirk = quirks.CutsMembers(4, forgetful=True)
    with pytest.raises(Incomplete, match="without having ended"):
        client.read()


def test_a_group_of_thousands_cut_as_windows_does(
    make_slapd: Callable[[int], Slapd],
) -> None:
    server = make_slapd(4000)
    proxy = QuirkyServer(server.host, server.tls_port, server.ca_file, server.dns_name)
    honest = DirectoryClient(Profile.model_validate(server.profile()))
    client = DirectoryClient(Profile.model_validate(proxy.profile(server.profile())))
    try:
        whole = honest.read()
        proxy.quirk = cutting = quirks.CutsMembers(1500)
        snapshot = client.read()
        assert same(snapshot, whole)
        assert len(snapshot.people) == 4000
        everyone = next(d for d in snapshot.departments.values() if d.name == "everyone")
        assert everyone.members == snapshot.people.keys()
        assert cutting.parts == 2
        assert snapshot.operations == whole.operations + 2
    finally:
        honest.close()
        client.close()
        proxy.stop()


def test_references_are_counted_and_never_followed(clients: Clients, quirky: QuirkyServer) -> None:
    client = clients()
    whole = client.read()
    quirky.quirk = refers = quirks.Refers("ldap://child.goodcompany.local/DC=child,DC=goodcompany")
    snapshot = client.read()
    assert same(snapshot, whole)
    assert refers.searches == snapshot.operations
    assert len(snapshot.warnings) == 1
    assert snapshot.warnings[0].startswith(f"{refers.searches} referrals")
    quirky.quirk = quirks.Refers(
        "ldap://ForestDnsZones.x/DC=ForestDnsZones,DC=goodcompany,DC=local"
    )
    assert client.read().warnings == ()


@pytest.mark.parametrize("field", ["user_search_dn", "department_search_dn"])
def test_a_search_dn_that_went_away_is_named(fresh_ou: Scratch, field: str) -> None:
    dc = fresh_ou.dc
    fresh_ou.user("amy", fresh_ou.ou("Kept"))
    place = fresh_ou.ou("Fleeting")
    fields = dc.profile(user_search_dn=f"OU=Kept,{fresh_ou.dn}", department_search_dn=fresh_ou.dn)
    client = DirectoryClient(Profile.model_validate(fields | {field: place}))
    snapshot = client.read().whole()
    renamed = dc.rename(place, "Somewhere, else")
    assert client.catch_up(snapshot) is None
    with pytest.raises(Misconfigured) as caught:
        client.read().whole()
    assert caught.value.field == field
    assert caught.value.remedy == f"Enter {renamed}."
    dc.delete_tree(renamed)
    with pytest.raises(Misconfigured, match=f"nearest that exists is {fresh_ou.dn}") as caught:
        client.read().whole()
    assert caught.value.field == field
    client.close()


def deny(dc: SambaDC, dn: str, account: str) -> None:
    """Take from an account the right to see an object and what is below it."""
    sid = _sid_text(dc.raw(dc.dn(account), "objectSid")[0])
    subprocess.run(
        [
            *("samba-tool", "dsacl", "set", "-H", str(dc.dc_folder / "private/sam.ldb")),
            *("-s", str(dc.dc_folder / "etc/smb.conf"), f"--objectdn={dn}"),
            f"--sddl=(D;CI;RPLCLORC;;;{sid})",
        ],
        check=True,
        capture_output=True,
    )


def _sid_text(sid: bytes) -> str:
    parts = [int.from_bytes(sid[at : at + 4], "little") for at in range(8, len(sid), 4)]
    return "-".join(["S-1", str(int.from_bytes(sid[2:8], "big")), *map(str, parts)])


def test_rights_lost_on_half_the_tree_make_nobody_a_leaver(fresh_ou: Scratch) -> None:
    dc = fresh_ou.dc
    left, right = fresh_ou.ou("Left"), fresh_ou.ou("Right")
    people = [fresh_ou.user(f"p{number}", (left, right)[number % 2]) for number in range(6)]
    guids = [dc.guid(dn) for dn in people]
    departments = fresh_ou.ou("Departments")
    group = fresh_ou.group("everyone", people, departments)
    by_ou = dc.profile(user_search_dn=fresh_ou.dn, department_search_dn=departments)
    by_group = by_ou | {"user_search_dn": group}
    ou_client, group_client = (
        DirectoryClient(Profile.model_validate(one)) for one in (by_ou, by_group)
    )
    before = ou_client.read()
    assert group_client.read().people.keys() == before.people.keys() == set(guids)

    deny(dc, right, dc.service.name)
    half = ou_client.read()
    assert half.people.keys() == {guids[0], guids[2], guids[4]}
    assert half.hidden == {guids[1], guids[3], guids[5]}
    swept = ou_client.sweep(before)
    assert swept.people == before.people
    assert swept.hidden == half.hidden
    with pytest.raises(Incomplete, match=r"may not see 3 of the members of .* such as CN=p"):
        group_client.read()
    ou_client.close()
    group_client.close()


@pytest.mark.parametrize("disguised", [True, False], ids=["pages", "one answer"])
def test_somebody_who_moves_meanwhile_is_not_missed(
    clients: Clients,
    quirky: QuirkyServer,
    fresh_ou: Scratch,
    monkeypatch: pytest.MonkeyPatch,
    disguised: bool,
) -> None:
    """An administrator edits during the read; the snapshot is of its end."""
    quirky.quirk.disguised = disguised
    monkeypatch.setattr("dirclient.snapshot.profile_searches.PEOPLE_PAGE", 2)
    dc = fresh_ou.dc
    early, late = fresh_ou.ou("A Early"), fresh_ou.ou("Z Late")
    for number in range(6):
        fresh_ou.user(f"p{number}", early)
    mover = fresh_ou.user("mover", late)
    guid = Guid(dc.guid(mover))
    client = clients(user_search_dn=fresh_ou.dn)
    edits = iter([lambda: dc.move(mover, early), lambda: dc.add_user(fresh_ou.name("new"), late)])
    admit = Scan.admit

    def editing(scan: Scan, picture: Any, entry: Any) -> Any:
        admitted = admit(scan, picture, entry)
        if len(picture.people) == 3:
            for edit in edits:
                edit()
        return admitted

    monkeypatch.setattr(Scan, "admit", editing)
    snapshot = client.read()
    monkeypatch.setattr(Scan, "admit", admit)
    assert same(snapshot, client.read())
    assert snapshot.people[guid].dn == f"CN={fresh_ou.name('mover')},{early}"
    assert len(snapshot.people) == 8
