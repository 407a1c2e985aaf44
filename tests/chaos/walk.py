"""A walk over every act and fault; after each one an edit in AD must show within ten seconds."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.chaos.acts import ACTS, Step
from tests.chaos.faults import FAULTS
from tests.chaos.world import Known, World

WITHIN = 10.0  # seconds from the end of a cause until an edit shows
LONG = 75.0  # a fault that lasts so long must be told of
STEPS = {step.name: step for step in (*ACTS, *FAULTS)}


class Deaf(Exception):
    """The service did not follow, or claimed what is not true."""


@dataclass(slots=True)
class Walk:
    """One walk through one world. `delays`: seconds by the name of the step before."""

    seed: int
    shortest: float = 0.5  # seconds that a fault lasts
    longest: float = 15.0
    within: float = WITHIN
    say: Callable[[str], None] = print
    walked: list[str] = field(default_factory=list)
    delays: dict[str, list[float]] = field(default_factory=dict)
    failure: str = ""
    _world: World | None = None
    _now: Step | None = None

    @property
    def chance(self) -> random.Random:
        """Random numbers of the next step alone, so that a list of steps can be replayed."""
        return random.Random(f"{self.seed} {len(self.walked)}")

    @property
    def postgres(self) -> bool:
        """Which database; the seed decides."""
        return self.seed % 2 == 1

    @property
    def world(self) -> World:
        """Return what is walked through."""
        assert self._world
        return self._world

    def run(self, steps: Sequence[Step] = (), until: float = 0.0) -> bool:
        """Walk these steps, or all in random order until that time; whether all went well."""
        self._world = World(self.chance, postgres=self.postgres)
        try:
            self.world.resting = self._at_the_end_of_a_fault
            self._prove("start", time.monotonic() + 20)
            waiting = list(steps)
            while waiting if steps else time.monotonic() < until:
                waiting = waiting or self._shuffled()
                self.take(waiting.pop(0))
        except (Deaf, AssertionError, TimeoutError, OSError, RuntimeError) as error:
            self.failure = f"{type(error).__name__}: {error}"
            self.say(self.story())
        finally:
            self.world.close()
        return not self.failure

    def story(self) -> str:
        """Return what happened, and how to see it again."""
        listed = ", ".join(self.walked)
        return (
            f"{self.world.logs()}\nseed {self.seed}, step {len(self.walked)}: {self.failure}\n"
            f"Again: python -m tests.chaos --seed {self.seed} --steps '{listed}'"
        )

    def _shuffled(self) -> list[Step]:
        kind = "postgresql" if self.postgres else "sqlite"
        steps = [step for step in STEPS.values() if step.only in ("", kind)]
        self.chance.shuffle(steps)
        return steps

    def take(self, step: Step) -> None:
        """Take one step and prove that the service follows."""
        self.walked.append(step.name)
        self._now = step
        self.world.truth_before = self.world.truth()
        chance = self.chance
        self.world.chance = chance
        seconds = chance.uniform(self.shortest, self.longest) if step.lasts else 0.0
        if step.lasts and self.longest >= 10 and chance.random() < 0.1:
            seconds = LONG
        self.say(f"{len(self.walked):>4}  {step.name}" + (f", {seconds:.1f} s" if seconds else ""))
        step.do(self.world, seconds)
        self._prove(step.name, time.monotonic() + self.within)

    # -- what is proven

    def _prove(self, name: str, end: float) -> None:
        """Edit AD; the edit, and nothing else, shows in Kerauno. Then look at what is claimed."""
        world = self.world
        began = time.monotonic()
        self._await(self._agrees, end, self._difference)
        waited = time.monotonic() - began
        edited = time.monotonic()
        said = self._edit()
        self._await(self._agrees, max(end, edited), lambda: f"{said}: {self._difference()}")
        self.delays.setdefault(name, []).append(waited + time.monotonic() - edited)
        self._await(
            self._claims_to_follow, time.monotonic() + self.within, lambda: str(world.following())
        )
        self._look_at_claims()

    def _await(self, held: Callable[[], bool], end: float, words: Callable[[], str]) -> None:
        while not held():
            if time.monotonic() > end:
                raise Deaf(words())
            time.sleep(0.05)

    def _edit(self) -> str:
        """One edit, most often of a number; says which."""
        world, chance = self.world, self.world.chance
        staff = world.staff()
        person = chance.choice(staff)
        kind = chance.choice(["number"] * 6 + ["name"] * 3 + ["disable", "delete", "add", "return"])
        if kind == "add" and world.auto_sync:
            world.hire()
        elif kind == "disable" and len(staff) > 12:
            world.dc.disable(person)
        elif kind == "delete" and len(staff) > 12:
            world.dc.delete(person)
        elif kind == "return":
            for dn, known in world.truth().values():
                if not known.active:
                    world.dc.enable(dn)
        elif kind == "name":
            world.dc.modify(person, sn=f"Name{world.next_number()}")
        else:
            world.dc.modify(person, ipPhone=world.next_number())
        return f"{kind} {person}"

    def _agrees(self) -> bool:
        users = self.world.asked(self.world.users)
        if users is None:
            return False
        self.world.built |= users.keys()
        return not self._differing(users)

    def _differing(self, users: Mapping[str, Known]) -> list[str]:
        world, truth = self.world, self.world.truth()
        wrong = []
        for guid in (truth.keys() | users.keys()) - world.apart:
            dn, wanted = truth.get(guid, ("deleted", None))
            stored = users.get(guid)
            active = stored is not None and stored.active
            if wanted is None or not wanted.active:
                same = not active
            elif stored is None:
                same = not world.auto_sync and guid not in world.built
            else:
                same = stored == wanted
            if not same:
                wrong.append(f"{dn}: {stored}, AD says {wanted}")
        return wrong

    def _difference(self) -> str:
        users = self.world.asked(self.world.users)
        if users is None:
            return "the database cannot be asked"
        return "Kerauno differs from AD: " + "; ".join(self._differing(users)[:3])

    def _claims_to_follow(self) -> bool:
        said = self.world.following()
        return said.get("status") == "ready" and said.get("following") is True

    def _look_at_claims(self) -> None:
        """The dashboard, the last look and `authsvc check` say the same."""
        world = self.world
        look = world.following().get("last_look_seconds")
        if not isinstance(look, float) or look > 40:
            raise Deaf(f"the last look was {look} seconds ago")
        if "Not following" in world.console.get("/console"):
            raise Deaf("the dashboard says that nothing is followed")
        if world.chance.random() < 0.2:
            done = world.command("authsvc", "check")
            if "sync service:" in done.stdout + done.stderr:
                raise Deaf(f"authsvc check: {done.stdout}{done.stderr}")

    def _at_the_end_of_a_fault(self, seconds: float) -> None:
        """A fault has removed nobody; a long one is told of."""
        world = self.world
        users = world.asked(world.users)
        if users is None or self._now is None:
            return
        for guid, (dn, wanted) in world.truth_before.items():
            stored = users.get(guid)
            if (
                wanted.active
                and guid in world.built - world.apart
                and not (stored and stored.active)
            ):
                raise Deaf(f"{dn} was removed: {stored}")
        if seconds >= LONG and self._now.deafens and world.following().get("following"):
            raise Deaf(f"{self._now.name} for {seconds:g} seconds was not told of")
