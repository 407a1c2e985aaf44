"""Opening connections to the best server there is, and noting what becomes of them."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Collection, Mapping

from dirclient.config.profile import Profile
from dirclient.connection import tls
from dirclient.connection.ldap_connection import Connection
from dirclient.connection.outages import Declined, TimedOut, Torn, Unsuited, is_late, outage
from dirclient.connection.server_health import Health, Operation
from dirclient.connection.server_probe import examine
from dirclient.connection.service_account import ServiceAccount
from dirclient.model.deadline import remaining
from dirclient.model.errors import (
    Ambiguous,
    DirectoryError,
    Misconfigured,
    NotFound,
    Refused,
    Unavailable,
)

Opener = Callable[[Profile, str, ssl.SSLContext | None], Connection]


class Opening:
    """The servers of a profile with their health, and the service account that signs in there."""

    def __init__(self, profile: Profile, opener: Opener, clock: Callable[[], float]) -> None:
        self.opener = opener
        self.health = Health(profile.servers, self._examine, clock)
        self.service = ServiceAccount(profile, clock)
        self._profile = profile
        self._context: ssl.SSLContext | None = None
        self._context_lock = threading.Lock()

    def forget(self) -> None:
        """In a child process: what the parent knew of locks and failures does not matter here."""
        self._context_lock = threading.Lock()
        self.health.forget()
        self.service.forget()

    def examine(self) -> None:
        """Ask each server now for all that it is there for; set aside those that do not do it."""
        for rank, server in enumerate(self.health.servers):
            try:
                self._examine(server.address, Operation.SEARCH)
            except DirectoryError as why:
                self.health.set_aside(rank, why, Operation.SEARCH)
            else:
                self.health.recovered(rank)

    def open(
        self,
        account: ServiceAccount | None,
        apart_from: Mapping[int, DirectoryError],
        last: Collection[int] = (),
    ) -> Connection:
        """A new connection to the best server that answers; each is asked at most once.

        Not to those that it is to be `apart_from`; to those that come `last`, if there is no other.
        """
        if account is not None:
            account.check()
        for rank in sorted(self.health.order(), key=lambda rank: rank in last):
            if rank in apart_from:
                continue
            time_left = remaining(self._profile.connect_timeout)
            if time_left <= 0:
                raise Unavailable("The time for this sign-in is over.", tried=self.health.tried())
            try:
                connection = self._connect(rank)
            except (Unavailable, Misconfigured) as why:
                # A server that was given little time is not to blame for being late.
                if self._is_enough(time_left) or not is_late(why):
                    self.health.set_aside(rank, why, Operation.CONNECT, slow=True)
                continue
            try:
                if account is not None:
                    account.bind(connection)
                return connection
            except (Unavailable, Unsuited) as why:
                connection.close()
                if not isinstance(why, TimedOut) or self._is_enough(why.seconds):
                    slow = not isinstance(why, (Declined, Unsuited))
                    self.health.set_aside(rank, why, Operation.BIND, slow=slow)
            except BaseException:
                connection.close()
                raise
        raise next(iter(apart_from.values()), None) or self.health.verdict()

    def _connect(self, rank: int) -> Connection:
        server = self.health.servers[rank]
        epoch = server.epoch
        connection = self.opener(self._profile, server.address, self._tls())
        connection.rank, connection.epoch = rank, epoch
        if server.operation is Operation.CONNECT:
            self.health.recovered(rank)
        return connection

    def _examine(self, address: str, failed: Operation) -> None:
        """For `Health`: ask a server for what it failed at."""
        connection = self.opener(self._profile, address, self._tls())
        try:
            examine(self._profile, connection, self.service, failed)
        finally:
            connection.close()

    def _tls(self) -> ssl.SSLContext | None:
        with self._context_lock:
            if self._context is None:
                self._context = tls.context(self._profile)
            return self._context

    def judge(
        self, connection: Connection, operation: Operation, fault: BaseException | None
    ) -> None:
        """Note what the end of a loan says about the server.

        One that let a borrower wait in vain is set aside, unless the borrower had spent the time
        elsewhere; one that is unwell by its own word, or broke off when a password was sent, too.
        """
        rank = connection.rank
        server = self.health.servers[rank]
        if server.epoch != connection.epoch:
            return
        cause = outage(fault)
        if cause is None:
            answered = fault is None or isinstance(fault, Refused | NotFound | Ambiguous)
            if server.failed and answered and server.operation is operation:
                self.health.recovered(rank)
        elif isinstance(cause, TimedOut):
            if self._is_enough(cause.seconds):
                self.health.set_aside(rank, cause, operation, slow=True)
        elif (
            (isinstance(cause, Declined) and cause.unwell)
            or isinstance(cause, Unsuited)
            or (isinstance(cause, Torn) and operation is Operation.BIND)
        ):
            self.health.set_aside(rank, cause, operation)

    def _is_enough(self, seconds: float) -> bool:
        """Return whether a server that had so long is to blame for not having answered."""
        return seconds >= 0.9 * min(self._profile.connect_timeout, self._profile.sign_in_timeout)
