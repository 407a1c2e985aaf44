"""The demo directory's tree: entries, links between them, and what AD keeps track of by itself."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from demo import names
from demo.names import Key, Name
from demo.protocol import (
    ENTRY_EXISTS,
    INVALID_DN,
    NO_SUCH_OBJECT,
    NOT_ALLOWED_ON_NON_LEAF,
    Failure,
)

_NAMESPACE = uuid.UUID("5f1d1a52-0c1e-4d0e-9a39-3a8f0a6f8e11")
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_DOMAIN = (21, 1004336348, 1177238915, 682003330)
DELETED_OBJECTS = "CN=Deleted Objects"


def filetime(instant: datetime) -> int:
    """An AD time: 100 ns since 1601 (MS-DTYP 2.3.3)."""
    return int((instant - _EPOCH) / timedelta(microseconds=1)) * 10


def sid(rid: int) -> bytes:
    """The binary SID of this domain's account with that relative identifier; 0: the domain."""
    parts = _DOMAIN + ((rid,) if rid else ())
    return struct.pack(f"<BB6s{len(parts)}I", 1, len(parts), (5).to_bytes(6, "big"), *parts)


def sid_text(raw: bytes) -> str:
    """S-1-5-…"""
    parts = struct.unpack(f"<{raw[1]}I", raw[8:])
    return "-".join(map(str, ("S", raw[0], int.from_bytes(raw[2:8], "big"), *parts)))


@dataclass(slots=True)
class Entry:
    """One object. `members` are links by identity, so that they follow every rename."""

    guid: uuid.UUID
    name: Name
    values: dict[str, list[bytes]] = field(default_factory=dict)  # by lower-case attribute name
    members: list[uuid.UUID] = field(default_factory=list)
    created: int = 0
    changed: int = 0
    when_created: datetime = _EPOCH
    when_changed: datetime = _EPOCH
    deleted: bool = False

    @property
    def key(self) -> Key:
        """Return what the name is looked up by."""
        return names.key(self.name)

    @property
    def dn(self) -> str:
        """The distinguished name."""
        return names.text_of(self.name)

    def first(self, attribute: str) -> str:
        """The first value as text, or an empty string."""
        values = self.values.get(attribute.lower())
        return values[0].decode(errors="replace") if values else ""

    def number(self, attribute: str) -> int:
        """The first value as a number; 0 where there is none."""
        return int(self.first(attribute) or 0)

    def is_a(self, object_class: str) -> bool:
        """Return whether it has this object class."""
        return any(
            one.lower() == object_class.encode().lower() for one in self.values["objectclass"]
        )

    def set(self, attribute: str, *values: str | bytes | int) -> None:
        """Replace an attribute; without values it goes."""
        encoded = [one if isinstance(one, bytes) else str(one).encode() for one in values]
        if encoded:
            self.values[attribute.lower()] = encoded
        else:
            self.values.pop(attribute.lower(), None)


