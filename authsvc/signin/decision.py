"""The sign-in decision. Pure, over ports.

    which user → throttle → directory or local → admission → outcome

Unknown name, wrong password and no access are one outcome, `Denied`, with the same words, and
`authsvc.signin.response_delay` gives them the same time; a name that has no account to ask about
costs a decoy bind as nobody, which locks nobody out. Only who proved the password learns more: that
it has expired or must be changed. `DirectoryUnavailable` says that nobody's password could be
checked just now.

The throttle tells nobody who exists, either. It counts every spelling of a name on one key, real or
invented. A person's own key, which all their names share, is never the reason of `RateLimited`:
where only that is used up, the attempt is refused as a wrong password is, without asking.

The rules, in the order in which they hold:

* A name without its domain is refused before anything is asked, where the settings say so.
* A linked user: exactly one bind by the link's identity, nothing else.
* A user with a Kerauno password: that password, and no directory.
* Auto-Synchronization No: an active user whose email is that of exactly one account in scope signs
  in with that account's password, which links them. An administrator is never linked so: the
  proven claim is kept for an administrator to confirm.
* Everyone else is not let in.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from authsvc.signin.directory_connection import OpenDirectory
from authsvc.signin.outcomes import (
    Attempt,
    Authenticated,
    Denied,
    DirectoryUnavailable,
    MustChange,
    NameIncomplete,
    Outcome,
    RateLimited,
    Reason,
    Verdict,
)
from authsvc.signin.ports import Budgets, Directories, Records
from authsvc.signin.response_delay import ResponseDelay
from dirclient.config.ports import Identity
from dirclient.model import errors
from dirclient.model.deadline import time_limit
from dirclient.model.directory_objects import Guid, Login, LoginForm, Person
from dirclient.model.login_name import InvalidLogin, parse
from dirclient.operations.bind import is_blank_password
from kerauno.accounts import links
from kerauno.base.errors import KeyProblem, Throttled
from kerauno.base.lookup_keys import lookup_key
from kerauno.base.passwords import password_is
from kerauno.signin.throttle import Reservation, guid_of, hollow_key, name_key, person_key
from kerauno.signin.user_lookup import SignInUser


class _State(NamedTuple):
    """One attempt as far as it has come."""

    attempt: Attempt
    login: Login | None
    user: SignInUser | None
    directory: OpenDirectory | None
    fault: str  # why the directory cannot be used, for an administrator; empty: it can
    slot: Reservation | None = None

    def under_way(self, slot: Reservation) -> _State:
        """This attempt, let through."""
        return _State(self.attempt, self.login, self.user, self.directory, self.fault, slot)


class _RateLimitReached(Exception):
    """The attempts of the name or the address are used up."""

    def __init__(self, case: _State, error: Throttled) -> None:
        super().__init__()
        self.case = case
        self.error = error


class _PersonLimitReached(Exception):
    """The person's attempts are used up under other names; `case` goes on as nobody's."""

    def __init__(self, case: _State) -> None:
        super().__init__()
        self.case = case


class SignIn:
    """The decision, with its ports. Safe to share by threads."""

    def __init__(
        self, records: Records, directories: Directories, budgets: Budgets, pace: ResponseDelay
    ) -> None:
        self._records = records
        self._directories = directories
        self._budgets = budgets
        self._pace = pace

    def decide(self, attempt: Attempt) -> Outcome:
        """Return who this is, or why they are not let in. Raises DatabaseUnavailable.

        `Authenticated` leaves its slot open: who acts on it settles it, in the same transaction.
        """
        started = self._pace.start()
        try:
            outcome = self._decide(attempt)
        except _RateLimitReached as full:
            code = self._records.note_throttled(attempt, full.error, user=full.case.user)
            return RateLimited(full.error.retry_after, code)
        if isinstance(outcome, Denied):
            self._pace.hold(started, slow=outcome.local)
        return outcome

    def change_directory_password(self, attempt: Attempt, new: str) -> Outcome:
        """Change a directory password: prove the old one, change it, and prove the new one.

        `Authenticated` as from `decide` once the directory took the new password; `MustChange` with
        `rejected` when it did not. Costs one bind before and one after the change, and a look at
        when the directory says that it was. Everything that was signed in with the old password
        ends, even if the new one cannot be proven just now.
        """
        first = self.decide(attempt)
        if isinstance(first, Authenticated):
            if first.method != "directory":
                return first
            self._records.give_back(first.slot)
            directory, identity = self._directory_of(first), first.identity
            user_id: int | None = first.user.user_id
        elif isinstance(first, MustChange):
            directory, identity, user_id = first.directory, first.identity, first.user_id
        else:
            return first
        assert directory is not None
        try:
            directory.client.change_password(identity, attempt.password, new)
        except errors.PasswordRejected as no:
            return MustChange(False, identity, directory, rejected=no.reason)
        except errors.Refused:
            return MustChange(False, identity, directory, rejected="other")
        except errors.DirectoryError as why:
            return self._cannot_ask(_State(attempt, None, None, directory, ""), why)
        if user_id is not None:
            when = self._password_set(directory, identity.guid)
            self._records.password_changed(user_id, identity.guid, when)
        return self.decide(replace(attempt, password=new))

    @staticmethod
    def _password_set(directory: OpenDirectory, guid: Guid) -> datetime | None:
        """When the password was set, as the sync service will read it too; None if unknown."""
        try:
            return directory.client.find_guid(guid).password_set
        except errors.DirectoryError:
            return None

    # -- which user

    def _decide(self, attempt: Attempt) -> Outcome:
        try:
            login = parse(attempt.name)
        except InvalidLogin as why:
            return self._not_a_name(attempt, str(why))
        user = self._records.find(login)
        directory, fault = self._find_directory(user)
        case = _State(attempt, login, user, directory, fault)
        full_name_wanted = directory is not None and not directory.login_without_domain
        if full_name_wanted and login.form is not LoginForm.EMAIL:
            return NameIncomplete()
        try:
            case = self._drop_foreign_domain(case, login)
        except errors.DirectoryError as why:
            return self._cannot_ask(case, why)
        user = case.user
        try:
            if user is not None and user.guid is not None:
                return self._linked(case, user)
            if user is not None and user.password_hash is not None:
                return self._local(case, user)
            return self._unlinked(case)
        except _PersonLimitReached as full:
            if full.case.directory is None:
                return self._refuse(full.case, Reason.USED_UP)
            return self._refuse_after_decoy_bind(full.case, Reason.USED_UP)

    @staticmethod
    def _drop_foreign_domain(case: _State, login: Login) -> _State:
        """OTHER\\john is nobody's name here: the same account name in another domain."""
        if login.form is not LoginForm.DOWN_LEVEL or case.user is None or case.directory is None:
            return case
        ours = case.directory.client.is_domain(login.domain)
        return case if ours else case._replace(user=None)

    def _find_directory(self, user: SignInUser | None) -> tuple[OpenDirectory | None, str]:
        try:
            if user is not None and user.directory_id is not None:
                saved = (user.directory_id, user.directory_version or 0)
                return self._directories.at(saved), ""
            return self._directories.current(), ""
        except (errors.DirectoryError, KeyProblem) as why:
            return None, str(why) or type(why).__name__

    def _directory_of(self, right: Authenticated) -> OpenDirectory | None:
        return self._find_directory(right.user)[0]

    def _take(self, case: _State, person: str = "") -> _State:
        """Let the attempt through, for its name and the person. Raises _Full, _UsedUp."""
        attempt, user = case.attempt, case.user
        account = name_key(case.login.name if case.login else attempt.name[:512])
        if is_blank_password(
            attempt.password
        ):  # no guess, of which no directory hears: counted apart
            account, person = hollow_key(account), ""
        budget = self._budgets.of(case.directory)
        known = user is not None and self._records.is_known(attempt, user)
        if known:
            budget = budget.with_reserve()
        for settled in (False, True):
            try:
                slot = self._records.take(account, person, attempt.address, budget, known=known)
                return case.under_way(slot)
            except Throttled as full:
                if full.scope != "person":
                    raise _RateLimitReached(case, full) from full
                if not settled and self._settle(case, person, full.window):
                    continue
                self._records.note_throttled(attempt, full, user=user)
                break
        try:
            slot = self._records.take(account, "", attempt.address, budget, known=known)
        except Throttled as full:
            raise _RateLimitReached(case, full) from full
        raise _PersonLimitReached(case.under_way(slot))

    def _settle(self, case: _State, person: str, window: timedelta) -> bool:
        """Have the directory say how attempts of this person ended of which nobody else knows."""
        if case.directory is None or not self._records.is_unsettled(person):
            return False
        guid = guid_of(person)
        try:
            wrong = case.directory.client.wrong_passwords(Guid(guid), window)
        except errors.DirectoryError:
            return False  # they count as wrong until it can be asked
        self._records.settle(person, wrong)
        return True

    # -- the ways to prove a password

    def _linked(self, case: _State, user: SignInUser) -> Outcome:
        assert user.guid is not None
        case = self._take(case, person_key(guid=user.guid))
        if case.directory is None:
            return self._cannot_ask(case, case.fault)
        if not user.active or user.blocked:
            return self._refuse_after_decoy_bind(
                case, Reason.INACTIVE if not user.active else Reason.BLOCKED
            )
        identity = Identity(Guid(user.guid), user.dn or "")
        return self._ask(case, case.directory, user, identity)

    def _local(self, case: _State, user: SignInUser) -> Outcome:
        case = self._take(case, person_key(user_id=user.user_id))
        if not password_is(user.password_hash, case.attempt.password):
            return self._refuse(case, Reason.WRONG_PASSWORD, Verdict.WRONG, local=True)
        if not user.active or user.blocked:
            reason = Reason.INACTIVE if not user.active else Reason.BLOCKED
            return self._refuse(case, reason, Verdict.CORRECT, local=True)
        assert case.slot is not None
        return Authenticated(user, "local", case.slot, Identity(Guid(""), ""))

    def _unlinked(self, case: _State) -> Outcome:
        """Nobody is linked by this name: the first sign-in of a user, or no user at all."""
        user, directory = case.user, case.directory
        case = self._take(case)
        if directory is None:
            if case.fault:
                return self._cannot_ask(case, case.fault)
            return self._refuse(case, Reason.UNKNOWN if user is None else Reason.NO_WAY_IN)
        if user is not None and not (user.active and not user.blocked):
            return self._refuse_after_decoy_bind(case, Reason.INACTIVE)
        if directory.auto_sync:
            return self._refuse_after_decoy_bind(
                case, Reason.UNKNOWN if user is None else Reason.NOT_LINKED
            )
        try:
            with time_limit(directory.profile.sign_in_timeout):  # look-up and bind together
                return self._first_time(case, directory)
        except errors.NotFound:
            return self._refuse_after_decoy_bind(
                case, Reason.UNKNOWN if user is None else Reason.NO_MATCH
            )
        except errors.Ambiguous as several:
            return self._refuse_after_decoy_bind(
                case, Reason.AMBIGUOUS, note="; ".join(several.dns)
            )
        except errors.DirectoryError as why:
            return self._cannot_ask(case, why)

    def _first_time(self, case: _State, directory: OpenDirectory) -> Outcome:
        """Find the one account of this user, for whom the password then counts."""
        assert case.login is not None
        assert case.slot is not None
        user = case.user
        person = directory.client.find(parse(user.email) if user else case.login)
        owner = self._records.linked_to(directory.id, person.guid)
        if owner is not None and user is None:
            self._records.give_back(case.slot)
            return self._linked(case._replace(user=owner), owner)
        if user is None and person.login:
            user = self._records.by_email(person.login)
        if user is None or owner is not None or not _may_link(user, person):
            return self._refuse_after_decoy_bind(case, Reason.NO_MATCH)
        case = case._replace(user=user)
        if self._records.held_out(directory.id, person.guid):
            return self._refuse_after_decoy_bind(case, Reason.HELD_OUT)
        slot = case.slot
        assert slot is not None
        self._records.give_back(slot)
        case = self._take(case, person_key(guid=person.guid))
        outcome = self._ask(case, directory, user, Identity(person.guid, person.dn))
        if user.role == "admin" and isinstance(outcome, (Authenticated, MustChange)):
            self._records.propose(user, directory.id, person.guid)
            return self._refuse(case, Reason.ADMINISTRATOR, Verdict.CORRECT)
        if isinstance(outcome, Authenticated):
            return replace(outcome, link=_link(directory.id, person))
        return outcome

    def _ask(
        self, case: _State, directory: OpenDirectory, user: SignInUser, identity: Identity
    ) -> Outcome:
        """The one bind."""
        assert case.slot is not None
        try:
            directory.client.authenticate(identity, case.attempt.password)
        except (errors.PasswordExpired, errors.MustChangePassword) as no:
            expired = isinstance(no, errors.PasswordExpired)
            reason = Reason.PASSWORD_EXPIRED if expired else Reason.MUST_CHANGE
            code = self._note(case, reason, Verdict.CORRECT_BUT_REFUSED, guid=identity.guid)
            return MustChange(expired, identity, directory, code=code, user_id=user.user_id)
        except errors.PasswordWasRight as no:
            return self._refuse(
                case, _REASONS[type(no)], Verdict.CORRECT_BUT_REFUSED, guid=identity.guid
            )
        except errors.Refused as no:
            reason = _REASONS.get(type(no), Reason.WRONG_PASSWORD)
            return self._refuse(case, reason, Verdict.WRONG, guid=identity.guid)
        except errors.DirectoryError as why:
            return self._cannot_ask(case, why)
        return Authenticated(user, "directory", case.slot, identity)

    def _refuse_after_decoy_bind(self, case: _State, reason: Reason, note: str = "") -> Outcome:
        """Refuse, after a bind that costs what a wrong password costs and is nobody's.

        The password of the bind is made up too: none leaves for where it is not due.
        """
        assert case.directory is not None
        try:
            if not is_blank_password(case.attempt.password):
                case.directory.client.authenticate(Identity.nobody(), secrets.token_urlsafe(12))
        except errors.Refused:
            pass  # what else: nobody has no password
        except errors.DirectoryError as why:
            return self._cannot_ask(case, why)
        return self._refuse(case, reason, note=note)

    # -- how it ends

    def _not_a_name(self, attempt: Attempt, why: str) -> Outcome:
        case = _State(attempt, None, None, None, "")
        case = self._take(case)
        return self._refuse(case, Reason.NOT_A_NAME, note=why)

    def _refuse(
        self,
        case: _State,
        reason: Reason,
        settled: Verdict = Verdict.WRONG,
        *,
        guid: str | None = None,
        note: str = "",
        local: bool = False,
    ) -> Denied:
        return Denied(reason, self._note(case, reason, settled, guid=guid, note=note), local)

    def _cannot_ask(self, case: _State, why: errors.DirectoryError | str) -> DirectoryUnavailable:
        broke_off = isinstance(why, errors.Unavailable) and why.was_sent
        settled = Verdict.UNKNOWN if broke_off else Verdict.NOT_CHECKED
        reason = Reason.UNAVAILABLE
        if isinstance(why, (str, errors.Misconfigured)):
            reason = Reason.MISCONFIGURED
        return DirectoryUnavailable(
            reason, self._note(case, reason, settled, note=str(why)), str(why)
        )

    def _note(
        self,
        case: _State,
        reason: Reason,
        settled: Verdict,
        *,
        guid: str | None = None,
        note: str = "",
    ) -> str:
        guid = guid or (case.user.guid if case.user else None)
        return self._records.refuse(
            case.attempt, reason, case.slot, settled, user=case.user, guid=guid, note=note
        )


_REASONS: dict[type[errors.Refused], Reason] = {
    errors.BadCredentials: Reason.WRONG_PASSWORD,
    errors.Locked: Reason.LOCKED,
    errors.Disabled: Reason.DISABLED,
    errors.AccountExpired: Reason.EXPIRED,
    errors.HoursRestricted: Reason.HOURS,
    errors.WorkstationRestricted: Reason.WORKSTATION,
    errors.LogonTypeDenied: Reason.LOGON_TYPE,
}


def _may_link(user: SignInUser, person: Person) -> bool:
    """Return whether a proven password of this person may open this user: the same email, nobody
    else's.

    A user with a Kerauno password keeps that, and one linked to someone else keeps the link.
    """
    return (
        user.active
        and not user.blocked
        and user.guid is None
        and user.password_hash is None
        and lookup_key(person.login or "") == lookup_key(user.email)
    )


def _link(directory_id: int, person: Person) -> links.LinkedAccount:
    return links.LinkedAccount(
        directory_id,
        person.guid,
        person.dn,
        person.principal_name,
        person.account_name,
        person.password_set,
    )
