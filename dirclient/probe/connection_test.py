"""Test AD Credentials: everything that must hold, in a fixed order, each step with its time.

The first step that fails says what to do and ends the test. A step that passes may still carry a
warning. Steps that mean nothing for a kind of directory are left out.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from datetime import datetime

from dirclient.config import presets
from dirclient.config.profile import Profile
from dirclient.model.assess import ConflictCounter, assess
from dirclient.model.directory_objects import DepartmentKind, Snapshot, Step
from dirclient.model.errors import DirectoryError, Incomplete, Misconfigured, Unavailable
from dirclient.operations.lockout_policy import FOREVER, LdapPolicies
from dirclient.operations.rootdse import RootDse, Roots
from dirclient.operations.search_base import BaseKind, DirectoryResolver
from dirclient.probe import service_account_rights
from dirclient.probe.server_steps import Passed, Reaching
from dirclient.snapshot.change_follower import follow
from dirclient.snapshot.read_state import Picture
from dirclient.snapshot.reader import DirectoryReader, Reading, utc_now

log = logging.getLogger(__name__)

LEAST_LEVEL = 4
"""Functional level of Windows Server 2008 R2 (MS-ADTS 6.1.4.3)."""
CLOCK_SECONDS = 30.0
"""Clocks further apart than this deserve a warning; at 300 Kerberos stops working."""

_LEVELS = {
    0: "Windows 2000",
    1: "Windows Server 2003 interim",
    2: "Windows Server 2003",
    3: "Windows Server 2008",
    4: "Windows Server 2008 R2",
    5: "Windows Server 2012",
    6: "Windows Server 2012 R2",
    7: "Windows Server 2016",
    10: "Windows Server 2025",
}


class DirectoryProber:
    """`dirclient.config.ports.Prober` over LDAP, on connections of its own."""

    def __init__(self, profile: Profile, clock: Callable[[], datetime] = utc_now) -> None:
        self._profile = profile
        self._clock = clock

    def probe(self, judge: ConflictCounter = assess) -> Iterator[Step]:
        """See `dirclient.config.ports.Prober`."""
        faults = self._profile.faults()
        if faults:
            first = faults[0]
            summary = " ".join(fault.message for fault in faults)
            yield Step("settings", False, summary, 0.0, first.field, first.remedy)
            return
        with contextlib.closing(_Probe(self._profile, self._clock, judge)) as run:
            for name, check in run.checks():
                started = time.perf_counter()
                try:
                    passed = check()
                except DirectoryError as why:
                    yield _failed(name, why, time.perf_counter() - started)
                    return
                except Exception:
                    log.exception("the connection test broke at %s", name)
                    yield Step(
                        name,
                        False,
                        "The test itself failed here.",
                        time.perf_counter() - started,
                        remedy="Look into the service's log, and report this.",
                    )
                    return
                if passed is not None:
                    yield Step(
                        name=name,
                        ok=True,
                        summary=passed.summary,
                        seconds=time.perf_counter() - started,
                        field=passed.field,
                        remedy=passed.warning,
                        warning=bool(passed.warning),
                        data=passed.data,
                    )


def _failed(name: str, why: DirectoryError, seconds: float) -> Step:
    field, remedy = "", "Try again later."
    if isinstance(why, Misconfigured):
        field, remedy = why.field, why.remedy
    elif isinstance(why, Unavailable):
        field = "servers"
        remedy = "Check the address, the port and the firewalls on the way."
    elif isinstance(why, Incomplete):
        field = "username"
        remedy = (
            "Let the service account read everything below the search DNs, and raise the server's "
            "limits for it where it has any."
        )
    return Step(name, False, str(why), seconds, field, remedy)


class _Probe(Reaching):
    """One test. Each check returns what it found, None where it means nothing, or raises."""

    def __init__(
        self, profile: Profile, clock: Callable[[], datetime], judge: ConflictCounter
    ) -> None:
        super().__init__(profile, clock)
        self.judge = judge
        self.is_ad = presets.of(profile).is_ad
        self.roots = Roots()
        self.reading: Reading
        self.snapshot: Snapshot

    def checks(self) -> tuple[tuple[str, Callable[[], Passed | None]], ...]:
        """Names and checks in their order."""
        return (
            ("resolve", self.resolve),
            ("tcp", self.tcp),
            ("tls", self.tls),
            ("bind", self.bind),
            ("level", self.level),
            ("user_search_dn", self.user_search_dn),
            ("department_search_dn", self.department_search_dn),
            ("people", self.people),
            ("departments", self.departments),
            ("rights", self.rights),
            ("clock", self.clocks),
            ("lockout", self.lockout),
        )

    # -- what is there

    def level(self) -> Passed | None:
        """The domain's functional level (AD), and that the directory is of the chosen kind."""
        level = self.root().level
        if not self.is_ad:
            if level >= 0:
                raise Misconfigured(
                    "The server is an Active Directory.",
                    field="preset",
                    remedy="Choose Active Directory as directory type.",
                )
            return None
        if level < 0:
            raise Misconfigured(
                "The server does not tell a functional level: it is no Active Directory.",
                field="preset",
                remedy="Choose OpenLDAP as directory type.",
            )
        name = _LEVELS.get(level, f"level {level}")
        if level < LEAST_LEVEL:
            raise Misconfigured(
                f"The domain's functional level is {level} ({name}); {LEAST_LEVEL} is needed.",
                field="servers",
                remedy="Raise the domain's functional level to Windows Server 2008 R2 or above.",
            )
        return Passed(f"Functional level {level} ({name}).", data={"level": level})

    def root(self) -> RootDse:
        """A look at the server."""
        return self.roots.look(self.connection)

    def user_search_dn(self) -> Passed:
        """The User Search DN exists; what it is and whom it holds."""
        resolver = DirectoryResolver(self.profile, self.pool, self.roots)
        reader = DirectoryReader(
            self.profile, self.pool, self.roots, resolver, follow, clock=self.clock
        )
        self.reading = reader.begin(self.connection)
        picture = self.reading.people()
        base = picture.users
        summary, data = _describe_people(picture)
        typed = self.profile.user_search_dn.strip()
        prefix = "" if typed == base.dn else f"{base.dn}: "
        data |= {"dn": base.dn, "kind": base.kind.value}
        warning = "" if picture.people else "Nobody is found there: enter another search DN."
        return Passed(f"{prefix}{summary}.", warning, "user_search_dn" if warning else "", data)

    def department_search_dn(self) -> Passed | None:
        """The Department Search DN exists, and what it is."""
        if not self.profile.department_search_dn.strip():
            return None
        picture = self.reading.departments()
        if (gone := picture.unread) is not None:
            raise Misconfigured(gone.message, field=gone.field, remedy=gone.remedy)
        base = picture.departments
        if base is None:
            return None
        kind = _kind_words(base.kind, base.security)
        typed = self.profile.department_search_dn.strip()
        prefix = "" if typed == base.dn else f"{base.dn}: "
        warning = ""
        if base.kind is BaseKind.GROUP and not base.security:
            warning = "Only security groups can be departments: change the group's type."
        return Passed(
            f"{prefix}{kind}.",
            warning,
            "department_search_dn" if warning else "",
            {"dn": base.dn, "kind": base.kind.value},
        )

    def people(self) -> Passed:
        """How many people there are, and how many could be built."""
        self.snapshot = self.reading.finish()
        assessment = self.judge(self.snapshot.people.values())
        sentences = assessment.sentences()
        summary = f"{assessment.people} people, {assessment.free} free of conflicts"
        summary += f": {', '.join(sentences)}." if sentences else "."
        warning = " ".join(self.snapshot.warnings)
        data: dict[str, object] = {
            "people": assessment.people,
            "free_of_conflicts": assessment.free,
            "conflicts": dict(assessment.conflicts),
            "left": assessment.left,
            "operations": self.snapshot.operations,
        }
        return Passed(summary, warning, "user_search_dn" if warning else "", data)

    def departments(self) -> Passed | None:
        """How many departments there are."""
        if not self.profile.department_search_dn.strip():
            return None
        departments = self.snapshot.departments.values()
        groups = sum(department.kind is DepartmentKind.GROUP for department in departments)
        filled = sum(bool(department.members) for department in departments)
        what = "security groups" if self.is_ad else "groups"
        warning = (
            "" if departments else "No group and no OU is found there: enter another search DN."
        )
        return Passed(
            f"{len(departments)} departments: {groups} {what}, {len(departments) - groups} OUs; "
            f"{filled} of them with people.",
            warning,
            "department_search_dn" if warning else "",
            {
                "departments": len(departments),
                "groups": groups,
                "ous": len(departments) - groups,
                "with_people": filled,
            },
        )

    # -- how it is run

    def rights(self) -> Passed | None:
        """Return what the service account may not read, and whether it may do too much (AD)."""
        if not self.is_ad:
            return None
        root = self.root()
        account = service_account_rights.find(self.connection, root, self.profile.username)
        summary, warnings = "It may read people, groups and their members", []
        data: dict[str, object] = {"deletions_visible": self.snapshot.deletions_visible}
        if self.snapshot.deletions_visible:
            summary += ", and what was deleted"
        else:
            commands = service_account_rights.grant_commands(root, account, self.profile.username)
            data["grant"] = list(commands)
            summary += ", but not what was deleted"
            warnings.append(
                "Deletions are noticed within a minute instead of seconds. To see them at once, "
                f"run as a domain administrator: {' && '.join(commands)}"
            )
        powers = service_account_rights.powers(self.connection, account) if account else ()
        if powers:
            data["powers"] = list(powers)
            warnings.append(
                f"The service account is a member of {', '.join(powers)}: reading takes no more "
                "than an ordinary account. Use one."
            )
        return Passed(f"{summary}.", " ".join(warnings), "username" if warnings else "", data)

    def clocks(self) -> Passed | None:
        """How far the directory's clock is from ours."""
        offset = self.root().offset
        if offset is None:
            return None
        apart = abs(offset)
        warning = ""
        if apart > CLOCK_SECONDS:
            warning = "Set both clocks by the same time server: Kerberos allows five minutes."
        where = "ahead of" if offset > 0 else "behind"
        summary = (
            "The clocks agree."
            if apart < 1.5
            else f"The directory's clock is {apart:.0f} s {where} this machine's."
        )
        return Passed(summary, warning, "servers" if warning else "", {"offset": round(offset, 1)})

    def lockout(self) -> Passed | None:
        """When the directory locks accounts."""
        policy = LdapPolicies(self.profile, self.pool, self.roots).lockout_policy()
        data = {
            "threshold": policy.threshold,
            "window": policy.window,
            "duration": policy.duration,
            "source": policy.source,
        }
        if policy.threshold == 0:
            return Passed("Wrong passwords never lock an account.", data=data)
        until = (
            "until an administrator unlocks it"
            if policy.duration >= FOREVER
            else f"for {_minutes(policy.duration)}"
        )
        warning = ""
        if policy.threshold < 2:
            warning = "One wrong password locks an account: nothing can stay below that."
        return Passed(
            f"{policy.threshold} wrong passwords within {_minutes(policy.window)} lock an account "
            f"{until} ({policy.source}). Kerauno stops before.",
            warning,
            "servers" if warning else "",
            data,
        )


def _kind_words(kind: BaseKind, security: bool) -> str:
    if kind is BaseKind.GROUP:
        return "security group" if security else "distribution group"
    return {BaseKind.OU: "OU", BaseKind.CONTAINER: "container"}.get(kind, "the whole domain")


def _describe_people(picture: Picture) -> tuple[str, dict[str, object]]:
    """Such as: security group, 143 people, 12 of them nested, 3 by primary group."""
    base = picture.users
    count = len(picture.people)
    words = [_kind_words(base.kind, base.security), f"{count} people"]
    data: dict[str, object] = {"people": count}
    if base.kind is BaseKind.GROUP:
        direct = set(map(picture.person_of, picture.groups[base.guid].members))
        primary = picture.primary.get(base.rid, set()) - direct if base.rid else set()
        nested = count - len(direct - {None}) - len(primary)
        data |= {"nested": nested, "primary": len(primary)}
        if nested:
            words.append(f"{nested} of them nested")
        if primary:
            words.append(f"{len(primary)} by primary group")
    return ", ".join(words), data


def _minutes(seconds: int) -> str:
    if seconds >= FOREVER:
        return "any time"
    return f"{seconds // 60} minutes" if seconds >= 120 else f"{seconds} seconds"
