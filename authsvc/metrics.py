"""Figures for Prometheus. With several workers they meet in PROMETHEUS_MULTIPROC_DIR."""

from __future__ import annotations

import math
import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0)

signins = Counter("kerauno_signins_total", "Sign-in attempts by what they came to.", ("outcome",))
signin_seconds = Histogram(
    "kerauno_signin_seconds", "Time that trying a sign-in took.", buckets=_BUCKETS
)
refused_addresses = Counter(
    "kerauno_client_addresses_refused_total",
    "Addresses that a trusted proxy reported and that could not be used, by why.",
    ("reason",),
)
last_look = Gauge(
    "kerauno_directory_last_look_seconds",
    "Seconds since the sync service last looked at the directory with success.",
    multiprocess_mode="mostrecent",
)
server_up = Gauge(
    "kerauno_directory_server_up",
    "1 while a directory server is in use, 0 while a process has set it aside.",
    ("server",),
    multiprocess_mode="livemin",
)
checks = Counter("kerauno_session_checks_total", "Forward-auth checks by answer.", ("answer",))

CONTENT_TYPE = CONTENT_TYPE_LATEST


def note_server(server: str, *, up: bool) -> None:
    """Say whether this process uses a directory server."""
    server_up.labels(server).set(float(up))


def forget_server(server: str) -> None:
    """Say no more of a server: its figure is then no number, which no alarm is raised by."""
    server_up.labels(server).set(math.nan)


def exposition() -> bytes:
    """All figures of all workers, as Prometheus reads them."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