class Tree:
    """All entries, with the domain's update sequence number."""

    def __init__(self, base: str) -> None:
        self.base = names.parse(base)
        self.invocation = uuid.uuid4()
        self.usn = 12000
        self._entries: dict[Key, Entry] = {}
        self._by_guid: dict[uuid.UUID, Entry] = {}
        self._next_rid = 1103

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))

    # -- finding ------------------------------------------------------------------------------

    def find(self, name: Name) -> Entry:
        """The entry with this name. Raises noSuchObject with the nearest that exists."""
        key = names.key(name)
        if found := self._entries.get(key):
            return found
        for cut in range(1, len(key)):
            if above := self._entries.get(key[cut:]):
                raise Failure(NO_SUCH_OBJECT, _no_object(above.dn), above.dn)
        raise Failure(NO_SUCH_OBJECT, _no_object(""))

    def resolve(self, text: str) -> Entry:
        """The entry a DN, `<GUID=…>` or `<SID=…>` stands for. Raises noSuchObject, invalidDN."""
        text = text.strip()
        if text[:6].upper() == "<GUID=" and text.endswith(">"):
            return self.with_guid(_guid(text[6:-1]))
        if text[:5].upper() == "<SID=" and text.endswith(">"):
            for one in self:
                raw = one.values.get("objectsid")
                if raw and text[5:-1].upper() in (sid_text(raw[0]), raw[0].hex().upper()):
                    return one
            raise Failure(NO_SUCH_OBJECT, _no_object(""))
        try:
            return self.find(names.parse(text))
        except names.BadName as error:
            raise Failure(
                INVALID_DN, "0000208F: NameErr: DSID-03100225, problem 2006 (BAD_NAME)"
            ) from error

    def with_guid(self, guid: uuid.UUID | None) -> Entry:
        """The entry with this identity. Raises noSuchObject."""
        if guid is None or guid not in self._by_guid:
            raise Failure(NO_SUCH_OBJECT, _no_object(""))
        return self._by_guid[guid]

    def under(self, entry: Entry, scope: int) -> Iterator[Entry]:
        """The entries in scope 0 (base), 1 (one level) or 2 (subtree)."""
        if scope == 0:
            yield entry
            return
        top = entry.key
        for one in self:
            depth = len(one.name) - len(top)
            if one.key[depth:] == top and (depth >= 0 if scope == 2 else depth == 1):
                yield one

    def account(self, name: str) -> Entry | None:
        """The account or group with this sAMAccountName."""
        wanted = names.fold(name)
        for one in self:
            if not one.deleted and names.fold(one.first("sAMAccountName")) == wanted:
                return one
        return None

    # -- links --------------------------------------------------------------------------------

    def groups_of(self, guid: uuid.UUID) -> list[Entry]:
        """The groups that list this object as a member."""
        return [one for one in self if guid in one.members]

    def chain_up(self, guid: uuid.UUID) -> set[uuid.UUID]:
        """Every group that the object is in, through other groups too; cycles end."""
        found: set[uuid.UUID] = set()
        waiting = [guid]
        while waiting:
            for group in self.groups_of(waiting.pop()):
                if group.guid not in found:
                    found.add(group.guid)
                    waiting.append(group.guid)
        return found

    # -- changing -----------------------------------------------------------------------------

    def touch(self, entry: Entry) -> None:
        """Count a change."""
        self.usn += 1
        entry.changed = self.usn
        entry.when_changed = datetime.now(UTC)

    def add(
        self,
        dn: str | Name,
        classes: Iterable[str],
        attributes: dict[str, list[bytes]] | None = None,
        *,
        rid: int = 0,
    ) -> Entry:
        """Add an object; security principals get the next SID, or that with `rid`."""
        name = names.parse(dn) if isinstance(dn, str) else dn
        if names.key(name) in self._entries:
            raise Failure(ENTRY_EXISTS, "00002071: UpdErr: DSID-030504F1, problem 6005")
        if len(name) > len(self.base) and name[-len(self.base) :] == self.base:
            self.find(name[1:])
        entry = Entry(uuid.uuid5(_NAMESPACE, names.text_of(name)), name)
        if entry.guid in self._by_guid:  # deleted and made again: another object
            entry.guid = uuid.uuid4()
        entry.values["objectclass"] = [one.encode() for one in classes]
        entry.values |= {key.lower(): list(values) for key, values in (attributes or {}).items()}
        kind, value = name[0]
        entry.set(kind, value)
        entry.set("name", value)
        if rid or entry.is_a("user") or entry.is_a("group"):
            if not rid:
                rid, self._next_rid = self._next_rid, self._next_rid + 1
            entry.set("objectSid", sid(rid))
        self._entries[entry.key] = entry
        self._by_guid[entry.guid] = entry
        self.touch(entry)
        entry.created, entry.when_created = entry.changed, entry.when_changed
        return entry

    def rename(self, entry: Entry, rdn: Name, parent: Name) -> None:
        """Give another name, place or both; everything below moves along."""
        target = rdn + parent
        if names.key(target) != entry.key:
            if names.key(target) in self._entries:
                raise Failure(ENTRY_EXISTS, "00002071: UpdErr: DSID-03050F3D, problem 6005")
            self.find(parent)
        old = len(entry.name)
        for one in list(self.under(entry, 2)):
            del self._entries[one.key]
            one.name = one.name[: len(one.name) - old] + target
            self._entries[one.key] = one
        kind, value = rdn[0]
        entry.set(kind, value)
        entry.set("name", value)
        self.touch(entry)

    def delete(self, entry: Entry, *, tree: bool = False) -> None:
        """Delete: what remains is a tombstone below Deleted Objects (MS-ADTS 3.1.1.5.5)."""
        below = sorted(self.under(entry, 2), key=lambda one: -len(one.name))
        if len(below) > 1 and not tree:
            raise Failure(NOT_ALLOWED_ON_NON_LEAF, "00002015: UpdErr: DSID-031A11FB")
        for one in below:
            self._bury(one)

    def _bury(self, entry: Entry) -> None:
        for group in self.groups_of(entry.guid):
            group.members.remove(entry.guid)
        kind, value = entry.name[0]
        parent = names.text_of(entry.name[1:])
        del self._entries[entry.key]
        kept = ("objectclass", "objectsid", "samaccountname", "useraccountcontrol")
        entry.values = {name: entry.values[name] for name in kept if name in entry.values}
        entry.members = []
        entry.deleted = True
        entry.name = ((kind, f"{value}\nDEL:{entry.guid}"), *names.parse(DELETED_OBJECTS))
        entry.name += self.base
        entry.set("isDeleted", "TRUE")
        entry.set("lastKnownParent", parent)
        entry.set("name", entry.name[0][1])
        self._entries[entry.key] = entry
        self.touch(entry)


def _no_object(best: str) -> str:
    problem = "0000208D: NameErr: DSID-0310028D, problem 2001 (NO_OBJECT), data 0"
    return f"{problem}, best match of: '{best}'"


def _guid(text: str) -> uuid.UUID | None:
    """Text with hyphens, or 32 hexadecimal digits in the order of the octets."""
    try:
        return uuid.UUID(text) if "-" in text else uuid.UUID(bytes_le=bytes.fromhex(text))
    except ValueError:
        return None
