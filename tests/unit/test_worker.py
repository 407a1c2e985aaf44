"""Which worker takes a new connection."""

from __future__ import annotations

import pytest
from gunicorn.config import Config
from gunicorn.workers.gthread import ThreadWorker

from authsvc.worker import EvenThreadWorker


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> Config:
    """Settings of two workers, whose slots are shared anew."""
    settings = Config()
    settings.set("workers", 2)
    monkeypatch.setattr(EvenThreadWorker, "connections", None)
    EvenThreadWorker.check_config(settings, None)
    return settings


def made(config: Config) -> EvenThreadWorker:
    return EvenThreadWorker(1, 1, [], None, 30, config, None)


def test_a_worker_leaves_connections_to_one_with_fewer(config: Config) -> None:
    mine, other = made(config), made(config)
    assert [mine.has_most(), other.has_most()] == [False, False]
    mine.nr_conns = 1
    assert [mine.has_most(), other.has_most()] == [True, False]
    other.nr_conns = 1
    assert other.has_most() is False
    assert mine.has_most() is False


def test_nobody_waits_for_a_worker_that_ended(config: Config) -> None:
    mine, other = made(config), made(config)
    mine.nr_conns = 5
    other.release_slot()
    assert mine.has_most() is False
    assert made(config).slot == other.slot


def test_without_a_free_slot_a_worker_serves_all_the_same(config: Config) -> None:
    workers = [made(config) for _ in range(len(EvenThreadWorker.connections) + 1)]
    assert workers[-1].slot is None
    assert issubclass(EvenThreadWorker, ThreadWorker)
    workers[-1].release_slot()
    assert EvenThreadWorker.connections[0] == 0
