"""Which worker takes a new connection, and how its loop treats clients of every kind."""

from __future__ import annotations

import errno
import os
import selectors
import socket
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from gunicorn.config import Config
from gunicorn.errors import ConfigError
from structlog.testing import capture_logs

from authsvc.http_server.connection import Connection, State
from authsvc.http_server.thread_pool import Threads
from authsvc.http_server.worker import LoopWorker

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

GET = b"GET / HTTP/1.1\r\nHost: kerauno\r\n\r\n"


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> Config:
    """Settings of two workers, whose slots are shared anew."""
    settings = Config()
    settings.set("workers", 2)
    settings.set("keepalive", 75)
    monkeypatch.setattr(LoopWorker, "shares", None, raising=False)
    LoopWorker.check_config(settings, None)
    return settings


def made(config: Config) -> LoopWorker:
    return LoopWorker(1, 1, [], None, 30, config, None)


def with_connections(worker: LoopWorker, number: int) -> None:
    worker.connections = set(range(number))  # type: ignore[arg-type]
    worker._publish_load()


def test_a_worker_leaves_connections_to_one_with_fewer(config: Config) -> None:
    mine, other = made(config), made(config)
    assert [mine.is_most_loaded(), other.is_most_loaded()] == [False, False]
    with_connections(mine, 1)
    assert [mine.is_most_loaded(), other.is_most_loaded()] == [False, False]
    with_connections(mine, 2)
    assert [mine.is_most_loaded(), other.is_most_loaded()] == [True, False]
    with_connections(other, 1)
    assert [other.is_most_loaded(), mine.is_most_loaded()] == [False, False]


def test_nobody_waits_for_a_worker_that_ended(config: Config) -> None:
    mine, other = made(config), made(config)
    with_connections(mine, 5)
    other.release_slot()
    assert mine.is_most_loaded() is False
    assert made(config).slot == other.slot


def test_nobody_waits_for_a_worker_that_stops(config: Config) -> None:
    mine, other = made(config), made(config)
    with_connections(mine, 5)
    assert mine.is_most_loaded() is True
    other.alive = False
    other._publish_load()
    assert mine.is_most_loaded() is False


def test_without_a_free_slot_a_worker_serves_all_the_same(config: Config) -> None:
    workers = [made(config) for _ in range(len(LoopWorker.shares) + 1)]
    assert (workers[0].slot, workers[-1].slot) == (0, None)
    workers[-1].release_slot()
    with_connections(workers[-1], 5)
    assert workers[-1].is_most_loaded()


# -- connections


@dataclass
class Held:
    """A worker's connection and the client's end of it."""

    worker: LoopWorker
    conn: Connection
    client: socket.socket

    def told(self) -> bytes:
        """All that the client gets, up to the end."""
        octets = b""
        while chunk := self.client.recv(4096):
            octets += chunk
        return octets

    def turn(self, octets: bytes = b"") -> None:
        """The client sends these, and the loop looks."""
        self.client.sendall(octets)
        self.worker.readable(self.conn)

    def time_passes(self) -> None:
        """More than any connection has."""
        for conn in self.worker.connections:
            conn.until = 0
        self.worker._close_expired()


def another(worker: LoopWorker) -> tuple[Connection, socket.socket]:
    """One more connection of this worker, and the client's end."""
    ours, client = socket.socketpair()
    client.settimeout(10)
    conn = Connection(ours, {}, float("inf"))
    worker.add_connection(conn)
    return conn, client


