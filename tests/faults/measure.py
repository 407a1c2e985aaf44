"""One fault while people sign in and AD changes: what it cost, as figures that can be held."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet
from sqlalchemy import delete, func, select

from kerauno.signin.throttle import LAPSES_AFTER
from kerauno.tables.core import Attempt, Audit, Link, Run, User
from tests.chaos import world as chaos
from tests.faults.traffic import Traffic, sign_in
from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgres import Postgres
from tests.servers.process import wait_until

SIGNERS = 4
PEOPLE = 6


class World(chaos.World):
    """Services that follow a domain which locks accounts, at the fifth wrong password."""

    def __init__(self, postgres: Postgres | None = None, url: str = "", **settings: str) -> None:
        """On SQLite, unless a server is given that runs."""
        super().__init__(
            random.Random(1),
            postgres=postgres or False,
            url=url,
            people=PEOPLE,
            settings=settings,
        )
        self.standby: Postgres | None = None
        self.pooler: PgBouncer | None = None
        self.disk: Path | None = None
        self.dc.set_lockout_policy(5, window=1800, duration=1800)


@dataclass(frozen=True, slots=True)
class Fault:
    """`do` returns at the moment the fault is over.

    `within` so many seconds everybody is let in again. `also`: statuses that people may get while
    it lasts, besides 303 and 503. `followed_within`: seconds until an edit in AD is seen.
    """

    name: str
    do: Callable[[World], None]
    within: float
    also: tuple[int, ...] = ()
    followed_within: float = 10.0
    bites: bool | None = True  # somebody is turned away while it lasts; None: may be
    long: bool = False  # for `make test-faults` alone


@dataclass(slots=True)
class Cost:
    """The cost of one fault. The first five are to be 0 or empty."""

    fault: str
    removed: list[str] = field(default_factory=list)
    deactivations: int = 0
    lost: int = 0  # sign-ins that were acknowledged and are not in the records
    locked_in_ad: list[str] = field(default_factory=list)
    kept_out: list[str] = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)
    lasted: float = 0.0
    normal_after: float = 0.0
    followed_after: float = 0.0

    def row(self) -> str:
        """The figures, as a line of a table."""
        counts = ", ".join(
            f"{number}x{status or 'broken'}" for status, number in sorted(self.answers.items())
        )
        return (
            f"{self.fault:<44}{len(self.removed):>8}{self.lost:>6}"
            f"{len(self.locked_in_ad) + len(self.kept_out):>9}"
            f"{self.lasted:>8.1f}{self.normal_after:>8.1f}{self.followed_after:>10.1f}  {counts}"
        )


def cases(faults: Sequence[Fault]) -> list[ParameterSet]:
    """Parameters of a test, one for each fault."""
    return [
        pytest.param(fault, id=fault.name, marks=pytest.mark.long if fault.long else ())
        for fault in faults
    ]


HEADER = (
    f"{'fault':<44}{'removed':>8}{'lost':>6}{'kept out':>9}{'lasted':>8}{'normal':>8}"
    f"{'followed':>10}  answers"
)
COSTS: list[Cost] = []
"""What was measured in this process, in order."""


def wait_until_calm(world: World) -> None:
    """Wait until the records say what AD says, and nobody is refused whom AD lets in."""
    wait_until(lambda: _agrees(world) and not _refused(world), "AD is followed", 60)


def measure(world: World, fault: Fault) -> Cost:
    """Let it happen while people sign in; look at what it did."""
    cost = Cost(fault.name)
    wait_until_calm(world)
    world.built.update(world.users())
    staff = world.staff()
    emails = [email_of(world, dn) for dn in staff]
    with world.database.write() as s:
        s.execute(delete(Attempt))  # each fault answers for itself alone
    before = world.users()
    runs_before, signed_before = _last_run(world), _signed_in(world)
    with Traffic(world.kerauno, emails[:SIGNERS]) as traffic:
        traffic.flows(time.monotonic())
        world.dc.modify(staff[-1], sn=f"Edited {world.next_number()}")
        began = time.monotonic()
        fault.do(world)
        ended = time.monotonic()
        traffic.flows(ended)
        wait_until(lambda: _agrees(world), "what AD says is in the records", 60)
        cost.followed_after = time.monotonic() - ended
    cost.lasted, cost.normal_after = ended - began, traffic.normal_after(ended)
    cost.answers = traffic.counts()
    after = world.users()
    cost.removed = [
        guid
        for guid, known in before.items()
        if known.active and not (guid in after and after[guid].active)
    ]
    cost.deactivations = _deactivations(world, runs_before)
    signed = _signed_in(world)
    signed.subtract(signed_before)
    cost.lost = sum(max(0, told - signed[email]) for email, told in traffic.let_in().items())
    cost.kept_out = [email for email in emails if sign_in(world.kerauno, email).status != 303]
    cost.locked_in_ad = [dn for dn in staff if _is_counted(world, dn)]
    COSTS.append(cost)
    return cost


def hold(cost: Cost, fault: Fault) -> None:
    """Assert that it cost nobody more than what is promised."""
    assert cost.removed == []
    assert cost.deactivations == 0
    assert cost.lost == 0
    assert cost.locked_in_ad == []
    assert cost.kept_out == []
    assert set(cost.answers) <= {303, 503, 429, *fault.also}, cost.answers
    assert fault.bites in (None, bool(cost.answers[503])), cost.answers
    assert cost.normal_after < within(cost, fault), cost
    assert cost.followed_after < fault.followed_within, cost


def within(cost: Cost, fault: Fault) -> float:
    """Return the seconds after which everybody must be let in again.

    Where the answers to several commits of one name were lost, nobody knows whether its attempts
    were taken: it waits until they lapse.
    """
    lapsed = LAPSES_AFTER.total_seconds() + fault.within
    return lapsed if cost.answers[429] else fault.within


@contextmanager
def logs_on_failure(world: World) -> Iterator[None]:
    """Show what both services wrote where the block fails."""
    try:
        yield
    except BaseException:
        print(world.logs())
        raise


def email_of(world: World, dn: str) -> str:
    """The person's address, with which they sign in."""
    return world.dc.raw(dn, "mail")[0].decode()


