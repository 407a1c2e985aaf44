"""Ports of the sign-in decision: the directory, the budgets, the records."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from authsvc.signin.directory_connection import OpenDirectory
from authsvc.signin.outcomes import Attempt, Reason, Verdict
from dirclient.model.directory_objects import Guid, Login
from kerauno.base.errors import Throttled
from kerauno.signin.throttle import Budget, Reservation
from kerauno.signin.user_lookup import SignInUser


class Directories(Protocol):
    """Gives the directory of the moment, see `authsvc.signin.directory_connection`."""

    def current(self) -> OpenDirectory | None:
        """As saved last. Raises Misconfigured, KeyProblem."""

    def at(self, saved: tuple[int, int] | None) -> OpenDirectory | None:
        """The one of this id and version. Raises Misconfigured, KeyProblem."""


class Budgets(Protocol):
    """Says how many wrong passwords an account may have, see `authsvc.signin.lockout_budget`."""

    def of(self, directory: OpenDirectory | None) -> Budget:
        """Always below the directory's own lockout."""


class Records(Protocol):
    """Port to Kerauno's records. Each method is one transaction at most."""

    def find(self, login: Login) -> SignInUser | None:
        """The one user that the name means."""

    def by_email(self, email: str) -> SignInUser | None:
        """The user with this email."""

    def linked_to(self, directory_id: int, guid: Guid) -> SignInUser | None:
        """The user linked to this person."""

    def held_out(self, directory_id: int, guid: Guid) -> bool:
        """Return whether an administrator keeps this person from being linked."""

    def is_known(self, attempt: Attempt, user: SignInUser) -> bool:
        """Return whether this user has signed in before in the browser of this attempt."""

    def take(
        self, account: str, person: str, address: str, budget: Budget, *, known: bool
    ) -> Reservation:
        """Let one attempt through; `known` is of a known browser. Raises Throttled."""

    def give_back(self, slot: Reservation) -> None:
        """Nothing was asked: the attempt does not count."""

    def is_unsettled(self, person: str) -> bool:
        """Return whether only the directory knows how some attempts of this person ended."""

    def settle(self, person: str, wrong: int) -> None:
        """The directory has counted so many wrong passwords."""

    def note_throttled(self, attempt: Attempt, error: Throttled, *, user: SignInUser | None) -> str:
        """Note that an attempt was not let through; returns the code to be read out."""

    def refuse(
        self,
        attempt: Attempt,
        reason: Reason,
        slot: Reservation | None,
        settled: Verdict,
        *,
        user: SignInUser | None,
        guid: str | None,
        note: str,
    ) -> str:
        """Settle the slot and note the refusal; returns the code to be read out."""

    def password_changed(self, user_id: int, guid: Guid, when: datetime | None) -> None:
        """End all by which the user is signed in; note when the directory set the password."""

    def propose(self, user: SignInUser, directory_id: int, guid: Guid) -> None:
        """Keep a proven claim on an administrator's account for an administrator to confirm."""
