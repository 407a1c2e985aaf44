"""Tells apps that a person is signed out (OpenID Connect Back-Channel Logout 1.0).

A background task of every web process takes what is due from the queue
(`kerauno.oauth.logout_queue`), whoever put it there: a sign-out here, an administrator's command,
or the sync service when somebody leaves. The queue is in the database, so nothing is lost when a
process ends in the middle.
"""

from __future__ import annotations

import http.client
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from authsvc.oidc.provider import Provider
from kerauno import audit
from kerauno.base.errors import KeyProblem
from kerauno.oauth import authorization_requests, logout_queue
from kerauno.oauth.logout_queue import Delivery
from kerauno.outgoing import http_client
from kerauno.outgoing.address_policy import BACK_CHANNEL, AddressRefused
from kerauno.signin import protected_sites

EVENT = "http://schemas.openid.net/event/backchannel-logout"
_ANSWER_SECONDS = 5.0
_TOKEN_LIFETIME = timedelta(minutes=2)  # the specification's recommendation, section 4
_AT_ONCE = 8

Post = Callable[[str, str], None]
"""Sends the form to the address; raises Undelivered."""


class Undelivered(Exception):
    """The app did not take it. Says why in a few words, without the token."""


class BackchannelLogout:
    """Delivers what is due. `post` sends one message; tests may give their own."""

    def __init__(self, provider: Provider, post: Post | None = None) -> None:
        self._provider = provider
        self._post = post or post_form

    def deliver(self) -> int:
        """Deliver what is due now; returns how many apps were tried."""
        provider = self._provider
        with provider.database.fast() as h:
            if not logout_queue.waiting(h, provider.now()):
                return 0
        with provider.database.write() as s:
            claimed = logout_queue.claim(s, provider.now())
        if claimed:
            with ThreadPoolExecutor(min(_AT_ONCE, len(claimed))) as pool:
                list(pool.map(self._tell, claimed))
        return len(claimed)

    def sweep(self) -> int:
        """Forget codes, tokens and requests that have run out; returns how many."""
        with self._provider.database.write() as s:
            now = self._provider.now()
            return authorization_requests.sweep(s, now) + protected_sites.sweep(s, now)

    def _tell(self, delivery: Delivery) -> None:
        try:
            token = self._token(delivery)
            if token is not None:
                self._post(delivery.uri, urlencode({"logout_token": token}))
        except (Undelivered, KeyProblem) as error:
            self._settle(delivery, str(error))
        else:
            self._settle(delivery, "")

    def _token(self, delivery: Delivery) -> str | None:
        """The logout token (section 2.4); None when the app went in the meantime."""
        provider = self._provider
        client = provider.client(delivery.client_id)
        if client is None:
            return None
        now = provider.now()
        claims: dict[str, Any] = {
            "iss": provider.issuer,
            "sub": delivery.subject,
            "aud": delivery.client_id,
            "iat": int(now.timestamp()),
            "exp": int((now + _TOKEN_LIFETIME).timestamp()),
            "jti": secrets.token_hex(16),
            "events": {EVENT: {}},
        }
        if delivery.sid:
            claims["sid"] = delivery.sid
        return provider.keyring.sign(client.id_token_alg, claims, "logout+jwt")

    def _settle(self, delivery: Delivery, error: str) -> None:
        """Note how it went: the first failure, the success or the end; not each try between."""
        provider = self._provider
        now = provider.now()
        with provider.database.write() as s:
            if not error:
                logout_queue.delivered(s, [delivery.id])
                outcome = "delivered"
            else:
                again = logout_queue.failed(s, delivery, error, now)
                outcome = "retrying" if again else "given-up"
            if outcome != "retrying" or delivery.attempts == 0:
                audit.append(
                    s,
                    "app-sign-out",
                    now=now,
                    outcome=outcome,
                    actor=delivery.client_id,
                    user_id=delivery.user_id,
                    detail={
                        "app": delivery.client_name,
                        "tries": delivery.attempts + 1,
                        "seconds": round((now - delivery.queued_at).total_seconds(), 3),
                        "error": error,
                    },
                )


def post_form(uri: str, form: str) -> None:
    """Send it. 200 and 204 are what an app answers that has understood (section 2.8).

    No redirect is followed: an app that moves elsewhere must say so in its registration.
    """
    headers = {"Content-Type": "application/x-www-form-urlencoded", "User-Agent": "Kerauno"}
    body = form.encode("ascii")
    try:
        status = http_client.post(uri, body, headers, policy=BACK_CHANNEL, seconds=_ANSWER_SECONDS)
    except AddressRefused as refused:
        raise Undelivered(str(refused)) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Undelivered(f"{type(error).__name__}: {error}") from None
    if status not in (200, 204):
        raise Undelivered(f"HTTP {status}")
