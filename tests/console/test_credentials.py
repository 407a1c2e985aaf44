"""The AD Credentials tab: bad input, two administrators, where the password may go."""

from __future__ import annotations

import json
import ssl
from io import BytesIO

import pytest
from joserfc.jwk import RSAKey
from sqlalchemy import select

from kerauno.sync import directory_settings, runs
from kerauno.tables.core import RunRequest
from tests.console.helpers import CREDENTIALS, LONG, MARKUP, asked, follow, form, stored
from tests.servers.console import NOW, PROFILE, ConsoleSite, guid, owned_user
from tests.servers.pki import CertificateAuthority
from tests.texts.pseudo import Reading


class TestCredentials:
    def test_the_first_save_stores_and_asks_for_a_read(self, site: ConsoleSite) -> None:
        client = site.client()
        answer = client.post(CREDENTIALS, data=form(ring_group_range="600-699", map_login="mail"))
        assert "AD Credentials saved" in follow(client, answer).text
        saved = stored(site)
        assert (saved.ring_group_first, saved.ring_group_last) == ("600", "699")
        assert saved.profile["attributes"]["login"] == ["mail"]
        assert saved.login_without_domain is True
        assert site.sealer.open(saved.sealed_password) == "Service!Pass1"
        assert asked(site) == [("keep", {})]

    def test_the_password_never_comes_back_to_a_browser(self, site: ConsoleSite) -> None:
        site.connected()
        page = site.client().get(CREDENTIALS).text
        assert "Service!Pass1" not in page
        assert stored(site).sealed_password not in page

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"servers": ""}, "AD Server"),
            ({"servers": "ldap://dc1"}, "AD Server"),
            ({"port": "ninety"}, "AD Port"),
            ({"port": "70000"}, "AD Port"),
            ({"encryption": "none"}, "Encryption"),
            ({"username": ""}, "AD Username"),
            ({"user_search_dn": ""}, "AD User Search DN"),
            ({"advanced": "yes", "user_filter": "((("}, "Filter for people"),
            ({"ring_group_range": "699-600"}, "Ring group numbers"),
            ({"reserve_days": "-1"}, "Keep a leaver"),
        ],
    )
    def test_each_fault_names_its_field_and_nothing_is_lost(
        self, site: ConsoleSite, reading: Reading, changes: dict[str, str], field: str
    ) -> None:
        reading.allow("at position: expected attribute, operator and value, such as mail")
        answer = site.client().post(CREDENTIALS, data=form(tls_name="kept.example", **changes))
        assert answer.status_code == 422
        assert field in answer.text
        assert "kept.example" in answer.text
        with site.database.read() as s:
            assert directory_settings.load(s) is None

    def test_several_faults_are_told_at_once(self, site: ConsoleSite) -> None:
        answer = site.client().post(CREDENTIALS, data=form(servers="", port="x", username=""))
        assert "3 fields need your attention" in answer.text

    def test_an_empty_box_keeps_the_stored_password(self, site: ConsoleSite) -> None:
        site.connected()
        version = str(stored(site).version)
        client = site.client()
        answer = client.post(CREDENTIALS, data=form(password="", version=version, reserve_days="7"))
        assert follow(client, answer).status_code == 200
        assert site.sealer.open(stored(site).sealed_password) == "Service!Pass1"
        assert stored(site).reserve_days == 7

    @pytest.mark.parametrize(
        "changes",
        [
            {"servers": "evil.example"},
            {"servers": "dc1.goodcompany.local, evil.example"},
            {"port": "3389"},
            {"tls_name": "evil.example"},
            {"username": "other@goodcompany.local"},
            {"encryption": "none", "plaintext_accepted": "yes"},
        ],
    )
    @pytest.mark.parametrize("path", ["", "/test", "/find?field=user_search_dn", "/suggest"])
    def test_the_stored_password_goes_to_no_other_server(
        self, site: ConsoleSite, changes: dict[str, str], path: str
    ) -> None:
        site.connected()
        version = str(stored(site).version)
        data = form(password="", version=version, part="1", field="user_search_dn", **changes)
        site.client().post(CREDENTIALS + path, data=data).get_data()
        sent = [profile.password.get_secret_value() for profile in site.profiles]
        assert "Service!Pass1" not in sent
        assert site.sealer.open(stored(site).sealed_password) == "Service!Pass1"

    def test_the_second_of_two_administrators_is_shown_the_firsts_change(
        self, site: ConsoleSite
    ) -> None:
        site.connected()
        seen = str(stored(site).version)
        client = site.client()
        first = client.post(CREDENTIALS, data=form(version=seen, reserve_days="90"))
        assert first.status_code == 303
        second = client.post(CREDENTIALS, data=form(version=seen, reserve_days="10"))
        assert second.status_code == 409
        assert "saved these settings while you had them open" in second.text
        assert "90" in second.text
        assert stored(site).reserve_days == 90
        again = client.post(
            CREDENTIALS, data=form(version=str(stored(site).version), reserve_days="10")
        )
        assert again.status_code == 303
        assert stored(site).reserve_days == 10

    def test_a_change_of_scope_is_planned_before_it_is_saved(self, site: ConsoleSite) -> None:
        site.connected()
        owned_user(site, 1, "Anna", "Berg")
        version = stored(site).version
        client = site.client()
        new = "OU=Staff,DC=goodcompany,DC=local"
        answer = client.post(CREDENTIALS, data=form(version=str(version), user_search_dn=new))
        assert "/review/" in answer.location
        (kind, payload), *_ = asked(site)
        assert kind == "plan"
        assert payload["settings"]["profile"]["user_search_dn"] == new
        assert "Service!Pass1" not in str(payload)
        assert stored(site).profile["user_search_dn"] == PROFILE.user_search_dn
        page = follow(client, answer)
        assert "Working out the effect" in page.text
        plan = {
            "actions": [
                {"action": "deactivate", "guid": guid(1), "username": MARKUP, "email": "a@b.de",
                 "extension": "2001", "changes": {"active": {"before": True, "after": False}}}
            ],
            "departments": [], "conflicts": [], "emptied": ["Sales"], "digest": "d",
        }  # fmt: skip
        with site.database.write() as s:
            request = s.scalars(select(RunRequest)).one()
            runs.finish_request(s, request.id, NOW, result={"plan": plan})
        page = client.get(answer.location)
        assert "1 person would no longer be recognized" in page.text
        assert "Sales" in page.text
        assert "<script>alert" not in page.text
        assert client.post(answer.location).status_code == 303
        assert stored(site).profile["user_search_dn"] == new

    def test_a_reviewed_save_is_stale_when_somebody_saved_meanwhile(
        self, site: ConsoleSite
    ) -> None:
        site.connected()
        owned_user(site, 1, "Anna", "Berg")
        version = str(stored(site).version)
        client = site.client()
        answer = client.post(CREDENTIALS, data=form(version=version, advanced="yes"))
        with site.database.write() as s:
            directory_settings.save(s, {"reserve_days": 60}, by="bea@goodcompany.local", now=NOW)
        late = client.post(answer.location)
        assert late.status_code == 409
        assert "bea@goodcompany.local" in late.text
        assert stored(site).profile["advanced"] is False

    def test_without_a_sync_service_one_may_save_without_knowing_the_effect(
        self, site: ConsoleSite
    ) -> None:
        site.connected(heard=False)
        owned_user(site, 1, "Anna", "Berg")
        version = str(stored(site).version)
        client = site.client()
        answer = client.post(CREDENTIALS, data=form(version=version, advanced="yes"))
        page = follow(client, answer)
        assert "The sync service does not answer" in page.text
        assert "Save without knowing the effect" in page.text

    def test_the_steps_of_a_test_arrive_with_their_remedy(
        self, site: ConsoleSite, reading: Reading
    ) -> None:
        reading.allow(  # what this directory in memory says
            "The server answers.", "The service account may sign in.", "people", "departments"
        )
        site.directory.down = True
        answer = site.client().post(f"{CREDENTIALS}/test", data=form(part="1"))
        assert "The test failed" in answer.text
        assert "Start the server." in answer.text
        site.directory.down = False
        answer = site.client().post(f"{CREDENTIALS}/test", data=form())
        assert "The test was successful" in answer.text
        assert answer.text.rstrip().endswith("</html>")  # a whole page without a script

    def test_a_file_that_is_no_certificate_is_refused(self, site: ConsoleSite) -> None:
        import io

        data = form() | {"ca_file": (io.BytesIO(b"\x30\x82DER"), "ca.crt")}
        answer = site.client().post(CREDENTIALS, data=data, content_type="multipart/form-data")
        assert answer.status_code == 422
        assert "The CA certificate cannot be read." in answer.text

    @pytest.mark.parametrize("text", [LONG, MARKUP, "\x00", "\u202e", "\uffff", "{{ 7*7 }}"])
    def test_no_text_in_any_field_breaks_the_page_or_runs(
        self, site: ConsoleSite, text: str
    ) -> None:
        client = site.client()
        for name in [*form(), "tls_name", "user_filter", "map_login", "guard_count"]:
            answer = client.post(CREDENTIALS, data=form(**{name: text}))
            assert answer.status_code in (303, 409, 422)
            assert "<script>alert" not in answer.text
            assert ">49<" not in answer.text


