"""The service account's own binds: one at a time, and never often enough to lock the account."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from dirclient.config.profile import Profile
from dirclient.connection.ldap_connection import Connection
from dirclient.model.deadline import remaining, time_limit
from dirclient.model.errors import (
    BadCredentials,
    Locked,
    Misconfigured,
    PasswordWasRight,
    Refused,
    Unavailable,
)

WRONG_PASSWORD_PAUSE = (300.0, 3600.0)
"""Seconds without another bind after a wrong password: at first, and at most. Each one doubles it:
the directory counts them, and locks the account."""
OTHER_PAUSE = 4.0
"""Seconds without another bind after any other refusal. AD counts none where the password is right
(disabled, expired, must be changed, hours, workstations), nor while the account is locked."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    """A refusal: its words, its time, and the time until which not to ask again."""

    no: Refused
    at: float
    until: float


class ServiceAccount:
    """Binds new connections. A changed password takes a new profile, and so a new one of these."""

    def __init__(self, profile: Profile, clock: Callable[[], float]) -> None:
        self._profile = profile
        self._clock = clock
        self._refusal: _Refusal | None = None
        self._wrong_pause = 0.0
        self._turn = threading.Lock()

    def check(self) -> None:
        """Raise `Misconfigured` where a bind would be in vain: incomplete, or just refused."""
        profile, refusal = self._profile, self._refusal
        if not profile.username or not profile.password.get_secret_value():
            raise Misconfigured(
                "The service account is not complete.",
                field="password" if profile.username else "username",
                remedy="Enter AD Username and Password.",
            )
        if refusal is not None and self._clock() < refusal.until:
            raise service_refusal(refusal.no) from refusal.no

    @property
    def refused_for(self) -> float | None:
        """How many seconds ago the directory refused the account; None where it did not."""
        refusal = self._refusal
        return None if refusal is None else self._clock() - refusal.at

    def bind(self, connection: Connection, *, in_turn: bool = True) -> None:
        """Bind a connection. Raises `Misconfigured` when the account is refused, `Unavailable`.

        In turn: many who start at once with a wrong password must not each count as an attempt.
        Out of turn only where no more than one does, and may wait long.
        """
        if not in_turn:
            self._bind(connection)
            return
        limit = max(self._profile.connect_timeout, self._profile.sign_in_timeout / 2)
        with time_limit(limit):
            if not self._turn.acquire(timeout=remaining(limit)):
                raise Unavailable(f"{connection.server} keeps another sign-in waiting.")
            try:
                self._bind(connection)
            finally:
                self._turn.release()

    def _bind(self, connection: Connection) -> None:
        self.check()
        try:
            password = self._profile.password.get_secret_value()
            connection.bind(self._profile.username, password)
            self._refusal, self._wrong_pause = None, 0.0
        except Refused as no:
            self._remember(no)
            raise service_refusal(no) from no

    def forget(self) -> None:
        """In a child process: whose turn it was there does not matter here."""
        self._turn = threading.Lock()

    def _remember(self, no: Refused) -> None:
        pause = OTHER_PAUSE
        if not isinstance(no, PasswordWasRight | Locked):
            first, most = WRONG_PASSWORD_PAUSE
            self._wrong_pause = min(max(first, self._wrong_pause * 2), most)
            pause = self._wrong_pause
        now = self._clock()
        self._refusal = _Refusal(no, now, now + pause)


def service_refusal(no: Refused) -> Misconfigured:
    """Return what an administrator reads when the service account itself is refused."""
    if isinstance(no, BadCredentials):
        return Misconfigured(
            "The directory refused the service account: the name or the password is wrong.",
            field="password",
            remedy="Enter AD Username and Password again, the name as user@domain, "
            "DOMAIN\\user or a full DN.",
        )
    reason = str(no)
    return Misconfigured(
        f"The directory refused the service account: {reason[:1].lower()}{reason[1:]}",
        field="username",
        remedy="Put the account in order in the directory, or enter another one.",
    )
