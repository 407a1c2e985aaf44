"""Secrets at rest: sealed with a key that lives in its own file, not in the database.

The file holds one Fernet key a line, newest first (MultiFernet): what an older key sealed still
opens, and everything new is sealed with the first. Lines that begin with `#` are comments.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import select
from sqlalchemy.orm import Session

from kerauno.base.errors import KeyProblem
from kerauno.tables.core import Directory, RunRequest
from kerauno.tables.oauth import SigningKey


class Sealer:
    """Seals and opens short texts. Reads the key file when it is made, and after a rotation.

    Raises KeyProblem, saying what to do, when the file is missing (and `create` is not given),
    cannot be read, may be read by others, or holds no key.
    """

    def __init__(self, key_file: Path | str, *, create: bool = False) -> None:
        self.key_file = Path(key_file)
        if create and not self.key_file.exists():
            _write_new(self.key_file)
        self._load()

    def seal(self, text: str) -> str:
        """The text, sealed with the newest key. Empty stays empty."""
        return self._fernet.encrypt(text.encode()).decode("ascii") if text else ""

    def open(self, sealed: str) -> str:
        """The text that was sealed. Raises KeyProblem when no key of the file fits."""
        if not sealed:
            return ""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            self._load()  # the keys may have been rotated since
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise KeyProblem(
                f"A stored secret was not sealed with the key in {self.key_file}. Bring the file "
                "that belongs to this database back, or enter the secret anew."
            ) from None

    def _load(self) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in _read(self.key_file)])

    def reseal(self, sealed: str) -> str:
        """The same secret, sealed with the newest key. Raises KeyProblem."""
        return self.seal(self.open(sealed))


SEALED: tuple[tuple[type[Any], str], ...] = (
    (Directory, "sealed_password"),
    (SigningKey, "sealed_private"),
)
"""Every column that holds a sealed secret; `_reseal_requests` knows of the one place else."""

REQUESTED = "sealed_password"
"""Its name among the settings within a request's payload."""


def rotate(s: Session, key_file: Path | str) -> int:
    """Put a new key first and seal every secret again with it; returns how many those were.

    Call it in one writing transaction. The file grows before the first secret is sealed with the
    new key, so that a crash at any moment leaves nothing that cannot be opened; running
    processes notice the new key by themselves. Raises KeyProblem.
    """
    path = Path(key_file)
    _replace(path, [Fernet.generate_key(), *_read(path)])
    sealer = Sealer(path)
    count = 0
    for table, column in SEALED:
        for row in s.execute(select(table).where(getattr(table, column) != "")).scalars():
            setattr(row, column, sealer.reseal(getattr(row, column)))
            count += 1
    count += _reseal_requests(s, sealer)
    s.flush()
    return count


def _reseal_requests(s: Session, sealer: Sealer) -> int:
    """Seal again the password of settings that wait, in a request, to be looked at and saved."""
    count = 0
    for request in s.scalars(select(RunRequest).where(RunRequest.kind == "plan")):
        settings = request.payload.get("settings")
        if not settings or not settings.get(REQUESTED):
            continue
        try:
            again = sealer.reseal(settings[REQUESTED])
        except KeyProblem:
            continue  # of a key that is no more: nobody can save these settings now
        request.payload = request.payload | {"settings": settings | {REQUESTED: again}}
        count += 1
    return count


def prune(key_file: Path | str) -> int:
    """Drop all keys but the newest; returns how many went. What only they opened is lost.

    To be called when `rotate` has committed.
    """
    path = Path(key_file)
    keys = _read(path)
    _replace(path, keys[:1])
    return len(keys) - 1


def _read(path: Path) -> list[bytes]:
    """The keys of the file, newest first. Raises KeyProblem."""
    try:
        mode = path.stat().st_mode
        text = path.read_text("ascii")
    except FileNotFoundError:
        raise KeyProblem(
            f"There is no secret key file {path}. Bring it back from the backup: what was sealed "
            "with it cannot be opened without it."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise KeyProblem(
            f"The secret key file {path} cannot be read: {why}. Let the service's user read it."
        ) from None
    if mode & 0o077:
        raise KeyProblem(
            f"The secret key file {path} can be read or changed by others. Run: chmod 600 {path}"
        )
    lines = (line.strip() for line in text.splitlines())
    keys = [line.encode() for line in lines if line and not line.startswith("#")]
    try:
        for key in keys:
            Fernet(key)
    except ValueError:
        raise KeyProblem(
            f"The secret key file {path} holds something that is not a key. Bring it back from "
            "the backup."
        ) from None
    if not keys:
        raise KeyProblem(
            f"The secret key file {path} is empty. Bring it back from the backup, or remove it to "
            "have a new one made and enter the directory's password anew."
        )
    return keys


def _write_new(path: Path) -> None:
    """Make a key file, readable by its owner alone. Another process may win the race."""
    text = _text([Fernet.generate_key()])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Written aside and linked into place: nobody ever sees half a file, and the first wins.
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.link(name, path)
        except FileExistsError:
            pass
        finally:
            os.unlink(name)
    except OSError as error:
        raise KeyProblem(
            f"The secret key file {path} cannot be made: {error.strerror}. Let the service's user "
            "write that folder, or set KERAUNO_SECRET_KEY_FILE."
        ) from None


def _replace(path: Path, keys: list[bytes]) -> None:
    """Swap the file's keys in one step, keeping owner and mode."""
    try:
        before = path.stat()
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(_text(keys))
                file.flush()
                os.fsync(file.fileno())
            if os.geteuid() == 0:
                os.chown(name, before.st_uid, before.st_gid)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise KeyProblem(
            f"The secret key file {path} cannot be changed: {error.strerror}."
        ) from None


def _text(keys: list[bytes]) -> str:
    head = "# Opens the secrets that the database holds. Newest key first. Keep it secret.\n"
    return head + "".join(f"{key.decode()}\n" for key in keys)
