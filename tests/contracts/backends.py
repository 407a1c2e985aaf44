"""The directories that every contract is held against, behind one face for the tests.

Each `Backend` owns a place of its own in its directory; whom it adds there is in scope, whom it
adds elsewhere is not. `client` implements the Protocols of `dirclient.config.ports`.
"""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import ldap3
from ldap3.utils.dn import escape_rdn, safe_rdn

from dirclient.client import DirectoryClient
from dirclient.config.ports import Identity
from dirclient.config.profile import Profile
from dirclient.fake.directory import FakeDirectory
from dirclient.model.directory_objects import AccountState, Guid
from dirclient.model.errors import (
    AccountExpired,
    BadCredentials,
    Disabled,
    HoursRestricted,
    Locked,
    MustChangePassword,
    PasswordExpired,
    Refused,
    WorkstationRestricted,
)
from tests.servers.samba import SambaDC, Scratch
from tests.servers.slapd import Slapd

PASSWORD = "Welcome!2026"

# What a sign-in with the right password is answered, for each state an AD account can be in.
REFUSALS: dict[str, type[Refused]] = {
    "disabled": Disabled,
    "expired": AccountExpired,
    "disabled and expired": Disabled,
    "must change": MustChangePassword,
    "password expired": PasswordExpired,
    "no hours": HoursRestricted,
    "workstation": WorkstationRestricted,
    "protected": BadCredentials,
    "locked": Locked,
}


class Backend(ABC):
    """A directory with a place of its own for one test."""

    name: str
    is_ad = True
    down_level = "COMPANY"
    """A domain that a down-level name may carry."""

    def __init__(self) -> None:
        self.tag = secrets.token_hex(4)

    @property
    @abstractmethod
    def client(self) -> Any:
        """Return what is tested."""

    @abstractmethod
    def add(self, stem: str, *, in_scope: bool = True, **fields: Any) -> Identity:
        """Add a person: `login`, `first`, `last`, `extension`, `cn`, `password` as given."""

    @abstractmethod
    def set_state(self, identity: Identity, state: str) -> None:
        """Bring an account into one of the states of `REFUSALS`."""

    @abstractmethod
    def change(self, identity: Identity, *, first: str) -> None:
        """Change a person's first name."""

    @abstractmethod
    def leave(self, identity: Identity) -> None:
        """Move a person out of scope."""

    @abstractmethod
    def delete(self, identity: Identity) -> None:
        """Delete a person."""

    @abstractmethod
    def add_department(self, stem: str, members: Iterable[Identity]) -> Guid:
        """Add a group below the Department Search DN."""

    @abstractmethod
    def add_member(self, department: Guid, identity: Identity) -> None:
        """Put a person into a department."""

    def unique(self, stem: str) -> str:
        """An account name that no other test has."""
        return f"{stem}-{self.tag}"

    def email(self, stem: str) -> str:
        """The email that `add` gives."""
        return f"{self.unique(stem)}@company.com"

    @property
    def operations(self) -> int:
        """Requests that the client has sent."""
        count: int = self.client.operations
        return count

    def close(self) -> None:
        """Free what was taken."""
        self.client.close()


