"""Asking a server whether it does its work, at nobody's cost.

Its root DSE answers when little else does. So what failed is asked for itself: the service
account signs in and searches, and nobody signs in, which locks nobody out.
"""

from __future__ import annotations

import secrets

from dirclient.config import presets
from dirclient.config.ports import Identity
from dirclient.config.profile import Profile
from dirclient.connection import result_codes
from dirclient.connection.ldap_connection import Connection
from dirclient.connection.outages import Unsuited
from dirclient.connection.server_health import Operation
from dirclient.connection.service_account import ServiceAccount
from dirclient.model.deadline import time_limit
from dirclient.model.errors import Misconfigured, Refused
from dirclient.wire.filters import EVERYTHING

_CONTEXTS = ("defaultNamingContext", "namingContexts")


def examine(
    profile: Profile, connection: Connection, account: ServiceAccount, failed: Operation
) -> None:
    """Ask a server on a fresh connection, which is good for nothing else afterwards.

    Raises `Unavailable` or `Unsuited` while it is not well.
    """
    with time_limit(profile.connect_timeout):
        answer = connection.search("", EVERYTHING, _CONTEXTS, scope="base")
    if failed is Operation.CONNECT:
        return
    root = answer.entries[0] if answer.entries else None
    context = (root.text(_CONTEXTS[0]) or root.text(_CONTEXTS[1]) or "") if root else ""
    with time_limit(profile.sign_in_timeout):
        _search_as_service(profile, connection, account, context)
        _bind_as_nobody(profile, connection)


def _search_as_service(
    profile: Profile, connection: Connection, account: ServiceAccount, context: str
) -> None:
    try:
        account.bind(connection, in_turn=False)
    except Unsuited:
        raise
    except Misconfigured:  # the server has judged, or there is nobody to sign in
        return
    people = presets.of(profile).person_filter
    codes = result_codes.HIDDEN | {result_codes.SIZE_LIMIT}
    connection.search(context, people, size_limit=1, expecting=codes)


def _bind_as_nobody(profile: Profile, connection: Connection) -> None:
    name = presets.of(profile).bind_name(Identity.nobody())
    try:
        connection.bind(name, secrets.token_urlsafe(12))
    except Refused:
        pass  # what else: nobody has no password
