"""Connecting a device without a keyboard: the page where its code is typed in (RFC 8628 3.3).

The device's QR code leads here with the code in the address; the person still says yes, seeing
which app it is and where the request came from, since a stranger may have sent them the link
(RFC 8628 5.4).
"""

from __future__ import annotations

import io
from datetime import datetime, timedelta

import segno
from flask import Flask, Response, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session
from werkzeug.exceptions import NotFound

from authsvc.i18n.translate import gettext as _
from authsvc.oidc.endpoints import DEVICE_PATH, QR_PATH
from authsvc.oidc.provider import Provider, current_provider
from authsvc.oidc.scope_labels import labels_of
from authsvc.web.session import CurrentUser, require_current_user, require_user
from kerauno import audit
from kerauno.base.errors import Throttled
from kerauno.oauth import devices
from kerauno.oauth.devices import Asking
from kerauno.oauth.tokens import SignIn
from kerauno.signin import throttle, throttle_list
from kerauno.signin.throttle import Budget
from kerauno.signin.throttle_list import ThrottledKey

CONFIRM_PATH = "/device/confirm"
_EVENT = "app-device"
_PICTURES = {"svg": "image/svg+xml", "png": "image/png"}

# 20^8 codes, ten minutes each: with these budgets a person finds a waiting one of the thousand
# with a probability under one in a million (RFC 8628 5.1).
_PER_PERSON = Budget(10, timedelta(minutes=10), rolling=True)
_PER_ADDRESS = Budget(50, timedelta(minutes=10), rolling=False)


def setup_device(app: Flask) -> None:
    """Register the pages."""
    app.add_url_rule(DEVICE_PATH, "oidc.device", device)
    app.add_url_rule(DEVICE_PATH, "oidc.device_code", typed, methods=["POST"])
    app.add_url_rule(CONFIRM_PATH, "oidc.device_confirm", confirm, methods=["POST"])
    app.add_url_rule(QR_PATH, "oidc.device_qr", qr_code)


@require_user
def device() -> ResponseReturnValue:
    """Ask for the code, or, where the address brought it along, for the person's word."""
    code = request.args.get("user_code", "")
    return _look_up(code) if code else _form()


@require_user
def typed() -> ResponseReturnValue:
    """The code as it was typed."""
    return _look_up(request.form.get("user_code", ""))


@require_user
def confirm() -> ResponseReturnValue:
    """The person's word."""
    provider, person = current_provider(), require_current_user()
    code = request.form.get("user_code", "")
    approve = request.form.get("decision") == "connect"
    asking = _find(provider, person, code)
    if asking is None:
        return _form(code, wrong=True)
    now = provider.now()
    sign_in = SignIn(person.created_at, person.method, None)
    with provider.database.write() as s:
        answered = devices.answer(
            s, now, code, user_id=person.user_id, sign_in=sign_in, approve=approve
        )
        if answered:
            _note(s, now, person, asking, "connected" if approve else "denied")
    if not answered:  # it ran out, or somebody answered, in this very moment
        return _form(code, wrong=True)
    return _page("oidc/device_done.html", approved=approve)


def qr_code() -> ResponseReturnValue:
    """A picture for the device's display that leads a phone's camera to this page with the code.

    `format` is svg (default) or png; `scale` is pixels for each dot, 1 to 20.
    """
    code = devices.normal_code(request.args.get("user_code", ""))
    kind = request.args.get("format", "svg")
    scale = request.args.get("scale", 6, type=int)
    if len(code) != devices.CODE_LENGTH or kind not in _PICTURES or not 1 <= scale <= 20:
        raise NotFound
    target = current_provider().url(f"{DEVICE_PATH}?user_code={code[:4]}-{code[4:]}")
    out = io.BytesIO()
    segno.make_qr(target, error="m").save(out, kind=kind, scale=scale, border=4)
    headers = {"Cross-Origin-Resource-Policy": "cross-origin"}
    return Response(out.getvalue(), 200, headers, content_type=_PICTURES[kind])


def _look_up(code: str) -> ResponseReturnValue:
    asking = _find(current_provider(), require_current_user(), code)
    if asking is None:
        return _form(code, wrong=True)
    plain = devices.normal_code(code)
    return _page(
        "oidc/device_confirm.html",
        asking=asking,
        code=f"{plain[:4]}-{plain[4:]}",
        wishes=labels_of(asking.scope.split()),
        action=CONFIRM_PATH,
    )


def _find(provider: Provider, person: CurrentUser, code: str) -> Asking | None:
    """Return the device grant of this code, or None.

    Each look costs an attempt; only a right code gives it back. Raises Throttled.
    """
    now, address = provider.now(), request.remote_addr or ""
    try:
        slot = throttle.reserve(
            provider.database,
            f"device:{person.user_id}",
            f"device-{throttle.address_key(address)}",
            _PER_PERSON,
            _PER_ADDRESS,
            now,
        )
    except Throttled as full:
        refusal = ThrottledKey(_EVENT, person.email, address, person.user_id)
        with provider.database.fast_write() as h:
            full.code = throttle_list.note(h, full, refusal, now)
        raise
    with provider.database.write() as s:
        asking = devices.find(s, now, code)
        if asking is None:
            throttle.fail(s, slot, now)
        else:
            throttle.cancel(s, slot)
    return asking


def _form(code: str = "", *, wrong: bool = False) -> ResponseReturnValue:
    error = _("This code is not known. Check the device: codes last ten minutes.") if wrong else ""
    return _page("oidc/device.html", 400 if wrong else 200, code=code[:20], error=error)


def _page(template: str, status: int = 200, **context: object) -> Response:
    page = render_template(template, **context)
    return Response(page, status, content_type="text/html; charset=utf-8")


def _note(s: Session, now: datetime, person: CurrentUser, asking: Asking, outcome: str) -> None:
    audit.append(
        s,
        _EVENT,
        now=now,
        outcome=outcome,
        actor=person.username,
        user_id=person.user_id,
        address=request.remote_addr or "",
        detail={
            "app": asking.client_name,
            "client": asking.client_id,
            "device_address": asking.address,
        },
    )
