"""How far a server has followed others: the vector's two forms, and what it proves."""

from __future__ import annotations

import struct
import uuid

import pytest

from dirclient.model.directory_objects import Cursor, Knowledge
from dirclient.operations.replication_state import covers, parse_shown, parse_stored

ONE, OTHER = uuid.UUID(int=0x11223344556677889900AABBCCDDEEFF), uuid.UUID(int=5)


def stored(version: int, *cursors: tuple[uuid.UUID, int]) -> bytes:
    """UPTODATE_VECTOR_V1_EXT or V2_EXT (MS-DRSR 5.166, 5.167)."""
    body = b"".join(
        guid.bytes_le + struct.pack("<Q", usn) + (b"\1" * 8 if version == 2 else b"")
        for guid, usn in cursors
    )
    return struct.pack("<4I", version, 0, len(cursors), 0) + body


@pytest.mark.parametrize("version", [1, 2])
def test_the_stored_form(version: int) -> None:
    raw = stored(version, (ONE, 4711), (OTHER, 2**40))
    assert parse_stored(raw) == {str(ONE): 4711, str(OTHER): 2**40}


@pytest.mark.parametrize(
    "raw", [b"", b"\2", stored(2, (ONE, 1))[:-1], stored(1, (ONE, 1))[:-1], stored(3, (ONE, 1))]
)
def test_what_is_not_understood_proves_nothing(raw: bytes) -> None:
    assert parse_stored(raw) == {}


def test_the_shown_form() -> None:
    raw = (
        "<DS_REPL_CURSOR>\n"
        f"\t<uuidSourceDsaInvocationID>{str(ONE).upper()}</uuidSourceDsaInvocationID>\n"
        "\t<usnAttributeFilter>4711</usnAttributeFilter>\n"
        "\t<ftimeLastSyncSuccess>2026-11-23T09:00:00Z</ftimeLastSyncSuccess>\n"
        "\t<pszSourceDsaDN></pszSourceDsaDN>\n"
        "</DS_REPL_CURSOR>\n\0"
    )
    assert parse_shown(raw.encode()) == {str(ONE): 4711}
    assert parse_shown(b"\xff<uuidSourceDsaInvocationID>") == {}


def test_another_server_needs_the_figure() -> None:
    mark = Cursor("dc1", 100)
    assert covers(Knowledge(Cursor("dc2", 7), {"dc1": 100}), mark)
    assert not covers(Knowledge(Cursor("dc2", 7000), {"dc1": 99}), mark)
    assert not covers(Knowledge(Cursor("dc2", 7000), {"dc3": 200}), mark)


def test_the_same_server_must_not_have_gone_back() -> None:
    """As a snapshot of its machine, put back without telling it, does."""
    assert covers(Knowledge(Cursor("dc1", 100), {}), Cursor("dc1", 100))
    assert not covers(Knowledge(Cursor("dc1", 99), {}), Cursor("dc1", 100))


def csn(second: int, sid: str) -> bytes:
    return f"202611230900{second:02}.000000Z#000000#{sid}#000000".encode()


def test_openldap_compares_the_change_number_of_each_server() -> None:
    mark = Cursor("ldap1", 0, csn(10, "001") + b" " + csn(20, "002"))
    newer = Knowledge(Cursor("ldap2", 0, csn(11, "001") + b" " + csn(20, "002")), {})
    older = Knowledge(Cursor("ldap2", 0, csn(50, "001") + b" " + csn(19, "002")), {})
    lacks = Knowledge(Cursor("ldap2", 0, csn(50, "001")), {})
    silent = Knowledge(Cursor("ldap2", 1764147600), {})
    assert covers(newer, mark)
    assert not any(covers(known, mark) for known in (older, lacks, silent))
