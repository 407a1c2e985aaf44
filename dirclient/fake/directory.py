"""A whole directory in memory that implements every Protocol, for tests of the services.

It keeps the promises of `dirclient.config.ports`, which the contract suite proves on it and on real
servers alike, and has switches for what real servers do on bad days. No network, no waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta

from dirclient.config.ports import ChangeSignal, Identity, Progress
from dirclient.fake.state import BASE, Account, FakeStore
from dirclient.mapping.replication_conflicts import in_conflict
from dirclient.model.assess import ConflictCounter, assess
from dirclient.model.directory_objects import (
    AccountState,
    Cursor,
    DirectoryDepartment,
    Guid,
    Knowledge,
    LockoutPolicy,
    Login,
    LoginForm,
    Person,
    ServerState,
    Snapshot,
    Step,
    Whereabouts,
)
from dirclient.model.errors import (
    AccountExpired,
    Ambiguous,
    BadCredentials,
    Disabled,
    Incomplete,
    Locked,
    Misconfigured,
    MustChangePassword,
    NotFound,
    PasswordExpired,
    PasswordRejected,
    PasswordWasRight,
    Unavailable,
)
from dirclient.model.login_name import fold, matching
from dirclient.operations.bind import is_blank_password
from dirclient.operations.lockout_policy import strictest
from dirclient.wire import dn_syntax


class FakeDirectory(FakeStore):
    """Fill it with `add_person` and `add_department`; then it is a directory.

    Switches: `down` (no server can be reached), `hung` (it takes a request and its time is over;
    without the waiting), `encrypted`, `incomplete` (reads do not reach their end), `unread` (the
    Department Search DN is gone), `deletions_visible` (whether `catch_up` sees them),
    `on_operation` (called with the name of each request: raise, wait or count there). `binds`
    counts binds, `operations` all requests.
    """

    # -- Servers

    @property
    def servers(self) -> tuple[ServerState, ...]:
        """See `Servers`."""
        return (self.server,)

    @property
    def refused_for(self) -> float | None:
        """See `Servers`."""
        return self.service_refused_for

    def watch_servers(self, callback: Callable[[ServerState], None]) -> None:
        """See `Servers`."""
        self._watchers.append(callback)

    # -- Authenticator

    def authenticate(self, identity: Identity, password: str) -> None:
        """See `Authenticator`."""
        if is_blank_password(password):
            raise BadCredentials()
        self._operation("bind")
        with self._lock:
            self.binds += 1
            account = self._accounts.get(identity.guid)
            if account is None:
                raise BadCredentials()
            self._judge(account, password)

    def _judge(self, account: Account, password: str) -> None:
        """In AD's order: locked before all, then the password, then what else is in the way."""
        policy = account.policy or self.policy
        if account.person.locked or 0 < policy.threshold <= account.wrong:
            raise Locked(subcode="775")
        refusal = account.refusal
        if refusal is not None and not issubclass(refusal, PasswordWasRight):
            raise refusal()
        if account.password != password:
            account.wrong, account.wrong_at = account.wrong + 1, self._now()
            raise BadCredentials(subcode="52e")
        person = account.person
        if person.state is AccountState.DISABLED:
            raise Disabled(subcode="533")
        if person.state is AccountState.EXPIRED:
            raise AccountExpired(subcode="701")
        if refusal is not None:
            raise refusal()
        if person.must_change_password:
            raise MustChangePassword(subcode="773")
        account.wrong = 0

    def change_password(self, identity: Identity, old: str, new: str) -> None:
        """See `Authenticator`."""
        if not self.encrypted:
            raise PasswordRejected("The connection is not encrypted.", reason="insecure")
        if is_blank_password(old):
            raise PasswordRejected("The old password is wrong.", reason="old_password")
        if is_blank_password(new):
            raise PasswordRejected("The new password is empty.", reason="policy")
        self._operation("modify")
        with self._lock:
            account = self._accounts.get(identity.guid)
            if account is None:
                raise PasswordRejected("There is no such account.", reason="other")
            try:
                self._judge(account, old)
            except Locked as no:
                raise PasswordRejected(str(no), reason="locked", subcode=no.subcode) from no
            except BadCredentials as no:
                raise PasswordRejected(
                    "The old password is wrong.", reason="old_password", subcode=no.subcode
                ) from no
            except PasswordWasRight:
                pass
            if new == old or not self.accept_password(new):
                raise PasswordRejected("The rules are not met.", reason="policy")
            self._set_password(account, new)
            if account.refusal in (MustChangePassword, PasswordExpired):
                account.refusal = None

    # -- Finder, Policies

    def find(self, login: Login) -> Person:
        """See `Finder`."""
        self._operation("search")
        with self._lock:
            people = [a.person for a in self._accounts.values() if a.recognized]
        if login.form is LoginForm.DOWN_LEVEL and not self._named(login.domain):
            raise NotFound("No account in this domain.")
        matches = matching(people, login)
        if not matches:
            raise NotFound("No account matches.")
        if len(matches) > 1:
            raise Ambiguous(
                f"{len(matches)} accounts match.",
                dns=tuple(sorted(person.dn for person in matches)),
            )
        return matches[0]

    def find_guid(self, guid: Guid) -> Person:
        """See `Finder`."""
        self._operation("search")
        with self._lock:
            account = self._accounts.get(guid)
        if account is None or not account.recognized:
            raise NotFound("No account matches.")
        return account.person

    def is_domain(self, name: str) -> bool:
        """See `Finder`."""
        self._operation("search")
        return self._named(name)

    def _named(self, domain: str) -> bool:
        return fold(domain) in {fold(self.netbios), fold(self.dns_domain)}

    def lockout_policy(self, guid: Guid | None = None) -> LockoutPolicy:
        """See `Policies`."""
        self._operation("search")
        with self._lock:
            if guid is not None:
                account = self._accounts.get(guid)
                if account is not None and account.policy is not None:
                    return account.policy
                return self.policy
            own = (account.policy for account in self._accounts.values())
            return strictest((self.policy, *filter(None, own)))

    def wrong_passwords(self, guid: Guid, window: timedelta) -> int:
        """See `Policies`."""
        self._operation("search")
        with self._lock:
            account = self._accounts.get(guid)
        if account is None:
            raise NotFound("No account matches.")
        return account.wrong if self._now() - account.wrong_at < window else 0

    # -- Reader, Watcher

    def read(self, progress: Progress | None = None, after: Collection[str] = ()) -> Snapshot:
        """See `Reader`."""
        self._operation("search")
        if self.incomplete:
            raise Incomplete("The read was cut short.", read=1)
        if self.people_lost is not None:
            raise self.people_lost
        with self._lock:
            people = {
                guid: account.person
                for guid, account in self._accounts.items()
                if account.recognized
            }
            snapshot = Snapshot(
                people=people,
                departments=self._listed(people) if self.unread is None else {},
                unlisted=self._unlisted(people) if self.unread is None else {},
                unread=self.unread,
                cursor=Cursor(self.server_id, self.usn),
                read_at=self._now(),
                operations=1,
                deletions_visible=self.deletions_visible,
                server=self.server.address,
                vector=dict(self.vector) if {*after} - {self.server_id} or self.read_only else {},
                sources=dict(self.vector) if self.read_only else {},
            )
        if progress is not None:
            progress("people", len(people), len(people))
        return snapshot

    def _listed(self, people: Mapping[Guid, Person]) -> dict[Guid, DirectoryDepartment]:
        recognized = self._recognized(people)
        if not self.advanced:
            return recognized
        return {guid: department for guid, department in recognized.items() if department.members}

    def _unlisted(self, people: Mapping[Guid, Person]) -> dict[Guid, DirectoryDepartment]:
        listed = self._listed(people)
        return {
            g: department for g, department in self._recognized(people).items() if g not in listed
        }

    def _recognized(self, people: Mapping[Guid, Person]) -> dict[Guid, DirectoryDepartment]:
        """The departments with those of their members who are recognized."""
        return {
            guid: replace(
                department,
                members=department.members & people.keys(),
                via={who: path for who, path in department.via.items() if who in people},
            )
            for guid, department in self._departments.items()
            if not in_conflict(department.dn)
        }

    def ring(self, cursor: Cursor) -> ChangeSignal:
        """See `Watcher`."""
        self._operation("search")
        with self._lock:
            cursor_now = Cursor(self.server_id, self.usn)
            return ChangeSignal(
                changed=(cursor_now.server_id, cursor_now.usn) != (cursor.server_id, cursor.usn),
                server_id=cursor_now.server_id,
                usn=cursor_now.usn,
            )

    def catch_up(self, snapshot: Snapshot) -> Snapshot | None:
        """See `Watcher`."""
        fresh = self.read()
        if fresh.cursor.server_id != snapshot.cursor.server_id or fresh.unread != snapshot.unread:
            return None
        if fresh.cursor == snapshot.cursor:
            return snapshot
        if self.deletions_visible:
            return fresh
        with self._lock:
            gone = {g: p for g, p in snapshot.people.items() if g not in self._accounts}
            lost = {g: d for g, d in snapshot.departments.items() if g not in self._departments}
        return replace(
            fresh, people={**gone, **fresh.people}, departments={**lost, **fresh.departments}
        )

    def knowledge(self) -> Knowledge:
        """See `Watcher`."""
        self._operation("search")
        with self._lock:
            cursor = Cursor(self.server_id, self.usn)
            return Knowledge(cursor, dict(self.vector), self.server.address)

    def sweep(self, snapshot: Snapshot) -> Snapshot:
        """See `Watcher`."""
        fresh = self.read()
        people = {g: p for g, p in snapshot.people.items() if g in fresh.people}
        departments = {
            g: replace(d, members=d.members & people.keys())
            for g, d in snapshot.departments.items()
            if g in fresh.departments
        }
        if len(people) == len(snapshot.people) and len(departments) == len(snapshot.departments):
            return snapshot
        return replace(snapshot, people=people, departments=departments)

    # -- Locator

    def locate(self, guids: Collection[Guid]) -> Mapping[Guid, Whereabouts]:
        """See `Locator`. Deleted people leave a tombstone where deletions are visible."""
        self._operation("search")
        with self._lock:
            return {guid: self._whereabouts(guid) for guid in guids}

    def _whereabouts(self, guid: Guid) -> Whereabouts:
        account = self._accounts.get(guid)
        if account is not None:
            person = account.person
            return Whereabouts(False, person.changed, account.expires, person.state)
        return Whereabouts(True, self._deleted.get(guid) if self.deletions_visible else None)

    # -- Resolver, Prober

    def resolve(self, text: str) -> str:
        """See `Resolver`."""
        self._operation("search")
        key = dn_syntax.key(text)
        for dn in self._places():
            if key in (dn_syntax.key(dn), fold(dn_syntax.name(dn))):
                return dn
        raise Misconfigured(
            f"{text!r} does not exist.",
            field="user_search_dn",
            remedy=f"Did you mean {next(iter(self._places()))}?",
        )

    def suggest(self, text: str, limit: int = 8) -> tuple[str, ...]:
        """See `Resolver`."""
        self._operation("search")
        return tuple(dn for dn in self._places() if fold(text) in fold(dn_syntax.name(dn)))[:limit]

    def _places(self) -> list[str]:
        with self._lock:
            dn_s = [department.dn for department in self._departments.values()]
        return [BASE, f"OU=Staff,{BASE}", f"OU=Departments,{BASE}", *dn_s]

    def probe(self, judge: ConflictCounter = assess) -> Iterator[Step]:
        """See `Prober`."""
        try:
            self._operation("bind")
        except Unavailable as gone:
            yield Step("tcp", False, str(gone), 0.0, field="servers", remedy="Start the server.")
            return
        yield Step("tcp", True, "The server answers.", 0.0)
        yield Step("bind", True, "The service account may sign in.", 0.0)
        try:
            snapshot = self.read()
        except (Incomplete, Unavailable) as torn:
            yield Step("people", False, str(torn), 0.0, remedy="Try again.")
            return
        if (missing := snapshot.unread) is not None:
            yield Step(
                "department_search_dn", False, missing.message, 0.0, missing.field, missing.remedy
            )
            return
        assessment, departments = judge(snapshot.people.values()), len(snapshot.departments)
        data = {"people": assessment.people, "free_of_conflicts": assessment.free}
        yield Step("people", True, f"{assessment.people} people.", 0.0, data=data)
        yield Step(
            "departments",
            True,
            f"{departments} departments.",
            0.0,
            data={"departments": departments},
        )

    def close(self) -> None:
        """There is nothing to close."""
