"""Two domain controllers as Windows has them, the first on a bad day: who notices, and how long.

For each fault: nobody is removed wrongly, no edit is lost, no account is kept out once the fault is
over, at most one sign-in is lost while it lasts, and everything is as before soon after its end.
Knocks follow each other twenty times as fast as usual; `make test-faults` runs the same by the
usual clock.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from demo import company
from dirclient.client import DirectoryClient
from dirclient.config.profile import Profile
from dirclient.connection import server_health
from dirclient.model.directory_objects import Guid, ServerState, Snapshot
from dirclient.model.errors import Incomplete, Unavailable
from dirclient.model.login_name import parse
from dirclient.wire.decode import Message
from kerauno.tables.core import Attempt, DirectoryState, Membership, Number, User
from provisioning.plan import Mode
from syncsvc.runs.engine import Engine, RunOptions
from syncsvc.service.worker import Worker
from tests.integration.site import Site, make_real_site
from tests.servers.process import wait_until
from tests.servers.quirks import BIND, SEARCH
from tests.servers.samba import SambaDC, Scratch
from tests.servers.windows import (
    Answers,
    Away,
    CannotJudge,
    Fault,
    ForgetsBinds,
    Hangs,
    HangsUp,
    Lags,
    Leaves,
    Refers,
    Restored,
    TearsEntries,
    WindowsDC,
    farewell,
    is_of_a_person,
    response,
    windows,
)

pytestmark = pytest.mark.samba

PEOPLE = 5
QUICK = 20.0
"""How much faster than usual servers are knocked at."""
ROOT = b"\x04\x00\x0a\x01\x00"  # base scope at the empty DN
NUMBERS = itertools.count(4000)
IMPATIENT = {"connect_timeout": 0.5, "operation_timeout": 1.5, "sign_in_timeout": 1.5}


class World:
    """A company of a few people on two servers; web and sync service in this process."""

    def __init__(
        self, servers: list[WindowsDC], ou: Scratch, url: str, folder: Path, **times: float
    ) -> None:
        self.ou = ou
        self.servers = servers
        profile = _profile(servers, ou, **times)
        self.site: Site = make_real_site(url, folder, profile)
        self.site.configure(auto_sync=True, ring_group_first="600", ring_group_last="699")
        services = self.site.services
        self.engine = Engine(services.database, services.sealer, DirectoryClient)
        self.seconds = 1000.0
        self.worker = Worker(self.engine, clock=lambda: self.seconds)
        assert self.engine.run(RunOptions("cli", mode=Mode.BUILD))["status"] == "applied"
        self.turn()
        assert [self.sign_in(n) for n in range(2)] == [303, 303]

    def close(self) -> None:
        """End every connection."""
        self.engine.close()
        self.site.services.close()

    # -- what people and services do

    def sign_in(self, number: int, password: str = "Welcome!2026") -> int:
        """Somebody signs in; gives the status."""
        name = f"{self.ou.name(f'p{number}')}@company.com"
        return self.site.sign_in(name, password)[1].status_code

    def turn(self) -> None:
        """The sync service's loop turns once, a second after it did before."""
        self.seconds += 1.0
        self.worker.turn()

    def edit(self, number: int) -> float:
        """An administrator gives somebody a new number in AD; seconds until Kerauno knows."""
        extension = str(next(NUMBERS))
        began = time.monotonic()
        self.ou.dc.modify(self.ou.dc.dn(self.ou.name(f"p{number}")), ipPhone=extension)
        while extension not in self.extensions():
            assert time.monotonic() - began < 60, f"the edit is lost: {self.extensions()}"
            self.turn()
        return time.monotonic() - began

    # -- what became of it

    def extensions(self) -> set[str]:
        """The numbers of active users."""
        with self.site.services.database.read() as s:
            active = select(Number.number).join(User, User.id == Number.user_id).where(User.active)
            return set(s.scalars(active))

    def lagging(self) -> str:
        """For which server changes wait."""
        with self.site.services.database.read() as s:
            return s.scalars(select(DirectoryState.lagging)).one()

    def removed(self) -> int:
        """How many users and memberships are missing."""
        with self.site.services.database.read() as s:
            users = s.scalars(select(User).where(User.active)).all()
            members = s.scalars(select(Membership)).all()
            return 2 * PEOPLE - len(users) - len({one.user_id for one in members})

    def guid(self, number: int) -> str:
        """Somebody's identity."""
        return self.ou.dc.guid(self.ou.dc.dn(self.ou.name(f"p{number}")))

    def failures(self) -> int:
        """Return what the throttle counts for names and people; an address is forgiven nothing."""
        with self.site.services.database.read() as s:
            rows = s.scalars(select(Attempt).where(~Attempt.key.startswith("addr:"))).all()
            return sum(one.failures + one.pending for one in rows)

    def states(self) -> list[ServerState]:
        """The servers as web and sync service see them."""
        opened = self.site.services.directories.current()
        assert opened is not None
        profile = Profile.from_stored(self.site.profile, self.site.service_password)
        client = self.engine.client(profile)
        assert isinstance(client, DirectoryClient)
        return [*opened.client.servers, *client.servers]

    def wait_normal(self, seconds: float) -> float:
        """Until every server is in use, and everybody signs in there; how long that took."""
        began = time.monotonic()
        wait_until(lambda: all(state.up for state in self.states()), "all are back", seconds)
        return time.monotonic() - began


