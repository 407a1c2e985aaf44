"""How a request waits while a person signs in or agrees, and comes back.

It waits in the address itself, so that nothing that a stranger sends is stored. Where a sign-in
must be proven to have come after the request, the address carries a stamp: the moment and the
digest of the request, sealed. A request that is too long for an address waits in the database, as
does one that the app pushed there (RFC 9126), and one that a signed-in person is asked about.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from flask import request
from werkzeug.datastructures import MultiDict

from authsvc.i18n.translate import gettext as _
from authsvc.oidc import authorization_request
from authsvc.oidc.authorization_request import AuthorizationRequest, Untrusted
from authsvc.oidc.endpoints import AUTHORIZE_PATH
from authsvc.oidc.provider import Provider
from authsvc.web.session import CurrentUser
from kerauno.base.errors import KeyProblem
from kerauno.base.ip_addresses import network
from kerauno.database.prepared import PreparedConnection
from kerauno.oauth import authorization_requests
from kerauno.oauth.authorization_requests import Kept
from kerauno.oauth.clients import digest

STAMP = "asked"
_LONGEST_NEXT = 3500  # characters of an address


@dataclass(frozen=True, slots=True)
class Arrived:
    """A sound request and its words.

    `since` is the moment from which on it has been here, None where it is new. A request that is
    kept has a `handle` and its record.
    """

    request: AuthorizationRequest
    params: dict[str, str]
    since: datetime | None = None
    handle: str = ""
    kept: Kept | None = None


def arrive(provider: Provider, source: MultiDict[str, str]) -> Arrived:
    """Return what the app asks, from a query, a form, or as it is kept.

    Raises Untrusted, Faulty.
    """
    handles = source.getlist("request_uri")
    if len(handles) == 1 and handles[0].startswith(authorization_requests.PREFIX):
        kept = _recall(provider, handles[0])
        if kept.session_handle is not None or kept.client_id != source.get("client_id"):
            raise _unknown()
        return _arrived(provider, handles[0], kept)
    params, doubled = authorization_request.gather(source.getlist)
    client, redirect_uri = authorization_request.identify(params, doubled, provider.client)
    sound = authorization_request.check(params, doubled, client, redirect_uri)
    return Arrived(sound, params, _stamped(provider, source.get(STAMP, ""), params))


def answered(provider: Provider, handle: str, person: CurrentUser) -> Arrived:
    """Return the request that this person was asked about in this session.

    Raises Untrusted, Faulty.
    """
    kept = _recall(provider, handle)
    if kept.session_handle != person.handle:
        raise _unknown()
    return _arrived(provider, handle, kept)


def address(provider: Provider, arrived: Arrived, *, stamped: bool = False) -> str:
    """Return the address under which the request goes on. Raises Throttled."""
    client_id, params = arrived.request.client.id, arrived.params
    if arrived.kept is None:
        stamp = {STAMP: _stamp(provider, params)} if stamped else {}
        target = f"{AUTHORIZE_PATH}?{urlencode(params | stamp)}"
        if len(target) <= _LONGEST_NEXT:
            return target
    with provider.database.fast_write() as h:
        if arrived.kept is not None:
            authorization_requests.prolong(h, arrived.kept)
            handle = arrived.handle
        else:
            owner = network(request.remote_addr or "")
            handle = authorization_requests.wait(
                h, provider.now(), client_id=client_id, params=params, owner=owner
            )
    return f"{AUTHORIZE_PATH}?{urlencode({'client_id': client_id, 'request_uri': handle})}"


def use_up(h: PreparedConnection, arrived: Arrived) -> bool:
    """Forget the request, which is answered now; return False where another answer came first."""
    kept = arrived.kept
    if kept is None:
        return True
    return authorization_requests.use_up(h, kept.id) and (
        kept.parent is None or authorization_requests.use_up(h, kept.parent)
    )


def _recall(provider: Provider, handle: str) -> Kept:
    with provider.database.fast() as h:
        kept = authorization_requests.recall(h, provider.now(), handle)
    if kept is None:
        raise _unknown()
    return kept


def _arrived(provider: Provider, handle: str, kept: Kept) -> Arrived:
    params = kept.params | {"client_id": kept.client_id}
    client, redirect_uri = authorization_request.identify(params, (), provider.client)
    sound = authorization_request.check(params, (), client, redirect_uri)
    return Arrived(sound, params, kept.asked_at, handle, kept)


def _unknown() -> Untrusted:
    return Untrusted(_("The app's request is not known any more. Please start again at the app."))


def _stamp(provider: Provider, params: dict[str, str]) -> str:
    return provider.sealer.seal(f"{STAMP} {provider.now().timestamp()} {_digest(params)}")


def _stamped(provider: Provider, stamp: str, params: dict[str, str]) -> datetime | None:
    """Return when this very request was stamped; None where it was not, or too long ago."""
    if not stamp:
        return None
    try:
        word, moment, words = provider.sealer.open(stamp).split(" ")
    except (KeyProblem, ValueError):
        return None
    if word != STAMP or words != _digest(params):
        return None
    since = datetime.fromtimestamp(float(moment), UTC)
    oldest = provider.now() - timedelta(seconds=authorization_requests.WAITING_SECONDS)
    return since if since > oldest else None


def _digest(params: dict[str, str]) -> str:
    return digest(urlencode(sorted(params.items())))