def _agrees(world: World) -> bool:
    users = world.asked(world.users)
    truth = {guid: known for guid, (_, known) in world.truth().items()}
    return users is not None and {guid: users.get(guid) for guid in truth} == truth


def _refused(world: World) -> list[str]:
    """Return the people whom AD called disabled or expired when it was last read."""

    def ask() -> list[str]:
        with world.database.read() as s:
            return list(s.scalars(select(Link.guid).where(Link.refused_since.is_not(None))))

    refused: list[str] | None = world.asked(ask)
    return ["unknown"] if refused is None else refused


def _is_counted(world: World, dn: str) -> bool:
    """Return whether AD has counted a wrong password, or has locked the account."""
    return any(
        world.dc.raw(dn, name) not in ([], [b"0"]) for name in ("badPwdCount", "lockoutTime")
    )


def _last_run(world: World) -> int:
    with world.database.read() as s:
        return s.scalar(select(func.max(Run.id))) or 0


def _deactivations(world: World, after: int) -> int:
    with world.database.read() as s:
        runs = s.scalars(select(Run).where(Run.id > after, Run.status != "held"))
        return sum(run.counts.get("deactivated", 0) for run in runs)


def _signed_in(world: World) -> Counter[str]:
    """How often the audit says of each person that they were let in."""
    counted = (
        select(User.email, func.count())
        .join(Audit, Audit.user_id == User.id)
        .where(Audit.event == "sign-in", Audit.outcome == "ok")
        .group_by(User.email)
    )
    with world.database.read() as s:
        return Counter({row[0]: row[1] for row in s.execute(counted)})
