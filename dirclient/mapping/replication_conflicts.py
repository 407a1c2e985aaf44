"""Replication-conflict objects of AD: what two domain controllers made under one name at once.

AD keeps both and renames one to the name, a line feed, `CNF:` and its GUID (MS-ADTS 3.1.1.5.1.2.2).
Such an object, and all that lies below one, is a leftover for an administrator to clear away. It
is nobody's account and nobody's group.
"""

from __future__ import annotations

import re

from dirclient.mapping.groups import plain_dn
from dirclient.wire import dn_syntax

_MANGLED = re.compile(r".*\nCNF:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I | re.S)


def in_conflict(dn: str) -> bool:
    """Return whether this is the DN of a replication-conflict object or of something below one."""
    if "CNF:" not in dn:  # by far the most
        return False
    try:
        rdns = dn_syntax.parse(plain_dn(dn))
    except dn_syntax.InvalidDn:
        return False
    return any(_MANGLED.fullmatch(value) for rdn in rdns for _, value in rdn)
