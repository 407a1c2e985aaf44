"""The store of the sign-in decision: implements `authsvc.signin.ports.Records`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from authsvc.signin.outcomes import Attempt, Authenticated, Reason, Verdict
from authsvc.signin.unsettled_attempts import Unsettled, settle
from dirclient.model.directory_objects import Guid, Login
from dirclient.model.login_name import InvalidLogin, parse
from kerauno import audit
from kerauno.accounts import access_revocation, known_browsers, links, users
from kerauno.base.config import Settings
from kerauno.base.errors import InvalidValue, NotFound, Throttled
from kerauno.database.engine import Database
from kerauno.database.prepared import PreparedConnection, from_session
from kerauno.signin import sessions, throttle, throttle_list, user_lookup
from kerauno.signin.sessions import Lifetime, NewSession
from kerauno.signin.throttle import Budget, Reservation
from kerauno.signin.throttle_list import ThrottledKey
from kerauno.signin.user_lookup import SignInUser

EVENT = "sign-in"
LINKED_EVENT = "link"
PROPOSED_EVENT = "link-proposed"
PASSWORD_EVENT = "password-changed"  # noqa: S105 - a word
_NO_LIMIT = 2**31 - 1
_SHOWN = 2  # characters of an unknown name that the audit keeps
# What follows an @ may as well be the rest of a password.
_DOMAIN = re.compile(r"([a-z0-9-]+\.)+[a-z]{2,}", re.I)


@dataclass(frozen=True, slots=True)
class Admitted:
    """A session just opened, and the cookie by which its browser is known."""

    session: NewSession
    known: str


@dataclass(frozen=True, slots=True)
class SignInRecords:
    """`Records` in the database."""

    database: Database
    now: Callable[[], datetime]
    by_address: Budget
    lifetime: Lifetime
    unsettled: Unsettled

    @classmethod
    def of(
        cls, database: Database, settings: Settings, now: Callable[[], datetime], lifetime: Lifetime
    ) -> SignInRecords:
        """With the limits that the settings of the process name."""
        window = timedelta(minutes=settings.address_window_minutes)
        by_address = throttle.address_budget(settings.address_failures, window)
        return cls(database, now, by_address, lifetime, Unsettled(database, now))

    def find(self, login: Login) -> SignInUser | None:
        """See `Records`."""
        with self.database.fast() as hot:
            return user_lookup.find(hot, login.form, login.name, login.domain)

    def by_email(self, email: str) -> SignInUser | None:
        """See `Records`."""
        name, _, domain = email.rpartition("@")
        with self.database.fast() as hot:
            return user_lookup.find(hot, "email", name, domain)

    def linked_to(self, directory_id: int, guid: Guid) -> SignInUser | None:
        """See `Records`."""
        with self.database.fast() as hot:
            return user_lookup.find_person(hot, directory_id, guid)

    def held_out(self, directory_id: int, guid: Guid) -> bool:
        """See `Records`."""
        with self.database.read() as s:
            return guid in links.held_out(s, directory_id)

    def is_known(self, attempt: Attempt, user: SignInUser) -> bool:
        """See `Records`."""
        return bool(attempt.known) and known_browsers.is_known(
            attempt.known, user.user_id, user.browser_key, self.now()
        )

    def take(
        self, account: str, person: str, address: str, budget: Budget, *, known: bool
    ) -> Reservation:
        """See `Records`. Who shares a known browser's address cannot keep it out, either."""
        return throttle.reserve(
            self.database,
            account,
            throttle.address_key(address),
            budget,
            replace(self.by_address, limit=_NO_LIMIT) if known else self.by_address,
            self.now(),
            person=person,
        )

    def give_back(self, slot: Reservation) -> None:
        """See `Records`."""
        self.unsettled.settling(slot, Verdict.NOT_CHECKED, lambda hot: throttle.cancel(hot, slot))

    def is_unsettled(self, person: str) -> bool:
        """See `Records`."""
        with self.database.fast() as hot:
            return throttle.is_unsettled(hot, person, self.now())

    def settle(self, person: str, wrong: int) -> None:
        """See `Records`."""
        self.database.fast_work(lambda hot: throttle.settle(hot, person, wrong, self.now()))

    def note_throttled(self, attempt: Attempt, error: Throttled, *, user: SignInUser | None) -> str:
        """See `Records`."""
        label = user.email if user else masked(attempt.name)
        user_id = user.user_id if user else None
        refusal = ThrottledKey(EVENT, label, attempt.address, user_id)
        return self.database.fast_work(
            lambda hot: throttle_list.note(hot, error, refusal, self.now())
        )

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
        """See `Records`."""
        code = audit.new_code()
        detail: dict[str, object] = {"note": note[:500]} if note else {}
        if slot is not None and settled is Verdict.WRONG:
            detail["failures"] = slot.seen + 1

        def note_refusal(hot: PreparedConnection) -> None:
            if slot is not None:
                settle(hot, slot, settled, self.now())
            audit.append(
                hot,
                EVENT,
                now=self.now(),
                outcome=reason.value,
                actor=user.email if user else masked(attempt.name),
                user_id=user.user_id if user else None,
                guid=guid,
                address=attempt.address,
                code=code,
                detail=detail,
            )

        self.unsettled.settling(slot, settled, note_refusal)
        return code

    def password_changed(self, user_id: int, guid: Guid, when: datetime | None) -> None:
        """See `Records`."""
        now = self.now()
        with self.database.write() as s:
            ended = access_revocation.end_access(s, [user_id], now)
            link = links.of_user(s, user_id)
            if link is not None and link.guid == guid:
                link.password_set = when or link.password_set
            audit.append(
                s,
                PASSWORD_EVENT,
                now=now,
                outcome="ok",
                actor=users.get(s, user_id).email,
                user_id=user_id,
                guid=guid,
                detail={"sessions": ended.sessions, "apps": ended.apps},
            )

    def propose(self, user: SignInUser, directory_id: int, guid: Guid) -> None:
        """See `Records`."""
        with self.database.write() as s:
            links.propose(s, user.user_id, directory_id, guid, self.now())
            audit.append(
                s,
                PROPOSED_EVENT,
                now=self.now(),
                outcome="waiting",
                actor=user.email,
                user_id=user.user_id,
                guid=guid,
            )

    def admit(
        self, attempt: Attempt, right: Authenticated, *, session: bool = True
    ) -> Admitted | None:
        """Act on a proven password in one transaction: settle, link where due, open the session.

        Raises InvalidValue or NotFound when the link cannot be made any more; then the attempt
        is given back and nobody is signed in. Raises AccessEnded, with nothing done, when the
        directory's refusal was read since the password was proven.
        """
        now = self.now()
        if right.link is not None:
            try:
                with self.database.write() as s:
                    links.link(
                        s, right.user.user_id, right.link, scope="login", origin="sign-in", now=now
                    )
                    audit.append(
                        s,
                        LINKED_EVENT,
                        now=now,
                        outcome="first-sign-in",
                        actor=right.user.email,
                        user_id=right.user.user_id,
                        guid=right.link.guid,
                        detail={"dn": right.link.dn},
                    )
                    return self._admit(from_session(s), attempt, right, now, session=session)
            except (InvalidValue, NotFound):
                self.give_back(right.slot)
                raise
        return self.unsettled.settling(
            right.slot,
            Verdict.CORRECT,
            lambda hot: self._admit(hot, attempt, right, now, session=session),
        )

    def _admit(
        self,
        hot: PreparedConnection,
        attempt: Attempt,
        right: Authenticated,
        now: datetime,
        *,
        session: bool,
    ) -> Admitted | None:
        throttle.succeed(hot, right.slot)
        audit.append(
            hot,
            EVENT,
            now=now,
            outcome="ok" if session else "checked",
            actor=right.user.email,
            user_id=right.user.user_id,
            guid=right.link.guid if right.link else right.user.guid,
            address=attempt.address,
            detail={"method": right.method},
        )
        if not session:
            return None
        known = self.remember(hot, attempt.known, right.user)  # locks user, then link
        made = sessions.create(
            hot,
            right.user.user_id,
            method=right.method,
            now=now,
            lifetime=self.lifetime,
            address=attempt.address,
            user_agent=attempt.user_agent,
            instead_of=attempt.cookie,
        )
        return Admitted(made, known)

    def remember(self, hot: PreparedConnection, cookie: str, user: SignInUser) -> str:
        """Return the cookie by which this browser is known for this user from now on."""
        key = user.browser_key or known_browsers.key_for(hot, user.user_id)
        return known_browsers.renewed(cookie, user.user_id, key, self.now())


def masked(name: str) -> str:
    """A name nobody has, as the audit may keep it: people type passwords into the wrong box."""
    try:
        login = parse(name)
    except InvalidLogin:
        return f"({len(name)} characters)"
    tail = f"@{login.domain}" if _DOMAIN.fullmatch(login.domain) else ""
    return f"{login.name[:_SHOWN]}…{tail}"
