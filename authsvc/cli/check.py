"""`authsvc check`: every fault of configuration, database and directory at once."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator, Mapping

from dirclient.client import DirectoryClient
from dirclient.config.profile import Profile
from dirclient.model.errors import Misconfigured
from kerauno import migrations
from kerauno.base.config import PREFIX, Settings, load
from kerauno.base.database_url import parse_database_url
from kerauno.base.errors import ConfigurationError, DatabaseUnavailable, KeyProblem
from kerauno.database.database_clock import DatabaseClock, clock_fault
from kerauno.database.engine import Database
from kerauno.secrets.encryption import Sealer
from kerauno.sync import directory_settings
from kerauno.tables.core import Directory

_OTHERS = 0o007
_GROUP_AND_OTHERS = 0o077


def faults(environ: Mapping[str, str]) -> list[str]:
    """One line for each fault, with its remedy. Empty: nothing was found."""
    problems: list[str] = []
    settings = _settings(environ, problems)
    if settings is None:
        return problems
    problems += _of_files(settings, environ)
    sealer = _sealer(settings, problems)
    database = Database(settings.database_url)
    try:
        migrations.check(database)
        with database.read() as s:
            saved = directory_settings.load(s)
            state = None if saved is None else directory_settings.state(s, saved.id)
        clock = DatabaseClock(database)
        if fault := clock_fault(clock.measure() or 0.0, "the database's"):
            problems.append(f"clock: {fault}")
    except DatabaseUnavailable as error:
        return [*problems, f"database: {error}"]
    finally:
        database.close()
    if saved is not None:
        problems += _of_directory(saved, sealer)
    if state is not None and directory_settings.is_deaf(state, clock()):
        when = f"since {state.looked_at:%Y-%m-%d %H:%M:%S} UTC" if state.looked_at else "so far"
        reason = state.error or "See the log of syncsvc serve, and whether it runs."
        problems.append(f"sync service: it has not looked at the directory {when}. {reason}")
    if state is not None and state.lagging:
        problems.append(f"servers: {state.lagging}")
    return problems


def _settings(environ: Mapping[str, str], problems: list[str]) -> Settings | None:
    """The settings; where some are at fault, those that are not, so that the rest is checked."""
    try:
        return load(environ)
    except ConfigurationError as error:
        problems += [str(fault) for fault in error.faults]
        bad = {fault.key for fault in error.faults}
    rest = {name: text for name, text in environ.items() if name not in bad}
    if any(not key.startswith(PREFIX) for key in bad):  # a key within the file
        rest.pop(f"{PREFIX}CONFIG", None)
    try:
        return load(rest)
    except ConfigurationError:
        return None


def _of_files(settings: Settings, environ: Mapping[str, str]) -> Iterator[str]:
    """Files that hold secrets and can be read by users of this machine who must not."""
    url = parse_database_url(settings.database_url)
    config = environ.get(f"{PREFIX}CONFIG", "")
    secrets: list[tuple[str, str, int]] = [
        ("KERBEROS_KEYTAB", settings.kerberos_keytab.removeprefix("FILE:"), _OTHERS),
        ("METRICS_TOKEN_FILE", settings.metrics_token_file, _OTHERS),
    ]
    if url.get_backend_name() == "sqlite":
        files = (f"{url.database}{suffix}" for suffix in ("", "-wal", "-shm"))
        secrets += [("DATABASE_URL", file, _GROUP_AND_OTHERS) for file in files]
    elif url.password and not environ.get(f"{PREFIX}DATABASE_URL"):
        secrets.append(("CONFIG", config, _OTHERS))
    for name, path, forbidden in secrets:
        try:
            mode = os.stat(path).st_mode
        except OSError:
            continue  # not there, or told where it is opened
        if mode & forbidden:
            who = "others" if forbidden == _OTHERS else "its group or others"
            right = stat.S_IMODE(mode) & ~forbidden
            yield (
                f"{PREFIX}{name}: {path} holds secrets and can be read or changed by {who}. "
                f"Run: chmod {right:o} {shlex.quote(path)}"
            )


def _sealer(settings: Settings, problems: list[str]) -> Sealer | None:
    try:
        return Sealer(settings.secret_key_file, create=True)
    except KeyProblem as error:
        problems.append(f"{PREFIX}SECRET_KEY_FILE: {error}")
        return None


def _of_directory(saved: Directory, sealer: Sealer | None) -> Iterator[str]:
    password = ""
    if sealer is not None:
        try:
            password = sealer.open(saved.sealed_password)
        except KeyProblem as error:
            yield f"password: {error}"
            sealer = None
    try:
        profile = Profile.from_stored(saved.profile, password)
    except Misconfigured as error:
        yield f"{error.field}: {error} {error.remedy}"
        return
    of_profile = [
        fault for fault in profile.faults() if sealer is not None or fault.field != "password"
    ]
    yield from (f"{fault.field}: {fault.message} {fault.remedy}" for fault in of_profile)
    if of_profile or sealer is None:
        return
    client = DirectoryClient(profile)
    try:
        for step in client.probe():
            ahead = step.data.get("offset") if step.name == "clock" else None
            if isinstance(ahead, float) and (fault := clock_fault(-ahead, "the directory's")):
                yield f"clock: {fault}"
            elif not step.ok:
                yield f"{step.field or 'directory'}: {step.summary} {step.remedy}"
                return
        # One server that passes is enough for the test. Here each is asked for itself.
        for server in client.examine():
            if not server.up:
                yield f"servers: {server.address} is not used: {server.reason}"
    finally:
        client.close()
