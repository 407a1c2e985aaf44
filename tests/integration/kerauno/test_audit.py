"""Audit: everything that is noted can be found again."""

from __future__ import annotations

import re
from datetime import timedelta

from kerauno import audit
from kerauno.database.engine import Database
from tests.records import NOW, add_user, audit_events


def test_an_event_is_stored_with_all_its_sides(database: Database) -> None:
    with database.write() as s:
        john = add_user(s, "john.doe").id
    with database.fast_write() as conn:
        audit.append(
            conn,
            "sign-in",
            now=NOW,
            outcome="refused",
            actor="john.doe",
            user_id=john,
            guid="g-1",
            address="192.0.2.7",
            code="K7F3-2Q",
            detail={"reason": "wrong password", "umlaut": "ü"},
        )
    with database.read() as s:
        [event] = audit_events(s)
    assert (event.event, event.at, event.outcome, event.actor) == (
        *("sign-in", NOW, "refused", "john.doe"),
    )
    assert (event.user_id, event.guid, event.address, event.code) == (
        *(john, "g-1", "192.0.2.7", "K7F3-2Q"),
    )
    assert event.detail == {"reason": "wrong password", "umlaut": "ü"}


def test_hostile_text_is_cut_and_stored(database: Database) -> None:
    with database.fast_write() as hot:
        audit.append(hot, "x", now=NOW, actor="\0\ud800" + "a" * 10_000, address="b" * 999)
    with database.read() as s:
        [row] = audit_events(s)
    assert (row.actor[:2], len(row.actor), len(row.address)) == ("\ufffd?", 255, 64)


def test_codes_are_readable_out_loud() -> None:
    codes = {audit.new_code() for _ in range(200)}
    assert len(codes) == 200
    assert all(re.fullmatch(r"[2-9A-HJ-NP-Z]{4}-[2-9A-HJ-NP-Z]{2}", code) for code in codes)


def test_old_events_are_forgotten(database: Database) -> None:
    with database.write() as s:
        audit.append(s, "old", now=NOW)
        audit.append(s, "new", now=NOW + timedelta(days=1))
        assert audit.prune(s, NOW + timedelta(days=1)) == 1
        assert [row.event for row in audit_events(s)] == ["new"]
