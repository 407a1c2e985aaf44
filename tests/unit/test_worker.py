"""Which worker takes a new connection, and how its loop treats clients of every kind."""

from __future__ import annotations

import errno
import selectors
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from gunicorn.config import Config
from gunicorn.errors import ConfigError
from gunicorn.workers.gthread import ThreadWorker

from authsvc.worker import Connection, EvenThreadWorker, Threads, Waiting


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
    assert [mine.has_most(), other.has_most()] == [False, False]
    mine.nr_conns = 2
    assert [mine.has_most(), other.has_most()] == [True, False]
    other.nr_conns = 1
    assert [other.has_most(), mine.has_most()] == [False, False]


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


# -- connections


@dataclass
class Held:
    """A worker's connection and the client's end of it."""

    worker: EvenThreadWorker
    conn: Connection
    client: socket.socket

    def told(self) -> bytes:
        """All that the client gets, up to the end."""
        octets = b""
        while chunk := self.client.recv(4096):
            octets += chunk
        return octets


@pytest.fixture
def held(config: Config) -> Iterator[Held]:
    """A connection that a worker has just accepted, in a worker whose loop does not run."""
    worker = made(config)
    worker.poller = selectors.DefaultSelector()
    worker.method_queue.init()
    ours, client = socket.socketpair()
    client.settimeout(10)
    conn = Connection(config, ours, ("192.0.2.1", 50000), ("192.0.2.2", 80))
    worker.nr_conns = 1
    worker.receiving.add(conn)
    worker._watch(conn)
    yield Held(worker, conn, client)
    client.close()
    ours.close()
    worker.method_queue.close()
    worker.poller.close()


def test_who_takes_too_long_is_told_so_and_then_hung_up_on(held: Held) -> None:
    held.client.sendall(b"GET / HTTP/1.1\r\n")
    held.worker.on_client_socket_readable(held.conn)
    held.worker.murder_pending()
    assert held.conn in held.worker.receiving
    held.worker.receiving = Waiting(-1)
    held.worker.receiving.add(held.conn)
    held.worker.murder_pending()
    assert held.told().startswith(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n")
    assert held.conn in held.worker.leaving
    held.worker.leaving = Waiting(-1)
    held.worker.leaving.add(held.conn)
    held.worker.murder_pending()
    assert (held.worker.nr_conns, held.worker.held) == (0, 0)
    assert len(held.worker.poller.get_map()) == 0


def test_who_has_said_nothing_is_hung_up_on_without_a_word(held: Held) -> None:
    held.worker.receiving = Waiting(-1)
    held.worker.receiving.add(held.conn)
    held.worker.murder_pending()
    assert held.told() == b""


def test_who_sends_on_and_on_after_the_last_answer_is_hung_up_on(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("authsvc.worker._DRAIN_LIMIT", 3)
    held.worker._leave(held.conn)
    held.client.sendall(b"abc")
    held.worker.on_client_socket_readable(held.conn)
    assert held.worker.nr_conns == 1
    held.client.sendall(b"d")
    held.worker.on_client_socket_readable(held.conn)
    assert held.worker.nr_conns == 0


def test_a_process_holds_no_more_than_so_much_of_unfinished_requests(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("authsvc.worker._HELD_LIMIT", 10)
    held.client.sendall(b"GET / HTTP")
    held.worker.on_client_socket_readable(held.conn)
    assert held.worker.held == 10
    held.client.sendall(b"/")
    held.worker.on_client_socket_readable(held.conn)
    assert held.told().startswith(b"HTTP/1.1 503 ")
    held.client.close()
    held.worker.on_client_socket_readable(held.conn)
    assert (held.worker.nr_conns, held.worker.held) == (0, 0)


def test_what_is_handed_on_is_held_no_more(held: Held) -> None:
    held.worker.tpool = Threads(0)
    held.client.sendall(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
    held.worker.on_client_socket_readable(held.conn)
    assert held.client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert held.worker.held == len("POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\n")
    held.client.sendall(b"x")
    held.worker.on_client_socket_readable(held.conn)
    assert (held.conn.busy, held.worker.held) == (True, 0)
    assert held.conn not in held.worker.receiving


def test_what_comes_while_a_thread_answers_waits_for_its_turn(held: Held) -> None:
    """And is looked at again, whether the thread is done before or after the loop looks away."""
    held.worker.receiving.discard(held.conn)
    held.conn.busy = True
    held.client.sendall(b"GET")
    held.worker.on_client_socket_readable(held.conn)
    assert not held.conn.watched
    held.conn.init()
    held.worker._keep(held.conn)
    held.worker.method_queue.run_callbacks(None)
    assert held.conn.watched
    assert list(held.worker.keepalived_conns) == [held.conn]
    held.worker.on_client_socket_readable(held.conn)
    assert len(held.conn.arrival) == 3
    assert list(held.worker.keepalived_conns) == []


def test_room_is_made_by_hanging_up_on_the_longest_silent(held: Held, config: Config) -> None:
    ours, other = socket.socketpair()
    younger = Connection(config, ours, ("192.0.2.1", 50001), ("192.0.2.2", 80))
    held.worker.nr_conns = 2
    held.worker.receiving.add(younger)
    held.worker._watch(younger)
    held.worker._make_room()
    assert held.told().startswith(b"HTTP/1.1 408 ")
    held.worker.on_client_socket_readable(held.conn)  # seen in the same turn: nothing happens
    assert held.worker.receiving.all() == [younger]
    held.worker.receiving.discard(younger)
    held.worker.keepalived_conns.append(younger)
    held.worker._make_room()
    assert other.recv(1) == b""
    held.worker._watch_unless_busy(younger)  # its thread was about to have it watched again
    assert (held.worker.nr_conns, len(held.worker.poller.get_map())) == (0, 0)
    held.worker._make_room()
    other.close()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_no_file_left_for_a_new_connection_costs_an_old_one(held: Held, number: int) -> None:
    class Listener:
        def accept(self) -> None:
            raise OSError(number, "too many open files")

    held.worker.accept(Listener())
    assert held.told().startswith(b"HTTP/1.1 408 ")
    assert held.worker.nr_conns == 0


def test_a_thread_survives_what_its_job_raises() -> None:
    threads = Threads(1)
    done = threading.Event()

    def raises() -> None:
        raise SystemExit

    threads.submit(raises)
    threads.submit(done.set)
    assert done.wait(10)
    threads.shutdown()


def test_tls_is_refused_for_the_loop_reads_plain_octets() -> None:
    settings = Config()
    settings.set("certfile", "/etc/hosts")
    with pytest.raises(ConfigError, match="TLS ends at the reverse proxy"):
        EvenThreadWorker.check_config(settings, None)