class FakeBackend(Backend):
    """The directory in memory."""

    name = "fake"

    def __init__(self) -> None:
        super().__init__()
        self.directory = FakeDirectory()

    @property
    def client(self) -> FakeDirectory:
        return self.directory

    def add(self, stem: str, *, in_scope: bool = True, **fields: Any) -> Identity:
        account = fields.pop("account", self.unique(stem))
        given = {
            "login": fields.pop("login", self.email(stem)),
            "first_name": fields.pop("first", stem),
            "last_name": fields.pop("last", "Test"),
            "extension": fields.pop("extension", None),
            "password": fields.pop("password", PASSWORD),
        }
        cn = fields.pop("cn", account)
        given["dn"] = f"CN={escape_rdn(cn)},OU={self.tag},DC=goodcompany,DC=local"
        if (principal := fields.pop("principal", None)) is not None:
            given["principal_name"] = principal
        if given["login"] is None:
            given["login"] = given.get("principal_name", f"{account}@goodcompany.local")
        person = self.directory.add_person(account, in_scope=in_scope, **given, **fields)
        return Identity(person.guid, person.dn)

    def change(self, identity: Identity, *, first: str) -> None:
        self.directory.change_person(identity.guid, first_name=first)

    def leave(self, identity: Identity) -> None:
        self.directory.set_scope(identity.guid, False)

    def delete(self, identity: Identity) -> None:
        self.directory.remove_person(identity.guid)

    def add_department(self, stem: str, members: Iterable[Identity]) -> Guid:
        guids = [one.guid for one in members]
        return self.directory.add_department(self.unique(stem), guids).guid

    def add_member(self, department: Guid, identity: Identity) -> None:
        present = self.directory.read().departments[department].members
        self.directory.change_department(department, members=present | {identity.guid})

    def set_state(self, identity: Identity, state: str) -> None:
        guid = identity.guid
        if "disabled" in state:
            self.directory.change_person(guid, state=AccountState.DISABLED)
        elif state == "expired":
            self.directory.expire(guid, datetime.now(UTC) - timedelta(days=1))
        elif state == "must change":
            self.directory.change_person(guid, must_change_password=True)
        elif state == "locked":
            self.directory.change_person(guid, locked=True)
        else:
            self.directory.refuse(guid, REFUSALS[state])


class SambaBackend(Backend):
    """An OU in a real domain, read by a plain service account over StartTLS."""

    name = "samba"

    def __init__(self, dc: SambaDC) -> None:
        super().__init__()
        self.dc = dc
        self.scratch = Scratch(dc)
        self.tag = self.scratch.tag
        self.inside = self.scratch.ou("Inside")
        self.outside = self.scratch.ou("Outside")
        self.shelf = self.scratch.ou("Departments")
        self._policies: list[str] = []
        self._client = self._looking_within(self.inside)

    def _looking_within(self, scope: str, **profile: Any) -> DirectoryClient:
        places = {"user_search_dn": scope, "department_search_dn": self.shelf}
        fields = self.dc.profile(**(places | profile))
        return DirectoryClient(Profile.model_validate(fields))

    @property
    def client(self) -> DirectoryClient:
        return self._client

    def look_within(self, scope: str, **profile: Any) -> None:
        """Let the client have another User Search DN."""
        self._client.close()
        self._client = self._looking_within(scope, **profile)

    def add(self, stem: str, *, in_scope: bool = True, **fields: Any) -> Identity:
        account = fields.pop("account", self.unique(stem))
        attributes: dict[str, Any] = {
            "mail": fields.pop("login", self.email(stem)),
            "givenName": fields.pop("first", stem),
            "sn": fields.pop("last", "Test"),
            "ipPhone": fields.pop("extension", None),
        }
        if (principal := fields.pop("principal", None)) is not None:
            attributes["userPrincipalName"] = principal
        dn = self.dc.add_user(
            account,
            self.inside if in_scope else self.outside,
            cn=fields.pop("cn", ""),
            password=fields.pop("password", PASSWORD),
            **attributes,
            **fields,
        )
        return Identity(Guid(self.dc.guid(dn)), dn)

    def change(self, identity: Identity, *, first: str) -> None:
        self.dc.modify(f"<GUID={identity.guid}>", givenName=first)

    def leave(self, identity: Identity) -> None:
        self.dc.move(identity.dn, self.outside)

    def delete(self, identity: Identity) -> None:
        self.dc.delete(f"<GUID={identity.guid}>")

    def add_department(self, stem: str, members: Iterable[Identity]) -> Guid:
        dn = self.scratch.group(stem, [one.dn for one in members], self.shelf)
        return Guid(self.dc.guid(dn))

    def add_member(self, department: Guid, identity: Identity) -> None:
        self.dc.add_members(f"<GUID={department}>", identity.dn)

    def set_state(self, identity: Identity, state: str) -> None:
        dc, dn = self.dc, identity.dn
        if "disabled" in state:
            dc.disable(dn)
        if "expired" in state and state != "password expired":
            dc.expire_account(dn)
        if state == "must change":
            dc.must_change_password(dn)
        elif state == "password expired":
            dc.expire_password(dn)
        elif state == "no hours":
            dc.modify(dn, logonHours=b"\0" * 21)
        elif state == "workstation":
            dc.modify(dn, userWorkstations="PC1,PC2")
        elif state == "protected":
            dc.add_members(f"CN=Protected Users,CN=Users,{dc.base}", dn)
        elif state == "locked":
            self._lock(dn)

    def _lock(self, dn: str) -> None:
        """Lock an account as strangers do, under a policy for it alone."""
        policy = self.dc.add_pso(self.unique("lock"), [dn], threshold=2, window=300, duration=300)
        for _ in range(3):
            self.dc.refusal(dn, "wrong")
        assert self.dc.refusal(dn, PASSWORD) == "775"
        self._policies.append(policy)

    def close(self) -> None:
        super().close()
        for policy in self._policies:
            self.dc.delete(policy)
        self.scratch.close()


