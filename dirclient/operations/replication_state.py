"""How far a server has followed the others: its up-to-dateness vector (MS-ADTS 3.1.1.1.9).

A domain controller holds, for each invocationId, up to which USN of that server it has every change
of the domain. It takes a source's own figure over at the end of a replication cycle, and with it
all that the source had then, wherever it was written: a figure that is large enough proves that
nothing of what the source showed at that USN is missing here.

`replUpToDateVector` of the domain's root tells it (MS-DRSR 5.166); where that may not be read,
`msDS-NCReplCursors` does, which is made from it.
"""

from __future__ import annotations

import re
import struct
import uuid

from dirclient.connection import result_codes
from dirclient.connection.ldap_connection import Connection
from dirclient.model.directory_objects import Cursor, Knowledge
from dirclient.wire.filters import EVERYTHING

_STORED, _SHOWN = "repluptodatevector", "msds-ncreplcursors"
_HEADER = struct.Struct("<4I")  # version, reserved, number of cursors, reserved
_CURSOR_SIZES = {1: 24, 2: 32}  # version 2 adds the time of the last success
_CURSOR = struct.Struct("<16sQ")
_CURSOR_TEXT = re.compile(
    r"<uuidSourceDsaInvocationID>\s*([0-9a-fA-F-]{36})\s*</uuidSourceDsaInvocationID>"
    r".*?<usnAttributeFilter>\s*(\d+)\s*</usnAttributeFilter>",
    re.DOTALL,
)


def read_vector(connection: Connection, domain: str) -> dict[str, int]:
    """InvocationId → USN up to which the server has its changes. One base read.

    Empty where the server tells nothing: it is alone, does not count so, or may not say.
    """
    answer = connection.search(
        domain, EVERYTHING, (_STORED, _SHOWN), scope="base", expecting=result_codes.HIDDEN
    )
    if not answer.entries:
        return {}
    values = answer.entries[0].attributes
    stored = [parse_stored(raw) for raw in values.get(_STORED, ())]
    shown = [parse_shown(raw) for raw in values.get(_SHOWN, ())]
    vector: dict[str, int] = {}
    for part in (*stored, *shown):
        vector |= part
    return vector


def parse_stored(raw: bytes) -> dict[str, int]:
    """One value of `replUpToDateVector`; empty where it has another form than is known."""
    if len(raw) < _HEADER.size:
        return {}
    version, _, count, _ = _HEADER.unpack_from(raw)
    size = _CURSOR_SIZES.get(version)
    if size is None or len(raw) < _HEADER.size + count * size:
        return {}
    cursors = (_CURSOR.unpack_from(raw, _HEADER.size + at * size) for at in range(count))
    return {str(uuid.UUID(bytes_le=octets)): usn for octets, usn in cursors}


def parse_shown(raw: bytes) -> dict[str, int]:
    """One value of `msDS-NCReplCursors`, which is XML (DS_REPL_CURSOR)."""
    text = raw.decode("utf-8", "replace")
    return {guid.lower(): int(usn) for guid, usn in _CURSOR_TEXT.findall(text)}


def covers(known: Knowledge, mark: Cursor) -> bool:
    """Return whether a server that knows so much has all that `mark` had seen.

    OpenLDAP's contextCSN holds a change number for each server that writes (RFC 4533 and slapd's
    syncrepl), and a consumer has its provider's. Where nothing is counted, nothing is proven, but
    by the very same server.
    """
    cursor = known.cursor
    if mark.cookie:
        newest = _csns(cursor.cookie)
        return all(newest.get(sid, b"") >= csn for sid, csn in _csns(mark.cookie).items())
    if cursor.server_id == mark.server_id:
        return cursor.usn >= mark.usn
    return known.vector.get(mark.server_id, -1) >= mark.usn


def _csns(cookie: bytes) -> dict[bytes, bytes]:
    """The newest change number of each server: time#count#server#modification."""
    usns: dict[bytes, bytes] = {}
    for csn in cookie.split():
        parts = csn.split(b"#")
        sid = parts[2] if len(parts) == 4 else b""
        usns[sid] = max(csn, usns.get(sid, b""))
    return usns