def _profile(servers: list[WindowsDC], ou: Scratch, **more: Any) -> dict[str, Any]:
    """The company's settings, with these servers in this order."""
    places = {"user_search_dn": ou.dn, "department_search_dn": ou.dn}
    profile = servers[0].profile(ou.dc.profile(**places))
    return profile | {"servers": tuple(server.host for server in servers)} | more


@pytest.fixture(scope="module")
def ou(samba_dc: SambaDC) -> Iterator[Scratch]:
    """The company in AD."""
    scratch = Scratch(samba_dc)
    dns = [scratch.user(f"p{n}", ipPhone=str(next(NUMBERS))) for n in range(PEOPLE)]
    inner = scratch.group("inner", dns[2:])
    scratch.group("team", [*dns[:2], inner])
    yield scratch
    scratch.close()


@pytest.fixture
def servers(samba_dc: SambaDC) -> Iterator[list[WindowsDC]]:
    """Two domain controllers of one domain."""
    with windows(samba_dc) as first, windows(samba_dc) as second:
        yield [first, second]


@pytest.fixture
def world(
    servers: list[WindowsDC],
    ou: Scratch,
    sqlite_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    """The company, with little patience."""
    for name in ("KNOCK_EVERY", "LONGEST_KNOCK", "LONGEST_PAUSE"):
        monkeypatch.setattr(server_health, name, getattr(server_health, name) / QUICK)
    made = World(servers, ou, sqlite_url, tmp_path, **IMPATIENT)
    yield made
    made.close()


def everything(_data: bytes, _found: Message) -> bool:
    """Concerns each request."""
    return True


def all_binds(_data: bytes, found: Message) -> bool:
    """Concerns whoever signs in."""
    return found.operation == BIND


def all_searches(data: bytes, found: Message) -> bool:
    """Concerns every search but those of the root DSE."""
    return found.operation == SEARCH and not data.startswith(ROOT, found.start)


# A fault, and how many sign-ins it may cost.
FAULTS: list[tuple[str, Fault, int]] = [
    ("away", Away(), 0),
    ("hangs up", HangsUp(), 1),
    ("silent", Hangs("silent", everything), 1),
    ("silent to people", Hangs("silent to people", is_of_a_person), 1),
    ("silent to searches", Hangs("silent to searches", all_searches), 0),
    *((f"all {code}", Answers(code, everything), 0) for code in (1, 51, 52, 80)),
    *((f"searches {code}", Answers(code, all_searches), 0) for code in (3, 11)),
    *((f"binds {code}", Answers(code, all_binds), 0) for code in (8, 52)),
    *((data, CannotJudge(data), 0) for data in ("51f", "6ba", "5", "80090346")),
    ("forgets binds", ForgetsBinds(), 0),
    ("goes down", Leaves(farewell()), 0),
    ("cuts what is idle", Leaves(b""), 0),
    ("refers", Refers(), 0),
    ("tears entries", TearsEntries(2), 0),
]


EACH = pytest.mark.parametrize(
    ("fault", "most_lost"),
    [(fault, lost) for _, fault, lost in FAULTS],
    ids=[name for name, _, _ in FAULTS],
)


@EACH
def test_one_of_two_servers(world: World, fault: Fault, most_lost: int) -> None:
    _live_through(world, copy.copy(fault), most_lost, normal_within=2.0)


@EACH
@pytest.mark.long
def test_one_of_two_servers_by_the_usual_clock(
    servers: list[WindowsDC],
    ou: Scratch,
    sqlite_url: str,
    tmp_path: Path,
    fault: Fault,
    most_lost: int,
) -> None:
    """With the patience that is usual, too: ten seconds after its end nothing is left of it."""
    world = World(servers, ou, sqlite_url, tmp_path)
    _live_through(world, copy.copy(fault), most_lost, normal_within=10.0)
    world.close()


@pytest.mark.long
def test_a_server_that_lags_is_only_slow(
    servers: list[WindowsDC], ou: Scratch, sqlite_url: str, tmp_path: Path
) -> None:
    world = World(servers, ou, sqlite_url, tmp_path)
    _live_through(world, Lags(1.0), 0, normal_within=1.0)
    world.close()


def _live_through(world: World, fault: Fault, most_lost: int, normal_within: float) -> None:
    first = world.servers[0]
    first.fault = fault
    outcomes = [world.sign_in(n % PEOPLE) for n in range(8)]
    assert set(outcomes) <= {303, 503}
    assert outcomes.count(503) <= most_lost
    assert world.sign_in(0, "wrong") == 401
    assert world.edit(1) < 20
    assert world.removed() == 0
    first.fault = Fault()
    world.wait_normal(normal_within)
    assert [world.sign_in(n) for n in range(PEOPLE)] == [303] * PEOPLE
    assert world.failures() == 0
    assert world.edit(2) < 20
    assert world.removed() == 0


def test_a_restored_server_is_followed_when_it_knows_its_former_self(world: World) -> None:
    """Until its partners have given it back what it lost, it takes nothing away."""
    first = world.servers[0]
    first.fault = Restored(alone=True)
    before = world.extensions()
    world.ou.dc.modify(world.ou.dc.dn(world.ou.name("p1")), ipPhone=str(next(NUMBERS)))
    for _ in range(3):
        world.turn()
    assert world.lagging().startswith(f"{first.host} shows since ")
    assert world.extensions() == before
    first.fault.alone = False
    world.turn()
    assert world.lagging() == ""
    assert world.extensions() != before
    assert world.edit(2) < 20
    assert world.removed() == 0
    assert [world.sign_in(n) for n in range(PEOPLE)] == [303] * PEOPLE


def test_a_server_that_answers_everything_but_people_is_not_called_back(world: World) -> None:
    """Its root DSE, its searches and the service account are as well as ever."""
    first = world.servers[0]
    first.fault = Hangs("silent to people", is_of_a_person)
    assert world.sign_in(1) == 503
    before = first.accepted
    wait_until(lambda: first.accepted >= before + 4, "it was knocked at")
    assert [world.sign_in(n) for n in range(PEOPLE)] == [303] * PEOPLE
    assert not world.states()[0].up


def test_a_sole_server_that_forgets_binds_is_bound_anew(
    servers: list[WindowsDC], ou: Scratch, sqlite_url: str, tmp_path: Path
) -> None:
    """Without anybody's notice: for the sync service, and for who signs in for the first time."""
    world = World(servers[:1], ou, sqlite_url, tmp_path, **IMPATIENT)
    servers[0].fault = ForgetsBinds()
    profile = Profile.from_stored(world.site.profile, world.site.service_password)
    assert world.engine.client(profile).find_guid(Guid(world.guid(1)))
    servers[0].fault = ForgetsBinds()
    assert world.edit(1) < 10
    assert all(state.up for state in world.states())
    world.close()


def test_a_server_that_judges_nobody_but_those_it_knows_costs_nobody_a_sign_in(
    world: World,
) -> None:
    """As one does that is cut off from its hub: it passes every knock and declines again."""
    known = [world.guid(n).encode() for n in range(PEOPLE)]
    cut_off = CannotJudge("51f")
    cut_off.concerns = lambda data, found: (
        is_of_a_person(data, found) and any(guid in data for guid in known)
    )
    world.servers[0].fault = cut_off
    for _ in range(5):
        assert world.sign_in(1) == 303
        opened = world.site.services.directories.current()
        assert opened is not None
        wait_until(lambda: opened.client.servers[0].up, "it passed a knock")  # noqa: B023
    assert world.failures() == 0


@pytest.mark.parametrize("data", ["51f", "80090346"])
def test_what_no_server_can_judge_keeps_nobody_out_afterwards(world: World, data: str) -> None:
    """However often it was tried: each attempt is given back."""
    for server in world.servers:
        server.fault = CannotJudge(data)
    assert [world.sign_in(1) for _ in range(8)] == [503] * 8
    assert world.failures() == 0
    for server in world.servers:
        server.fault = Fault()
    assert world.sign_in(1) == 303


def test_a_restored_server_takes_nobody_away(world: World) -> None:
    """It does not prove that it is not older than what was acted on: what it takes away waits."""
    world.servers[0].fault = Restored(alone=True)
    assert [world.sign_in(n) for n in range(PEOPLE)] == [303] * PEOPLE
    for _ in range(5):
        world.turn()
    assert world.removed() == 0
    world.servers[0].fault = Fault()
    assert world.edit(2) < 20
    assert world.removed() == 0
    assert world.failures() == 0


# -- each answer's code is looked at


class NthSearch(Fault):
    """One search, counted from now, is answered with a code: the nth."""

    def __init__(self, nth: int, code: int) -> None:
        self.left = nth
        self.code = code

    def instead(self, connection: int, data: bytes, found: Message) -> bytes | None:
        if found.operation != SEARCH:
            return None
        self.left -= 1
        return response(found.id, SEARCH, self.code) if self.left == 0 else None


Question = Callable[[DirectoryClient], object]


def _questions(ou: Scratch, before: Snapshot) -> dict[str, Question]:
    """Everything that a directory is asked, each with an answer that can be compared."""
    name, member = ou.name("p1"), next(iter(before.people))

    def seen(snapshot: Snapshot | None) -> object:
        return snapshot and (snapshot.people, snapshot.departments, snapshot.deletions_visible)

    return {
        "email": lambda c: c.find(parse(f"{name}@company.com")),
        "down-level": lambda c: c.find(parse(f"{company.NETBIOS}\\{name}")),
        "guid": lambda c: c.find_guid(member),
        "domain": lambda c: c.is_domain(company.NETBIOS),
        "lockout": lambda c: c.lockout_policy(),
        "lockout of one": lambda c: c.lockout_policy(member),
        "resolve": lambda c: c.resolve(ou.name("team")),
        "suggest": lambda c: c.suggest(ou.name("te")),
        "ring": lambda c: c.ring(before.cursor).server_id,
        "catch up": lambda c: seen(c.catch_up(before)),
        "sweep": lambda c: seen(c.sweep(before)),
        "read": lambda c: seen(c.read()),
    }


@pytest.mark.parametrize("count", [1, 2])
def test_no_search_takes_a_server_that_is_unwell_for_an_answer(
    servers: list[WindowsDC], ou: Scratch, count: int
) -> None:
    """Whichever search of a question it is: another server answers, else nobody does."""
    scope = f"CN={ou.name('team')},{ou.dn}"
    profile = Profile.model_validate(_profile(servers[:count], ou, user_search_dn=scope))
    asked: dict[str, int] = {}
    with contextlib.closing(DirectoryClient(profile)) as honest:
        before = honest.read()
    ou.dc.modify(ou.dc.dn(ou.name("p3")), ipPhone=str(next(NUMBERS)))
    for name, question in _questions(ou, before).items():
        servers[0].fault = Fault()
        with contextlib.closing(DirectoryClient(profile)) as honest:
            right = question(honest)
        for nth in itertools.count(1):
            servers[0].fault = fault = NthSearch(nth, (1, 51, 80)[nth % 3])
            with contextlib.closing(DirectoryClient(profile)) as client:
                try:
                    assert question(client) == right, (name, nth)
                    answered = True
                except (Unavailable, Incomplete):
                    answered = False
            if fault.left > 0:
                asked[name] = nth - 1
                break
            assert answered is (count == 2), (name, nth)
    assert all(asked.values()), asked
    assert asked["read"] >= 8


# -- what Windows does always


def test_what_windows_limits_is_read_whole(
    servers: list[WindowsDC], ou: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dirclient.snapshot.profile_searches.PEOPLE_PAGE", 3)
    monkeypatch.setattr("dirclient.snapshot.bulk_search.GROUP_PAGE", 1)
    windows_dc = servers[0].windows
    profile = Profile.model_validate(_profile(servers, ou))
    with contextlib.closing(DirectoryClient(profile)) as client:
        whole = client.read()
        windows_dc.members.limit, windows_dc.page.most = 2, 3
        limited = client.read()
    assert windows_dc.members.parts >= 1
    assert windows_dc.page.limited == 0  # nothing is asked for without pages
    assert (limited.people, limited.departments) == (whole.people, whole.departments)
