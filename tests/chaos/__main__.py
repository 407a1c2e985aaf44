"""Walks over every act of an administrator and every fault; each time AD must still be followed.

Run it with `make chaos [MINUTES=60] [SEED=1]`. Each walk has its own servers and ends after some
minutes; the next one has the next seed. A walk that fails prints how to see it again.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Sequence

from tests.chaos.acts import ACTS, ELSEWHERE
from tests.chaos.walk import STEPS, Walk

ONE_WALK = 15.0  # minutes, at most


def _say(line: str) -> None:
    print(line, flush=True)


def _summary(walks: Sequence[Walk]) -> str:
    """Delays by step over all walks, in seconds; the seeds; what failed."""
    lines = [f"{'after':<30}{'times':>6}{'p50':>7}{'p95':>7}{'max':>7}"]
    for name in ("start", *STEPS):
        delays = sorted(delay for walk in walks for delay in walk.delays.get(name, ()))
        if delays:
            high = delays[min(len(delays) - 1, int(len(delays) * 0.95))]
            figures = (statistics.median(delays), high, delays[-1])
            row = "".join(f"{one:>7.2f}" for one in figures)
            lines.append(f"{name:<30}{len(delays):>6}{row}")
    lines.append(f"seeds: {', '.join(str(walk.seed) for walk in walks)}")
    lines += [f"{step.name}: {step.because}" for step in ACTS if step.because]
    lines += ELSEWHERE
    failed = [walk for walk in walks if walk.failure]
    lines += [
        f"seed {walk.seed} failed after {walk.walked[-1:]}: {walk.failure}" for walk in failed
    ]
    steps = sum(len(walk.walked) for walk in walks)
    lines.append(f"{len(walks)} walks, {steps} steps, {len(failed)} failed")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Walk; 1 where a walk failed."""
    parser = argparse.ArgumentParser(prog="tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--steps", default="", help="Replay these, comma separated.")
    options = parser.parse_args(arguments)
    steps = [STEPS[name.strip()] for name in options.steps.split(",") if name.strip()]
    end = time.monotonic() + 60 * options.minutes
    walks: list[Walk] = []
    while not walks or (not steps and time.monotonic() < end - 30):
        walk = Walk(options.seed + len(walks), say=_say)
        walks.append(walk)
        _say(f"seed {walk.seed}, {'PostgreSQL' if walk.postgres else 'SQLite'}")
        walk.run(steps, until=min(end, time.monotonic() + 60 * ONE_WALK))
    _say(_summary(walks))
    return 1 if any(walk.failure for walk in walks) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
