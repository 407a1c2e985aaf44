"""Adding, modifying, renaming and deleting, with AD's own rules for passwords and members."""

from __future__ import annotations

from demo import ber, names, protocol
from demo.domain import DOMAIN_USERS, PERSON_CLASSES, SECURITY_GLOBAL, Domain
from demo.protocol import (
    ATTRIBUTE_EXISTS,
    CONSTRAINT_VIOLATION,
    INVALID_DN,
    NO_SUCH_ATTRIBUTE,
    PROTOCOL_ERROR,
    UNWILLING,
    Failure,
    Request,
)
from demo.store import Entry
from demo.view import NEVER

ADD, DELETE, REPLACE = 0, 1, 2
_CLASSES = {
    "user": PERSON_CLASSES,
    "group": ("top", "group"),
    "organizationalunit": ("top", "organizationalUnit"),
    "container": ("top", "container"),
}
_SINGLE = frozenset(
    ("mail", "ipphone", "givenname", "sn", "telephonenumber", "samaccountname", "displayname")
)

Change = tuple[int, str, list[bytes]]


class Changes:
    """Changes to a domain."""

    def __init__(self, domain: Domain) -> None:
        self._tree = domain.tree
        self._accounts = domain.accounts

    def apply(self, bound: Entry | None, encrypted: bool, request: Request) -> None:
        """Carry out a change for whoever is bound. Raises `Failure`."""
        if request.operation == protocol.MODIFY:
            self._modify(bound, encrypted, request)
            return
        if request.operation not in (protocol.ADD, protocol.DELETE, protocol.RENAME):
            raise Failure(PROTOCOL_ERROR, "this request is not understood")
        self._accounts.may_write(bound)
        try:
            if request.operation == protocol.ADD:
                self._add(encrypted, request)
            elif request.operation == protocol.DELETE:
                entry = self._tree.resolve(request.content.decode())
                self._tree.delete(entry, tree=protocol.TREE_DELETE in request.controls)
            else:
                self._rename(request)
        except names.BadName as error:
            raise Failure(INVALID_DN, "0000208F: NameErr: problem 2006 (BAD_NAME)") from error

    def _add(self, encrypted: bool, request: Request) -> None:
        (_, dn), (_, listed) = request.parts()
        given: dict[str, list[bytes]] = {}
        for _, attribute in ber.children(listed):
            (_, name), (_, values) = ber.children(attribute)
            given[name.decode().lower()] = [value for _, value in ber.children(values)]
        classes = {value.decode().lower() for value in given.pop("objectclass", [])}
        kind = next((one for one in _CLASSES if one in classes), "")
        if not kind:
            raise Failure(CONSTRAINT_VIOLATION, "0000207B: UpdErr: objectClass is not known")
        password = given.pop("unicodepwd", None)
        members = given.pop("member", [])
        entry = self._tree.add(dn.decode(), _CLASSES[kind], given)
        account = entry.first("sAMAccountName") or entry.name[0][1]
        if kind == "user":
            entry.set("sAMAccountName", account)
            entry.set("userAccountControl", entry.first("userAccountControl") or 512)
            entry.set("accountExpires", entry.first("accountExpires") or NEVER)
            entry.set("primaryGroupID", DOMAIN_USERS)
            entry.set("pwdLastSet", entry.first("pwdLastSet") or 0)
        elif kind == "group":
            entry.set("sAMAccountName", account)
            entry.set("groupType", entry.first("groupType") or SECURITY_GLOBAL)
        if password:
            self._accounts.needs_encryption(encrypted)
            self._accounts.set_password(entry, _password(password[0]))
        self._link(entry, ADD, members, permissive=False)

    def _rename(self, request: Request) -> None:
        parts = request.parts()
        entry = self._tree.resolve(parts[0][1].decode())
        rdn = names.parse(parts[1][1].decode())
        parent = names.parse(parts[3][1].decode()) if len(parts) > 3 else entry.name[1:]
        self._tree.rename(entry, rdn, parent)

    # -- modifying ----------------------------------------------------------------------------

    def _modify(self, bound: Entry | None, encrypted: bool, request: Request) -> None:
        (_, dn), (_, listed) = request.parts()
        entry = self._tree.resolve(dn.decode())
        changes: list[Change] = []
        for _, change in ber.children(listed):
            (_, kind), (_, attribute) = ber.children(change)
            (_, name), (_, values) = ber.children(attribute)
            changes.append(
                (ber.number(kind), name.decode(), [value for _, value in ber.children(values)])
            )
        secrets = [one for one in changes if one[1].lower() == "unicodepwd"]
        if secrets:
            self._change_password(bound, encrypted, entry, secrets)
        others = [one for one in changes if one not in secrets]
        if others:
            self._accounts.may_write(bound)
        permissive = protocol.PERMISSIVE_MODIFY in request.controls
        before = {key: list(kept) for key, kept in entry.values.items()}, list(entry.members)
        try:
            for operation, attribute_name, given in others:
                self._change(entry, operation, attribute_name, given, permissive)
        except Failure:  # all of a request or nothing
            entry.values, entry.members = before
            raise
        self._tree.touch(entry)

    def _change_password(
        self, bound: Entry | None, encrypted: bool, entry: Entry, changes: list[Change]
    ) -> None:
        """Delete old and add new: the person's own change. Replace: an administrator's reset."""
        self._accounts.needs_encryption(encrypted)
        by_kind = {kind: values for kind, _, values in changes}
        if set(by_kind) == {DELETE, ADD} and by_kind[DELETE] and by_kind[ADD]:
            if bound is None:
                raise Failure(protocol.OPERATIONS_ERROR, "00002020: a bind is needed")
            self._accounts.change_password(
                entry, _password(by_kind[DELETE][0]), _password(by_kind[ADD][0])
            )
        elif set(by_kind) == {REPLACE} and by_kind[REPLACE]:
            self._accounts.may_write(bound)
            self._accounts.set_password(entry, _password(by_kind[REPLACE][0]))
        else:
            raise Failure(UNWILLING, "0000001F: unicodePwd is replaced, or deleted and added")

    def _change(
        self, entry: Entry, kind: int, name: str, values: list[bytes], permissive: bool
    ) -> None:
        lower = name.lower()
        if lower == "member":
            self._link(entry, kind, values, permissive=permissive)
            return
        present = entry.values.get(lower, [])
        if kind == REPLACE:
            result = values
        elif kind == ADD:
            if not permissive and any(value in present for value in values):
                raise Failure(ATTRIBUTE_EXISTS, "00002083: AtrErr: DSID-031509BC")
            result = present + [value for value in values if value not in present]
        else:
            gone = values or present
            if not permissive and (not present or any(value not in present for value in gone)):
                raise Failure(NO_SUCH_ATTRIBUTE, "00002085: AtrErr: DSID-03190F36")
            result = [value for value in present if value not in gone]
        if lower in _SINGLE and len(result) > 1:
            raise Failure(CONSTRAINT_VIOLATION, "00002081: AtrErr: one value only")
        if lower == "pwdlastset" and result == [b"-1"]:
            raise Failure(UNWILLING, "0000001F: set a password to do that")
        entry.set(lower, *result)

    def _link(self, entry: Entry, kind: int, values: list[bytes], *, permissive: bool) -> None:
        """Members are links by identity."""
        guids = [self._tree.resolve(value.decode()).guid for value in values]
        if kind == REPLACE:
            entry.members = guids
            return
        for guid in guids if guids or kind == ADD else list(entry.members):
            present = guid in entry.members
            if present == (kind == ADD):
                if not permissive:
                    code = protocol.ENTRY_EXISTS if present else UNWILLING
                    raise Failure(code, "00000562: UpdErr: membership is so already")
            elif kind == ADD:
                entry.members.append(guid)
            else:
                entry.members.remove(guid)


def _password(value: bytes) -> str:
    """The text in a unicodePwd value: UTF-16 in quotation marks (MS-ADTS 3.1.1.3.1.5.1)."""
    try:
        text = value.decode("utf-16-le")
    except UnicodeDecodeError:
        text = ""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        raise Failure(UNWILLING, "0000001F: unicodePwd is not a quoted UTF-16 string")
    return text[1:-1]
