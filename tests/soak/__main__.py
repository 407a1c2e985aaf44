"""Everyday use for as long as is wished; fails when a figure still grows.

Sign-ins, edits in AD, token refreshes, forward-auth checks and pages of the console go on at a
moderate rate against a real Samba, the web service and the sync service. Memory, descriptors and
threads of each process and the rows of each table are sampled; at the end a line is fitted to
each. Run it with `make soak [MINUTES=60]`.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence

from tests.chaos.world import World
from tests.servers.process import wait_until
from tests.soak.flatness import ALLOWED, fit, rising
from tests.soak.samples import KEPT_FOR_LONG, Samples, count_rows
from tests.soak.usage import Usage, wait

EVERY = 10.0  # seconds between two samples
_YEARS = 2 * 366 * 86400


def main(arguments: Sequence[str]) -> int:
    """Use it, and tell; 1 where something grows or failed."""
    parser = argparse.ArgumentParser(prog="tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--postgres", action="store_true", help="On PostgreSQL, not on SQLite.")
    options = parser.parse_args(arguments)
    world = World(random.Random(1), postgres=options.postgres)
    try:
        faults = soak(world, 60 * options.minutes)
        if not options.postgres:  # which has a clock of its own
            faults += forgets_what_is_old(world)
    finally:
        world.close()
    print("\n".join(["", *faults, f"{len(faults)} faults"]), flush=True)
    return 1 if faults else 0


def soak(world: World, seconds: float, every: float = EVERY) -> list[str]:
    """Use the services for so long; gives a sentence for each fault."""
    wait_until(lambda: len(world.users()) == len(world.truth()), "everybody is built", 60)
    world.built.update(world.users())
    usage, samples = Usage(world), Samples(world)
    usage.start()
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            wait(every)
            samples.take()
    finally:
        usage.stop()
    _tell(usage, samples)
    failed = [f"{number} times failed: {kind}" for kind, number in sorted(usage.failed.items())]
    return failed + usage.said[:20] + rising(samples.series)


def forgets_what_is_old(world: World) -> list[str]:
    """Two years later, what is kept for a while is gone; gives a sentence for each table."""
    before = count_rows(world)
    world.kill_web()
    world.kill_sync()
    world.clock.move(_YEARS)
    world.kerauno.start(workers=1)
    world.start_sync()
    try:
        wait_until(lambda: all(_is_forgotten(world, name, before[name]) for name in KEPT_FOR_LONG),
                   "what is old is forgotten", 60)  # fmt: skip
    except TimeoutError:
        pass
    rows = count_rows(world)
    return [
        f"two years later, {name} still has {rows[name]} rows of {before[name]}"
        for name in sorted(KEPT_FOR_LONG)
        if not _is_forgotten(world, name, before[name])
    ]


def _is_forgotten(world: World, name: str, before: int) -> bool:
    """Return whether next to nothing is left; what the start itself wrote is new."""
    return count_rows(world)[name] <= min(10, before)


def _tell(usage: Usage, samples: Samples) -> None:
    print(f"{'figure':<32}{'first':>10}{'last':>10}{'rise/h':>10}{'± 3 se':>10}{'allowed':>10}")
    for name, series in sorted({**samples.series, **samples.kept}.items()):
        line = fit(series)
        kept = name.split()[1] in KEPT_FOR_LONG
        allowed = "forgotten" if kept else f"{ALLOWED[name.split()[0]]:g}"
        figures = (line.first, line.last, line.rise, 3 * line.error)
        print(f"{name:<32}" + "".join(f"{one:>10.1f}" for one in figures) + f"{allowed:>10}")
    print("done: " + ", ".join(f"{number} {kind}" for kind, number in sorted(usage.done.items())))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