class SlapdBackend(Backend):
    """An OU in a real OpenLDAP server."""

    name = "slapd"
    is_ad = False
    down_level = "goodcompany.local"

    def __init__(self, server: Slapd) -> None:
        super().__init__()
        self.server = server
        self.inside = self._unit("in")
        self.outside = self._unit("out")
        self.shelf = self._unit("shelf")
        self._client = self._looking_within(self.inside)

    def _looking_within(self, scope: str, **profile: Any) -> DirectoryClient:
        places = {"user_search_dn": scope, "department_search_dn": self.shelf}
        fields = self.server.profile(**(places | profile))
        return DirectoryClient(Profile.model_validate(fields))

    def _unit(self, stem: str) -> str:
        dn = f"ou={self.unique(stem)},{self.server.base}"
        self.server.admin.add(dn, "organizationalUnit")
        return dn

    @property
    def client(self) -> DirectoryClient:
        return self._client

    def look_within(self, scope: str, **profile: Any) -> None:
        """Let the client have another User Search DN."""
        self._client.close()
        self._client = self._looking_within(scope, **profile)

    def add(self, stem: str, *, in_scope: bool = True, **fields: Any) -> Identity:
        account = fields.pop("account", self.unique(stem))
        cn = fields.pop("cn", account)
        dn = f"cn={escape_rdn(cn)},{self.inside if in_scope else self.outside}"
        fields.pop("principal", None)
        values = {
            "cn": cn,
            "uid": account,
            "mail": fields.pop("login", self.email(stem)),
            "givenName": fields.pop("first", stem),
            "sn": fields.pop("last", "Test"),
            "telephoneNumber": fields.pop("extension", None),
            "userPassword": fields.pop("password", PASSWORD),
            **fields,
        }
        given = {name: value for name, value in values.items() if value is not None}
        self.server.admin.add(dn, "inetOrgPerson", given)
        return Identity(Guid.parse(self.server.guid(dn)), dn)

    def change(self, identity: Identity, *, first: str) -> None:
        self.server.modify(identity.dn, givenName=first)

    def leave(self, identity: Identity) -> None:
        rdn = safe_rdn(identity.dn)[0]
        self.server.admin.modify_dn(identity.dn, rdn, new_superior=self.outside)

    def delete(self, identity: Identity) -> None:
        self.server.delete(identity.dn)

    def add_department(self, stem: str, members: Iterable[Identity]) -> Guid:
        dn = f"cn={self.unique(stem)},{self.shelf}"
        names = [one.dn for one in members] or [self.server.service_dn]  # the schema wants one
        self.server.admin.add(dn, "groupOfNames", {"cn": self.unique(stem), "member": names})
        return Guid.parse(self.server.guid(dn))

    def add_member(self, department: Guid, identity: Identity) -> None:
        admin = self.server.admin
        admin.search(self.shelf, f"(entryUUID={department})", attributes=["cn"])
        dn = admin.response[0]["dn"]
        admin.modify(dn, {"member": [(ldap3.MODIFY_ADD, [identity.dn])]})

    def set_state(self, identity: Identity, state: str) -> None:
        raise NotImplementedError(f"OpenLDAP has no state {state!r} of its own")

    def close(self) -> None:
        super().close()
        admin = self.server.admin
        for unit in (self.inside, self.outside, self.shelf):
            admin.search(unit, "(objectClass=*)", ldap3.SUBTREE)
            for dn in sorted((one["dn"] for one in admin.response), key=len, reverse=True):
                admin.delete(dn)
