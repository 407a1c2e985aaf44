"""When the tasks beside the requests run."""

from __future__ import annotations

import threading

import pytest

from authsvc.ops.background import Background, Task


class Turns:
    """Stands for the event that ends a task: notes each pause, and ends after so many."""

    def __init__(self, rounds: int) -> None:
        self.pauses: list[float] = []
        self._rounds = rounds

    def wait(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        return len(self.pauses) > self._rounds


def run(task: Task, rounds: int) -> list[float]:
    """Run a task for so many rounds in a background of its own. Return its pauses."""
    background = Background()
    turns = background._stop = Turns(rounds)  # type: ignore[assignment]
    background.add(task)
    background.start()
    for thread in threading.enumerate():
        if thread.name == task.name:
            thread.join(10)
    assert isinstance(turns, Turns)
    return turns.pauses


@pytest.mark.parametrize(("seconds", "first"), [(3600.0, 5.0), (2.0, 2.0)])
def test_a_service_that_is_often_restarted_comes_to_its_rounds(
    seconds: float, first: float
) -> None:
    done: list[int] = []
    pauses = run(Task("test-rounds", seconds, lambda: done.append(1)), 3)
    assert len(done) == 3
    expected = [first, seconds, seconds, seconds]
    assert [
        pause == pytest.approx(wish, rel=0.21) for pause, wish in zip(pauses, expected, strict=True)
    ] == [True] * 4


def test_a_task_that_fails_goes_on() -> None:
    def work() -> None:
        raise OSError("broken")

    assert len(run(Task("test-failing", 1.0, work), 4)) == 5
