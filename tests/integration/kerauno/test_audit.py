"""Audit: everything that is noted can be found again."""

from __future__ import annotations

import re
from datetime import timedelta

from kerauno import audit
from kerauno.audit import Wanted
from kerauno.database.engine import Database
from tests.records import NOW, add_user


def test_what_is_noted_is_found_by_each_of_its_sides(database: Database) -> None:
    with database.write() as s:
        john = add_user(s, "john.doe").id
    with database.fast_write() as hot:
        audit.append(
            hot,
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
        audit.append(hot, "sign-in", now=NOW + timedelta(hours=1), outcome="ok", actor="jane")
        audit.append(hot, "settings", now=NOW + timedelta(hours=2), actor="admin")
    hour = timedelta(hours=1)
    with database.read() as s:
        for wanted, found in [
            (Wanted(), ["settings", "sign-in", "sign-in"]),
            (Wanted(events=["sign-in"]), ["sign-in", "sign-in"]),
            (Wanted(events=["sign-in"], outcome="ok"), ["sign-in"]),
            (Wanted(user_id=john), ["sign-in"]),
            (Wanted(guid="g-1"), ["sign-in"]),
            (Wanted(actor="admin"), ["settings"]),
            (Wanted(address="192.0.2.7"), ["sign-in"]),
            (Wanted(since=NOW + hour), ["settings", "sign-in"]),
            (Wanted(until=NOW + hour), ["sign-in"]),
            (Wanted(code="none"), []),
        ]:
            assert [row.event for row in audit.page(s, wanted)] == found
        for spoken in ("K7F3-2Q", "k7f32q", " K7F3 2Q "):
            [row] = audit.by_code(s, spoken)
            assert row.detail == {"reason": "wrong password", "umlaut": "ü"}


def test_pages_follow_each_other(database: Database) -> None:
    with database.fast_write() as hot:
        for index in range(25):
            audit.append(hot, f"event-{index}", now=NOW)
    seen: list[str] = []
    before = None
    with database.read() as s:
        while rows := audit.page(s, Wanted(), limit=10, before=before):
            seen += [row.event for row in rows]
            before = rows[-1].id
    assert seen == [f"event-{index}" for index in reversed(range(25))]


def test_hostile_text_is_cut_and_stored(database: Database) -> None:
    with database.fast_write() as hot:
        audit.append(hot, "x", now=NOW, actor="\0\ud800" + "a" * 10_000, address="b" * 999)
    with database.read() as s:
        [row] = audit.page(s, Wanted())
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
        assert [row.event for row in audit.page(s, Wanted())] == ["new"]
