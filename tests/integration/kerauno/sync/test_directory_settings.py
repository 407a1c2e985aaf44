"""The directory's settings and state, and the secrets among them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kerauno.base.errors import InvalidValue, KeyProblem, Stale
from kerauno.database.engine import Database
from kerauno.secrets import encryption
from kerauno.secrets.encryption import Sealer
from kerauno.secrets.signing_keys import maintain
from kerauno.sync import directory_settings, runs
from kerauno.sync.directory_settings import Lockout
from kerauno.tables.core import RunRequest
from tests.records import NOW, add_directory


def test_nothing_is_configured_at_first(database: Database) -> None:
    with database.read() as s:
        assert directory_settings.load(s) is None
        assert directory_settings.version(s) is None


def test_what_is_not_given_keeps_its_value(database: Database) -> None:
    with database.write() as s:
        directory_settings.save(
            s,
            {"profile": {"servers": ["dc1"]}, "auto_sync": True, "sealed_password": "x"},
            by="a",
            now=NOW,
        )
    with database.write() as s:
        saved = directory_settings.save(s, {"login_without_domain": True}, by="b", now=NOW)
        assert (saved.version, saved.updated_by, saved.auto_sync) == (2, "b", True)
    with database.read() as s:
        stored = directory_settings.load(s)
        assert stored is not None
        assert (stored.profile, stored.sealed_password) == ({"servers": ["dc1"]}, "x")
        assert directory_settings.version(s) == (stored.id, 2)
        assert (stored.sync_interval, stored.reserve_days) == (3600, 30)


def test_two_administrators_do_not_overwrite_each_other_unseen(database: Database) -> None:
    with database.write() as s:
        directory_settings.save(s, {"profile": {}}, by="anna", now=NOW, version=0)
    with pytest.raises(Stale, match="by anna"), database.write() as s:
        directory_settings.save(s, {"profile": {"servers": ["x"]}}, by="bernd", now=NOW, version=0)
    with database.write() as s:
        directory_settings.save(s, {"auto_sync": True}, by="bernd", now=NOW, version=1)
    with pytest.raises(Stale, match="by bernd"), database.write() as s:
        directory_settings.save(s, {"auto_sync": False}, by="anna", now=NOW, version=1)


def test_values_out_of_bounds_are_refused_whole(database: Database) -> None:
    faults: list[tuple[dict[str, Any], str]] = [
        ({"sync_interval": 5}, "sync_interval"),
        ({"reserve_days": -1}, "reserve_days"),
        ({"guard_percent": 101}, "guard_percent"),
        ({"ring_group_first": "600"}, "ring_group_range"),
        ({"ring_group_first": "699", "ring_group_last": "600"}, "ring_group_range"),
        ({"role_groups": {"g": "root"}}, "role_groups"),
    ]
    for changes, field in faults:
        with pytest.raises(InvalidValue) as refused, database.write() as s:
            directory_settings.save(s, {"profile": {}} | changes, by="a", now=NOW)
        assert refused.value.field == field
    with pytest.raises(KeyError), database.write() as s:
        directory_settings.save(s, {"pasword": "x"}, by="a", now=NOW)
    with database.read() as s:
        assert directory_settings.load(s) is None


def test_the_state_between_runs(database: Database) -> None:
    with database.write() as s:
        directory = add_directory(s)
        directory_settings.set_state(s, directory.id, usn=7, cookie=b"\0\xff", server_id="dc1")
    with database.fast_write() as hot:
        directory_settings.heartbeat(hot, directory.id, NOW)
    with database.read() as s:
        state = directory_settings.state(s, directory.id)
        assert (state.usn, state.cookie, state.heard_at) == (7, b"\0\xff", NOW)
        assert directory_settings.state(s, 10**6).usn == 0
    with pytest.raises(KeyError), database.write() as s:
        directory_settings.set_state(s, directory.id, uns=7)


def test_the_lockout_rule(database: Database) -> None:
    with database.write() as s:
        directory = add_directory(s)
    with database.fast() as hot:
        assert directory_settings.lockout(hot, directory.id) is None
    with database.write() as s:
        directory_settings.set_lockout(s, directory.id, 0, 1800, NOW)
    with database.fast() as hot:
        assert directory_settings.lockout(hot, directory.id) == Lockout(0, 1800, NOW)


def test_rotation_seals_everything_anew(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    sealer = Sealer(path, create=True)
    with database.write() as s:
        directory_settings.save(
            s, {"profile": {}, "sealed_password": sealer.seal("Pa55")}, by="a", now=NOW
        )
        maintain(s, sealer, NOW)
    with database.write() as s:
        count = encryption.rotate(s, path)
    assert count > 1  # the password, and the signing keys
    assert encryption.prune(path) == 1
    with database.read() as s:
        directory = directory_settings.load(s)
        assert directory is not None
        assert Sealer(path).open(directory.sealed_password) == "Pa55"
        assert sealer.open(directory.sealed_password) == "Pa55"  # a running process


def test_settings_that_wait_to_be_saved_are_sealed_anew_too(
    database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "secret.key"
    sealer = Sealer(path, create=True)
    lost = Sealer(tmp_path / "lost.key", create=True).seal("gone")
    with database.write() as s:
        directory = directory_settings.save(s, {"profile": {}}, by="a", now=NOW)
        payloads = (
            {"settings": {"auto_sync": True, "sealed_password": sealer.seal("Pa55")}, "version": 1},
            {"settings": {"sealed_password": lost}, "version": 1},
            {"settings": {"auto_sync": True}, "version": 1},
            {"build": True},
        )
        ids = [runs.request(s, directory.id, "plan", now=NOW, payload=one) for one in payloads]
    with database.write() as s:
        assert encryption.rotate(s, path) == 1
    encryption.prune(path)
    with database.read() as s:
        after = [s.get_one(RunRequest, number).payload for number in ids]
    assert Sealer(path).open(after[0]["settings"].pop("sealed_password")) == "Pa55"
    assert after[0] == {"settings": {"auto_sync": True}, "version": 1}
    assert after[1:] == list(payloads[1:])


def test_a_rotation_that_fails_loses_nothing(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    good = Sealer(path, create=True).seal("Pa55")
    other = Sealer(tmp_path / "other.key", create=True).seal("x")
    with database.write() as s:
        directory = directory_settings.save(
            s, {"profile": {}, "sealed_password": good}, by="a", now=NOW
        )
        s.add(type(directory)(name="second", profile={}, sealed_password=other, updated_at=NOW))
    with pytest.raises(KeyProblem), database.write() as s:
        encryption.rotate(s, path)
    with database.read() as s:
        directory_now = directory_settings.load(s)
        assert directory_now is not None
        assert directory_now.sealed_password == good
    assert Sealer(path).open(good) == "Pa55"