def _app(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("204 No Content", [])
    return ()


@pytest.fixture
def held(config: Config) -> Iterator[Held]:
    """A connection that a worker has just accepted, in a worker whose loop does not run."""
    worker = made(config)
    worker.wsgi = _app
    worker.PIPE = os.pipe()
    os.set_blocking(worker.PIPE[0], False)
    worker.threads = Threads(0)
    worker.poller = selectors.DefaultSelector()
    conn, client = another(worker)
    yield Held(worker, conn, client)
    client.close()
    for one in list(worker.connections):
        one.close()
    worker.poller.close()
    for end in worker.PIPE:
        os.close(end)


def state(conn: Connection) -> State:
    """As it is now."""
    return conn.state


def watched(worker: LoopWorker) -> int:
    return len(worker.poller.get_map())


def test_who_takes_too_long_is_told_so_and_then_hung_up_on(held: Held) -> None:
    held.turn(b"GET / HTTP/1.1\r\n")
    held.worker._close_expired()
    assert state(held.conn) is State.RECEIVING
    held.time_passes()
    assert held.told().startswith(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n")
    assert state(held.conn) is State.LEAVING
    held.time_passes()
    assert (held.worker.connections, held.worker.buffered, watched(held.worker)) == (set(), 0, 0)


def test_who_has_said_nothing_is_hung_up_on_without_a_word(held: Held) -> None:
    held.time_passes()
    assert held.told() == b""


def test_who_is_being_answered_is_not_late(held: Held) -> None:
    held.turn(GET)
    held.time_passes()
    assert (state(held.conn), held.worker.connections) == (State.BUSY, {held.conn})


def test_who_sends_on_and_on_after_the_last_answer_is_hung_up_on(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("authsvc.http_server.worker._DRAIN_LIMIT", 3)
    held.worker._leave(held.conn)
    held.turn(b"abc")
    assert held.worker.connections == {held.conn}
    held.turn(b"d")
    assert held.worker.connections == set()


def test_a_process_holds_no_more_than_so_much_of_unfinished_requests(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that sends little has room all the same: a form in two packets is no flood."""
    monkeypatch.setattr("authsvc.http_server.worker._BUFFER_LIMIT", 10)
    monkeypatch.setattr("authsvc.http_server.worker._LARGE", 8)
    held.turn(b"GET / HTTP")
    assert held.worker.buffered == 10
    small, client = another(held.worker)
    client.sendall(GET[:5])
    held.worker.readable(small)
    assert (held.worker.buffered, state(small)) == (15, State.RECEIVING)
    held.turn(b"/")
    assert held.told().startswith(b"HTTP/1.1 503 ")
    held.client.close()
    held.worker.readable(held.conn)
    assert (held.worker.connections, held.worker.buffered) == ({small}, 5)
    client.close()


def test_what_is_handed_on_is_held_no_more(held: Held) -> None:
    head = b"POST / HTTP/1.1\r\nHost: k\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    held.turn(head)
    assert held.client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    held.turn(b"x")
    assert 0 < held.worker.buffered <= len(head) + 1
    held.turn(b"x")
    assert (state(held.conn), held.worker.buffered) == (State.BUSY, 0)


def answer(held: Held) -> None:
    """As a thread does, and what it leaves to the loop."""
    held.worker.threads._jobs.get_nowait()()  # type: ignore[misc]
    done(held)


def done(held: Held) -> None:
    """The loop is woken by what a thread left to it."""
    held.worker._on_wakeup(held.worker.PIPE[0])


def test_what_comes_while_a_thread_answers_waits_for_its_turn(held: Held) -> None:
    """And is looked at again, whether the thread is done before or after the loop looks away."""
    held.turn(GET)
    held.turn(b"GET")
    assert not held.conn.watched
    answer(held)
    assert held.client.recv(4096).startswith(b"HTTP/1.1 204 No Content\r\n")
    assert (held.conn.watched, state(held.conn)) == (True, State.KEPT)
    held.turn(GET[3:])
    assert state(held.conn) is State.BUSY
    answer(held)
    assert (held.conn.watched, state(held.conn)) == (True, State.KEPT)


def test_what_came_along_is_answered_in_order(held: Held) -> None:
    held.turn(GET + GET + b"GET / HT")
    answer(held)
    assert state(held.conn) is State.BUSY
    answer(held)
    assert state(held.conn) is State.RECEIVING
    held.turn(b"TP/3\r\n")
    assert held.told().count(b"HTTP/1.1 204 No Content\r\n") == 2


def test_nonsense_after_a_request_is_refused_after_its_answer(held: Held) -> None:
    held.turn(GET + b"nonsense\r\n")
    assert state(held.conn) is State.BUSY
    answer(held)
    told = held.told()
    assert told.startswith(b"HTTP/1.1 204 No Content\r\n")
    assert told.endswith(
        b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    )


def test_what_needs_no_waiting_is_answered_in_the_loop(held: Held) -> None:
    asked = []

    def at_once(environ: dict[str, Any]) -> bool:
        asked.append(environ["PATH_INFO"])
        return True

    held.worker._at_once = at_once
    held.turn(GET)
    assert held.client.recv(4096).startswith(b"HTTP/1.1 204 No Content\r\n")
    assert (asked, state(held.conn)) == (["/"], State.KEPT)


MUCH = 2_000_000  # octets: more than the kernel takes for a client


def _much(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b"x" * MUCH]


def in_the_loop(_environ: dict[str, Any]) -> bool:
    return True


def test_the_loop_waits_for_nobody_who_does_not_read(held: Held) -> None:
    """The rest that the kernel does not take is sent as the client reads it, and then the next one
    is."""
    held.worker.wsgi = _much
    held.worker._at_once = in_the_loop
    held.turn(GET + GET[:5])
    done(held)
    assert state(held.conn) is State.SENDING
    held.turn(GET[5:])  # seen in the same turn: it waits
    assert state(held.conn) is State.SENDING
    got = b""
    while state(held.conn) is State.SENDING:
        got += held.client.recv(100_000)
        held.worker._send_more(held.conn)
    while len(got.partition(b"\r\n\r\n")[2]) < MUCH:
        got += held.client.recv(100_000)
    assert got.endswith(b"\r\n\r\n" + b"x" * MUCH)
    assert (state(held.conn), held.conn.watched) == (State.RECEIVING, True)
    held.worker.wsgi = _app
    held.worker.readable(held.conn)
    assert held.client.recv(4096).startswith(b"HTTP/1.1 204 No Content\r\n")


def test_who_does_not_read_a_last_answer_is_hung_up_on_after_a_while(held: Held) -> None:
    held.worker.wsgi = _much
    held.worker._at_once = in_the_loop
    held.turn(GET[:-2] + b"Connection: close\r\n\r\n")
    done(held)
    assert (state(held.conn), held.worker.connections) == (State.SENDING, {held.conn})
    held.time_passes()
    held.worker._send_more(held.conn)  # seen in the same turn: nothing happens
    assert (held.worker.connections, held.worker.buffered, watched(held.worker)) == (set(), 0, 0)


def test_who_hangs_up_before_all_is_sent_is_let_go(held: Held) -> None:
    held.worker.wsgi = _much
    held.worker._at_once = in_the_loop
    held.turn(GET)
    done(held)
    held.client.close()
    held.worker._send_more(held.conn)
    assert (held.worker.connections, watched(held.worker)) == (set(), 0)


def test_a_large_body_is_held_until_it_is_answered(held: Held) -> None:
    body = b"x" * 200_000
    held.client.sendall(b"POST / HTTP/1.1\r\nHost: k\r\nContent-Length: 200000\r\n\r\n")
    threading.Thread(target=held.client.sendall, args=(body,), daemon=True).start()
    while state(held.conn) is State.RECEIVING:
        held.worker.readable(held.conn)
    assert (state(held.conn), held.worker.buffered) == (State.BUSY, len(body))
    answer(held)
    assert (state(held.conn), held.worker.buffered) == (State.KEPT, 0)


def test_what_goes_wrong_with_one_connection_ends_only_that(held: Held) -> None:
    def fails(_environ: dict[str, Any]) -> bool:
        raise LookupError("boom")

    held.worker._at_once = fails
    held.client.sendall(GET)
    with capture_logs() as logs:
        held.worker._run_step(held.worker.readable, held.conn)
    assert [entry["event"] for entry in logs] == ["a connection is given up"]
    assert held.told() == b""
    assert (held.worker.connections, watched(held.worker)) == (set(), 0)


def test_who_knows_no_chunks_learns_that_an_answer_is_not_whole(held: Held) -> None:
    """An answer that ends with the connection would pass for whole."""

    def breaks(_environ: WSGIEnvironment, start: StartResponse) -> Iterator[bytes]:
        start("200 OK", [])
        yield b"hello"
        raise LookupError("boom")

    held.worker.wsgi = breaks
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        conn = Connection(listener.accept()[0], {}, float("inf"))
    with client, capture_logs():
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        held.worker.add_connection(conn)
        while state(conn) is State.RECEIVING:
            held.worker.readable(conn)
        answer(held)
        with client.makefile("rb") as stream, pytest.raises(ConnectionResetError):
            stream.read()
    assert held.worker.connections == {held.conn}


def test_jobs_take_turns_with_everything_else(held: Held) -> None:
    """A client that asks for much at once is one among others."""
    held.worker._at_once = in_the_loop
    held.turn(GET * 100)
    done(held)
    done(held)
    assert held.client.recv(65536).count(b"HTTP/1.1 204 ") == 3


def test_a_worker_that_stops_tells_its_clients(held: Held) -> None:
    silent, other = another(held.worker)
    held.turn(GET)
    answer(held)
    kept_until = held.conn.until
    held.worker.alive = False
    held.worker._begin_shutdown()
    assert held.conn.until < kept_until
    assert state(silent) is State.LEAVING
    held.turn(GET)
    answer(held)
    assert b"\r\nConnection: close\r\n" in held.told()
    other.close()


def test_a_worker_that_stops_waits_a_moment_for_who_does_not_read(held: Held) -> None:
    held.worker.wsgi = _much
    held.worker._at_once = in_the_loop
    held.turn(GET)
    done(held)
    before = held.conn.until
    held.worker.alive = False
    held.worker._begin_shutdown()
    soon = held.conn.until
    held.client.recv(100_000)
    held.worker._send_more(held.conn)
    assert soon <= held.conn.until < before


def test_room_is_made_by_hanging_up_on_the_longest_silent(held: Held) -> None:
    younger, other = another(held.worker)
    held.conn.until = 1.0
    held.worker._evict_idlest()
    assert held.told().startswith(b"HTTP/1.1 408 ")
    held.worker.readable(held.conn)  # seen in the same turn: nothing happens
    assert held.worker.connections == {younger}
    younger.state = State.KEPT
    held.worker._evict_idlest()
    assert other.recv(1) == b""
    held.worker._watch_unless_busy(younger)  # its thread was about to have it watched again
    assert (held.worker.connections, watched(held.worker)) == (set(), 0)
    held.worker._evict_idlest()
    other.close()


def test_who_was_answered_makes_room_before_who_is_not(held: Held) -> None:
    kept, other = another(held.worker)
    kept.state = State.KEPT
    held.conn.until = 1.0
    held.worker._evict_idlest()
    assert held.worker.connections == {held.conn}
    other.close()


@pytest.mark.parametrize("slow", [State.LEAVING, State.SENDING])
def test_nobody_who_is_slow_keeps_somebody_new_out(held: Held, slow: State) -> None:
    held.conn.state = slow
    held.worker._evict_idlest()
    assert held.worker.connections == set()


@pytest.mark.parametrize("number", [errno.EPROTO, errno.ENETDOWN, errno.EPERM, errno.ECONNABORTED])
def test_what_befalls_a_new_connection_does_not_end_the_worker(held: Held, number: int) -> None:
    class Listener:
        def accept(self) -> None:
            raise OSError(number, "as accept(2) has it")

    held.worker.accept(Listener())
    assert held.worker.connections == {held.conn}


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_no_file_left_for_a_new_connection_costs_an_old_one(held: Held, number: int) -> None:
    class Listener:
        def accept(self) -> None:
            raise OSError(number, "too many open files")

    held.worker.accept(Listener())
    assert held.told().startswith(b"HTTP/1.1 408 ")
    assert held.worker.connections == set()


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
        LoopWorker.check_config(settings, None)
