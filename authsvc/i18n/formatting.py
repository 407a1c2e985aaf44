"""How pages write moments, durations and measured numbers: the one place for all of them.

Counts are `authsvc.i18n.translate.grouped`. A page's scripts write moments again in the viewer's
own zone and way of writing.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from flask import Flask

from authsvc.i18n.translate import decimal, gettext, grouped, ngettext


def setup_writing(app: Flask) -> None:
    """Give templates the ways of writing."""
    app.jinja_env.filters.update(seconds=seconds, minute=minute)


def minute(at: datetime) -> str:
    """A moment to the minute, the same to everyone: 2026-11-23 09:30 UTC."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def day(at: datetime) -> str:
    """A day, the same to everyone: 2026-11-23."""
    return f"{at:%Y-%m-%d}"


def figure(value: float | None) -> str:
    """A number for people: no noise behind the point, an en dash where there is none."""
    if value is None:
        return "–"
    if value == int(value):
        return grouped(int(value))
    return decimal(value, 2 if value < 10 else 1)


def seconds(value: float | None) -> str:
    """How long something took: "0.4 s", "3 min 20 s", an en dash for none."""
    if value is None:
        return "–"
    if value < 1:
        return gettext("%(n)s ms", n=f"{value * 1000:.0f}")
    if value < 60:
        return gettext("%(n)s s", n=decimal(value, 1))
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        if not rest:
            return gettext("%(minutes)s min", minutes=minutes)
        return gettext("%(minutes)s min %(seconds)s s", minutes=minutes, seconds=rest)
    hours, minutes = divmod(minutes, 60)
    return gettext("%(hours)s h %(minutes)s min", hours=hours, minutes=minutes)


def waiting(length: int) -> str:
    """A waiting time of whole seconds in words, rounded up: "1 minute", "40 seconds"."""
    if length < 90:
        return ngettext("%(n)s second", "%(n)s seconds", max(length, 1))
    minutes = -(-length // 60)
    if minutes < 120:
        return ngettext("%(n)s minute", "%(n)s minutes", minutes)
    return ngettext("%(n)s hour", "%(n)s hours", -(-minutes // 60))


def ago(span: timedelta) -> str:
    """How long since, roughly."""
    minutes = int(span.total_seconds() // 60)
    if minutes < 1:
        return gettext("just now")
    if minutes < 60:
        return ngettext("%(n)s minute ago", "%(n)s minutes ago", minutes)
    hours = minutes // 60
    if hours < 48:
        return ngettext("%(n)s hour ago", "%(n)s hours ago", hours)
    return ngettext("%(n)s day ago", "%(n)s days ago", hours // 24)
