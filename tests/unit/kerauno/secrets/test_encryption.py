"""Secrets at rest: the key file's life, its faults, and its rotation."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from kerauno.base.errors import KeyProblem
from kerauno.secrets.encryption import Sealer, prune


def test_the_first_start_makes_a_key_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "var" / "secret.key"
    sealer = Sealer(path, create=True)
    assert path.stat().st_mode & 0o777 == 0o600
    sealed = sealer.seal("Pa55wörd")
    assert "Pa55" not in sealed
    assert Sealer(path).open(sealed) == "Pa55wörd"
    assert [entry.name for entry in path.parent.iterdir()] == ["secret.key"]


def test_processes_that_start_together_end_with_one_key(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    sealers: list[Sealer] = []
    threads = [
        threading.Thread(target=lambda: sealers.append(Sealer(path, create=True))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sealed = [sealer.seal("x") for sealer in sealers]
    assert [sealers[0].open(text) for text in sealed] == ["x"] * 8


def test_empty_stays_empty(tmp_path: Path) -> None:
    sealer = Sealer(tmp_path / "k", create=True)
    assert sealer.seal("") == sealer.open("") == ""


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(KeyProblem, match="Bring it back from the backup"):
        Sealer(tmp_path / "gone")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KeyProblem, match="cannot be made"):
        Sealer(tmp_path / "file" / "secret.key", create=True)


def test_an_unreadable_file(tmp_path: Path) -> None:
    (tmp_path / "k").mkdir()
    with pytest.raises(KeyProblem, match="cannot be read: Is a directory"):
        Sealer(tmp_path / "k")


def test_a_file_that_others_may_read(tmp_path: Path) -> None:
    path = tmp_path / "k"
    Sealer(path, create=True)
    path.chmod(0o640)
    with pytest.raises(KeyProblem, match="chmod 600"):
        Sealer(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"# only words\n", "is empty"),
        (b"abc\n", "not a key"),
        (b"\xff", "text"),
    ],
)
def test_a_damaged_file(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "k"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyProblem, match=words):
        Sealer(path)


def test_another_key_opens_nothing_and_says_so(tmp_path: Path) -> None:
    sealed = Sealer(tmp_path / "a", create=True).seal("x")
    other = Sealer(tmp_path / "b", create=True)
    with pytest.raises(KeyProblem, match="enter the secret anew"):
        other.open(sealed)
    with pytest.raises(KeyProblem):
        other.open("not even sealed")


def test_a_running_process_notices_a_new_key(tmp_path: Path) -> None:
    path = tmp_path / "k"
    running = Sealer(path, create=True)
    old = running.seal("x")
    path.write_text(f"{Fernet.generate_key().decode()}\n{path.read_text()}")
    new = Sealer(path).seal("y")
    assert (running.open(new), running.open(old)) == ("y", "x")


def test_pruning_leaves_the_newest_key_and_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "k"
    Sealer(path, create=True)
    path.write_text(f"{Fernet.generate_key().decode()}\n{path.read_text()}")
    sealed = Sealer(path).seal("x")
    assert prune(path) == 1
    assert prune(path) == 0
    assert Sealer(path).open(sealed) == "x"
    assert os.stat(path).st_mode & 0o777 == 0o600
