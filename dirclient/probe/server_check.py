"""Which servers of a profile can be reached, how fast, and until when their certificates hold.

Connects and encrypts as every other use does, and asks nothing: no bind, no password.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from dirclient.config.profile import Profile
from dirclient.connection import tls
from dirclient.connection.connect import open_connection
from dirclient.model.errors import DirectoryError, Misconfigured


@dataclass(frozen=True, slots=True)
class Reach:
    """One server. `seconds` is how long connecting and encrypting took, or failing did.

    `problem` is empty when it was reached; `certificate_until` is None where nothing is encrypted.
    """

    server: str
    seconds: float
    problem: str = ""
    remedy: str = ""
    certificate_until: datetime | None = None

    @property
    def ok(self) -> bool:
        """Return whether the server was reached."""
        return not self.problem


def reach(profile: Profile) -> tuple[Reach, ...]:
    """Each server, in the profile's order, all asked at once; never longer than connecting may
    take. Never raises for what a server does."""
    if not profile.servers:
        return ()
    try:
        context = tls.context(profile)
    except Misconfigured as odd:
        return tuple(Reach(server, 0.0, str(odd), odd.remedy) for server in profile.servers)
    with ThreadPoolExecutor(len(profile.servers), "reach") as workers:
        return tuple(workers.map(lambda server: _one(profile, server, context), profile.servers))


def _one(profile: Profile, server: str, context: ssl.SSLContext | None) -> Reach:
    began = time.monotonic()
    try:
        connection = open_connection(profile, server, context)
    except DirectoryError as problem:
        remedy = problem.remedy if isinstance(problem, Misconfigured) else ""
        return Reach(server, time.monotonic() - began, str(problem), remedy)
    seconds = time.monotonic() - began
    try:
        return Reach(server, seconds, certificate_until=_expiry(connection.certificate()))
    finally:
        connection.close()


def _expiry(certificate: Mapping[str, object]) -> datetime | None:
    until = certificate.get("notAfter")
    if not until:
        return None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(until)), UTC)
