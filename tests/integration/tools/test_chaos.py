"""The chaos test itself: a short walk with a fixed seed, and one that has to fail."""

from __future__ import annotations

import signal

import pytest

from tests.chaos.acts import Step
from tests.chaos.walk import STEPS, Walk
from tests.chaos.world import World

pytestmark = [pytest.mark.samba, pytest.mark.timeout(180)]

SHORT = (
    *("look and leave", "rotate keys", "connections cut", "clock moved"),
    *("server stopped", "account disabled", "sync killed", "database locked"),
)


def test_a_short_walk() -> None:
    walk = Walk(2, shortest=0.2, longest=1.0)
    assert walk.run([STEPS[name] for name in SHORT]), walk.failure
    assert walk.walked == list(SHORT)
    assert set(walk.delays) == {"start", *SHORT}


def test_a_deaf_service_fails_the_walk(capsys: pytest.CaptureFixture[str]) -> None:
    def deafen(world: World, _seconds: float) -> None:
        assert world.sync
        world.sync.signal(signal.SIGSTOP)

    walk = Walk(4, within=6.0)
    assert not walk.run([STEPS["connections cut"], Step("sync stopped", deafen)])
    assert walk.failure.startswith("Deaf:")
    assert "AD says" in walk.failure
    assert walk.walked == ["connections cut", "sync stopped"]
    assert "--seed 4 --steps 'connections cut, sync stopped'" in capsys.readouterr().out
