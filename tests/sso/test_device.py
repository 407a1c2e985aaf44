"""A desk phone signs in: RFC 8628."""

from __future__ import annotations

import re
from typing import Any

from werkzeug.test import TestResponse

from tests.records import audit_events
from tests.servers.sso import ISSUER, Person, RegisteredApp, Sso, error_of

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
SCOPE = "openid phone offline_access"


def _phone(sso: Sso, **more: Any) -> RegisteredApp:
    return sso.register("Desk phone", auth_method="none", **more)


def _start(sso: Sso, app: RegisteredApp, scope: str = SCOPE) -> dict[str, Any]:
    response = sso.browser().post("/oauth/device", data={"client_id": app.id, "scope": scope})
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.get_json()
    return body


def _poll(sso: Sso, app: RegisteredApp, started: dict[str, Any]) -> TestResponse:
    return sso.token(app, grant_type=DEVICE, device_code=started["device_code"])


def _answer(person: Person, code: str, decision: str = "connect") -> TestResponse:
    form = {"user_code": code, "decision": decision}
    return person.browser.post("/device/confirm", data=form)


def test_the_whole_way(sso: Sso) -> None:
    app = _phone(sso)
    started = _start(sso, app)
    code = started["user_code"]
    assert re.fullmatch("[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", code)
    assert {name: started[name] for name in started if name != "device_code"} == {
        "user_code": code,
        "verification_uri": f"{ISSUER}/device",
        "verification_uri_complete": f"{ISSUER}/device?user_code={code}",
        "qr_code_uri": f"{ISSUER}/device/qr?user_code={code}",
        "expires_in": 600,
        "interval": 5,
    }
    assert error_of(_poll(sso, app, started)) == (400, "authorization_pending")
    person = sso.person(extension="4711")
    page = person.browser.get("/device", query_string={"user_code": code})
    assert (page.status_code, "Desk phone" in page.text, code in page.text) == (200, True, True)
    assert "Device connected" in _answer(person, code).text
    sso.clock.pass_(seconds=5)
    given = _poll(sso, app, started).get_json()
    assert sso.userinfo(given["access_token"]).get_json() == {
        "sub": person.subject,
        "phone_number": "4711",
        "phone_number_verified": True,
    }
    assert sso.refresh(app, given["refresh_token"]).status_code == 200
    assert error_of(_poll(sso, app, started)) == (400, "invalid_grant")
    with sso.database.read() as s:
        notes = audit_events(s, user_id=person.id)
    assert [(note.event, note.outcome) for note in notes] == [
        ("app-sign-in", "signed-in"),
        ("app-device", "connected"),
    ]


def test_the_code_may_be_typed_in_any_way(sso: Sso) -> None:
    started, person = _start(sso, _phone(sso)), sso.person()
    typed = started["user_code"].replace("-", " ").lower()
    page = person.browser.post("/device", data={"user_code": f" {typed} "})
    assert (page.status_code, started["user_code"] in page.text) == (200, True)


def test_a_person_who_refuses(sso: Sso) -> None:
    app = _phone(sso)
    started, person = _start(sso, app), sso.person()
    assert "Device refused" in _answer(person, started["user_code"], "refuse").text
    assert error_of(_poll(sso, app, started)) == (400, "access_denied")
    assert _answer(person, started["user_code"]).status_code == 400


def test_hasty_polls_are_slowed_down(sso: Sso) -> None:
    app = _phone(sso)
    started = _start(sso, app)
    said = []
    for pause in (0, 4, 9, 14, 15):
        sso.clock.pass_(seconds=pause)
        said.append(error_of(_poll(sso, app, started))[1])
    slow, pending = "slow_down", "authorization_pending"
    assert said == [pending, slow, slow, slow, slow]
    sso.clock.pass_(seconds=25)
    assert error_of(_poll(sso, app, started))[1] == pending


def test_codes_run_out(sso: Sso) -> None:
    app = _phone(sso)
    started, person = _start(sso, app), sso.person()
    sso.clock.pass_(seconds=600)
    assert error_of(_poll(sso, app, started)) == (400, "expired_token")
    assert _answer(person, started["user_code"]).status_code == 400


