"""Addresses and forms that no browser sends, on both kinds of database."""

from __future__ import annotations

import pytest

from authsvc.console.pagination import pack
from tests.console.helpers import asked
from tests.servers.console import ConsoleSite, guid


class TestOddAddresses:
    """Requests that a browser never sends, on both kinds of database."""

    def test_an_id_that_no_record_can_have_is_not_found(self, any_site: ConsoleSite) -> None:
        any_site.connected()
        client = any_site.client()
        huge = 10**30
        for path in (
            f"/console/users/{huge}",
            f"/console/users/{huge}/timeline",
            f"/console/runs/{huge}",
            f"/console/runs/requests/{huge}",
            f"/console/directory/users/{'x' * 500}",
            f"/console/directory/departments/{'%00'}",
            f"/departments/{huge}",
            f"/phonebook/user-{huge}.vcf",
            f"/api/v1/users/{huge}",
        ):
            assert client.get(path).status_code == 404, path

    def test_a_cursor_made_by_hand_is_no_cursor(self, any_site: ConsoleSite) -> None:
        any_site.connected()
        client = any_site.client()
        huge, texts = pack([2**62]), pack(["\0", "\0"])
        for path, cursor in (
            ("/console/audit", huge),
            ("/console/runs", huge),
            ("/console/runs", "nonsense"),
            ("/console/directory/users", texts),
            ("/console/users", pack(["a", "b", 2**62])),
            (f"/console/users/{any_site.admin_id}/timeline", pack([2**62, 2**62])),
        ):
            answer = client.get(path, query_string={"after": cursor})
            assert answer.status_code == 200, (path, answer.status_code)

    def test_a_nul_is_refused_or_passed_over(self, any_site: ConsoleSite) -> None:
        any_site.connected()
        client = any_site.client()
        for path in ("directory/users", "directory/departments", "users", "audit", "audit/code"):
            answer = client.get(f"/console/{path}", query_string={"q": "a\0b", "code": "\0"})
            assert answer.status_code == 400
        for path in ("/phonebook", "/phonebook.csv", "/phonebook.vcf"):
            assert client.get(path, query_string={"q": "a\0b"}).status_code == 200

    @pytest.mark.parametrize("name", ["email", "first_name", "last_name", "username", "extension"])
    def test_a_nul_in_a_users_field_is_said_to_be_wrong(
        self, any_site: ConsoleSite, name: str
    ) -> None:
        data = {"email": "tom@goodcompany.local", "first_name": "Tom", "last_name": "Turner"}
        answer = any_site.client().post("/console/users/new", data=data | {name: "a\0b"})
        assert answer.status_code == 422

    def test_hostile_forms_ask_for_nothing(self, any_site: ConsoleSite) -> None:
        any_site.connected()
        client = any_site.client()
        data = {"only": "selected", "guid": ["\0", "x" * 10_000, guid(999)]}
        client.post("/console/directory/users/synchronize", data=data)
        assert asked(any_site)[0][1].get("guids", []) == []
        answer = client.post("/console/phones", data={"name": "\0", "kind": "cisco"})
        assert answer.status_code == 422
        path = f"/console/users/{any_site.admin_id}/sessions/end"
        assert client.post(path, data={"handle": "\0" * 50}).status_code in (303, 400)
