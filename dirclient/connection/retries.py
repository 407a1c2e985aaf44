"""A question on its way from connection to connection and from server to server."""

from __future__ import annotations

from dirclient.connection import result_codes
from dirclient.connection.ldap_connection import Connection
from dirclient.connection.outages import BindLost, Declined, TimedOut, Torn, Unsuited, outage
from dirclient.connection.server_health import Health, Operation
from dirclient.model.errors import DirectoryError


class Turns:
    """A question on its way from server to server."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._asked_twice: set[int] = set()
        self._epochs: dict[int, int] = {}
        self.declined: dict[int, DirectoryError] = {}

    def go_on(self, connection: Connection, why: DirectoryError, *, repeatable: bool) -> bool:
        """Return whether it may be put once more: on another connection, or to another server."""
        rank, cause = connection.rank, outage(why)
        if cause is None or isinstance(cause, (TimedOut, Unsuited)):
            return False
        if isinstance(cause, Torn) and not repeatable:
            return False
        # A long read that broke does not begin again at the same server.
        in_the_middle = isinstance(cause, Torn) and cause is not why
        if rank not in self._asked_twice and not (in_the_middle or _is_an_answer(cause)):
            self._asked_twice.add(rank)
            if connection.epoch == self._health.servers[rank].epoch:
                self._health.renew(rank)
            return True
        self.declined[rank] = why
        if not isinstance(cause, Declined) or cause.code != result_codes.REFERRAL:
            self._epochs[rank] = self._health.servers[rank].epoch
        return True

    def answered(self) -> None:
        """Set those aside that declined what another server could answer.

        When all decline a question, it may be the question's own fault.
        """
        for rank, epoch in self._epochs.items():
            if self._health.servers[rank].epoch == epoch:
                self._health.set_aside(rank, self.declined[rank], Operation.SEARCH)


def _is_an_answer(cause: DirectoryError) -> bool:
    """Return whether the server said no; else a fresh connection may be all that it takes."""
    return isinstance(cause, Declined) and not isinstance(cause, BindLost)