def test_another_app_cannot_take_the_tokens(sso: Sso) -> None:
    app, thief = _phone(sso), _phone(sso)
    started = _start(sso, app)
    _answer(sso.person(), started["user_code"])
    assert error_of(_poll(sso, thief, started)) == (400, "invalid_grant")
    assert _poll(sso, app, started).status_code == 200


def test_guessing_codes_is_throttled(sso: Sso) -> None:
    started, person = _start(sso, _phone(sso)), sso.person()
    tries = [
        person.browser.post("/device", data={"user_code": f"BBBB-BBB{letter}"})
        for letter in "BCDFGHJKLMN"
    ]
    assert [one.status_code for one in tries] == [400] * 10 + [429]
    assert tries[-1].headers["Retry-After"] == "600"
    right = person.browser.get("/device", query_string={"user_code": started["user_code"]})
    assert right.status_code == 429
    assert _answer(person, started["user_code"]).status_code == 429
    assert _answer(sso.person("jane.roe"), started["user_code"]).status_code == 200


def test_right_codes_cost_no_attempt(sso: Sso) -> None:
    app, person = _phone(sso), sso.person()
    for _ in range(15):
        assert _answer(person, _start(sso, app)["user_code"]).status_code == 200


def test_nobody_signed_in_is_led_to_sign_in_and_back(sso: Sso) -> None:
    code = _start(sso, _phone(sso))["user_code"]
    response = sso.browser().get("/device", query_string={"user_code": code})
    assert response.status_code == 302
    assert response.headers["Location"] == f"/login?next=/device%3Fuser_code%3D{code}"


def test_another_site_cannot_connect_a_device(sso: Sso) -> None:
    started, person = _start(sso, _phone(sso)), sso.person()
    form = {"user_code": started["user_code"], "decision": "connect"}
    refused = person.browser.post(
        "/device/confirm", data=form, headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert refused.status_code == 403


def test_a_person_who_left_connects_nothing(sso: Sso) -> None:
    from kerauno.accounts import users
    from kerauno.accounts.access_revocation import end_access

    app = _phone(sso, backchannel_logout_uri="https://phones.goodcompany.local/out")
    started, person = _start(sso, app), sso.person()
    given_started = _start(sso, app)
    _answer(person, started["user_code"])
    _answer(person, given_started["user_code"])
    given = _poll(sso, app, given_started).get_json()
    with sso.database.write() as s:
        users.get(s, person.id).active = False
        end_access(s, [person.id], sso.clock())
    assert error_of(_poll(sso, app, started)) == (400, "invalid_grant")
    assert error_of(sso.refresh(app, given["refresh_token"])) == (400, "invalid_grant")


def test_faulty_starts(sso: Sso) -> None:
    app = _phone(sso)
    no_devices = sso.register("Web", auth_method="none", grant_types=("authorization_code",))
    for data, expected in (
        ({"client_id": "nobody"}, (401, "invalid_client")),
        ({"client_id": app.id, "scope": "nonsense"}, (400, "invalid_scope")),
        ({"client_id": no_devices.id}, (400, "unauthorized_client")),
        ({"client_id": [app.id, app.id]}, (400, "invalid_request")),
    ):
        assert error_of(sso.browser().post("/oauth/device", data=data)) == expected


def test_the_picture_leads_to_the_page(sso: Sso) -> None:
    code = _start(sso, _phone(sso))["user_code"]
    svg = sso.browser().get("/device/qr", query_string={"user_code": code})
    assert (svg.status_code, svg.content_type, b"<svg" in svg.data) == (200, "image/svg+xml", True)
    png = sso.browser().get("/device/qr", query_string={"user_code": code, "format": "png"})
    assert (png.content_type, png.data[:4]) == ("image/png", b"\x89PNG")
    for query in ({"user_code": "BCDF"}, {"user_code": code, "scale": "999"}, {}):
        assert sso.browser().get("/device/qr", query_string=query).status_code == 404