def _bundle(name: str) -> tuple[str, str]:
    """Return a CA certificate as PEM, and its private key as PEM."""
    key = RSAKey.generate_key(2048).as_pem(private=True).decode()
    return CertificateAuthority(name).pem, key


class TestWhatWasRefusedAsSecret:
    @pytest.mark.parametrize("parts", ["key", "certificate then key", "key then certificate"])
    def test_an_uploaded_private_key_never_comes_back(self, site: ConsoleSite, parts: str) -> None:
        pem, key = _bundle("Goodcompany CA")
        text = {"key": key, "certificate then key": pem + key}.get(parts, key + pem)
        file = (BytesIO(text.encode()), "ca.pem")
        answer = site.client().post(CREDENTIALS, data=form() | {"ca_file": file})
        assert answer.status_code == 422
        assert "The CA certificate comes with a private key." in answer.text
        assert not _tells(answer.text, key)
        with site.database.read() as s:
            assert directory_settings.load(s) is None

    def test_nor_does_one_in_the_hidden_field(self, site: ConsoleSite) -> None:
        pem, key = _bundle("Goodcompany CA")
        answer = site.client().post(CREDENTIALS, data=form(ca_certificates=pem + key))
        assert answer.status_code == 422
        assert not _tells(answer.text, key)

    def test_a_key_under_the_name_of_a_certificate_does_not_either(self, site: ConsoleSite) -> None:
        _, key = _bundle("Goodcompany CA")
        disguised = key.replace("PRIVATE KEY", "CERTIFICATE")
        answer = site.client().post(CREDENTIALS, data=form(ca_certificates=disguised))
        assert answer.status_code == 422
        assert not _tells(answer.text, key)

    def test_the_certificates_of_the_form_survive_a_refused_upload(
        self, site: ConsoleSite, reading: Reading
    ) -> None:
        reading.allow("Goodcompany CA")
        pem, key = _bundle("Goodcompany CA")
        data = form(ca_certificates=pem) | {"ca_file": (BytesIO(key.encode()), "ca.pem")}
        answer = site.client().post(CREDENTIALS, data=data)
        assert answer.status_code == 422
        assert _tells(answer.text, pem)
        assert not _tells(answer.text, key)

    def test_a_certificate_as_windows_exports_it_is_taken(self, site: ConsoleSite) -> None:
        pem, _ = _bundle("Goodcompany CA")
        file = (BytesIO(ssl.PEM_cert_to_DER_cert(pem)), "ca.cer")
        answer = site.client().post(CREDENTIALS, data=form() | {"ca_file": file})
        assert answer.status_code == 303
        assert stored(site).profile["ca_certificates"] == pem

    @pytest.mark.parametrize("bare", [True, False])
    def test_an_apps_private_keys_never_come_back(self, site: ConsoleSite, bare: bool) -> None:
        key = RSAKey.generate_key(2048).as_dict(private=True)
        data = {
            "name": "App",
            "auth_method": "private_key_jwt",
            "redirect_uris": "https://app.company.com/cb",
            "jwks": json.dumps(key if bare else {"keys": [key]}),
        }
        answer = site.client().post("/console/clients/new", data=data)
        assert answer.status_code == 422
        assert "The keys are private: an app keeps those to itself." in answer.text
        assert str(key["d"]) not in answer.text
        assert "https://app.company.com/cb" in answer.text


def _tells(page: str, pem: str) -> bool:
    """Return whether a line of the PEM block's content is in the page."""
    lines = [line for line in pem.splitlines() if line and not line.startswith("-----")]
    return any(line in page for line in lines)
