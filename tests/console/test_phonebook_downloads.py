"""The phone book as files, and the addresses under which desk phones read it."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from sqlalchemy import select

from kerauno.tables.phone_access import PhoneAccess
from tests.servers.console import NOW, ConsoleSite, guid
from tests.texts.pseudo import Reading


@pytest.fixture
def site(tmp_path: Path, sqlite_url: str) -> Iterator[ConsoleSite]:
    """Two people with extensions, one without, one who left, and a department."""
    made = ConsoleSite(tmp_path, sqlite_url)
    anna = made.user("anna.berg@goodcompany.local", "Anna", "Berg", extension="201")
    made.user("zoe.mueller@goodcompany.local", "Zoë", "Müller", extension="202")
    made.user("no.number@goodcompany.local", "No", "Number")
    gone = made.user("gone.soon@goodcompany.local", "Gone", "Soon", extension="203")
    made.client().post(f"/console/users/{gone}/deactivate")
    made.department(guid(60), "Sales", "600", [anna])
    yield made
    made.close()


def address_of(site: ConsoleSite, kind: str) -> str:
    """Make an access in the console; gives the path of the address shown."""
    page = site.client().post("/console/phones", data={"name": "London", "kind": kind}).text
    found = re.search(r'id="address">([^<]+)<', page)
    assert found
    assert found[1].startswith(site.url)
    return found[1].removeprefix(site.url)


def test_csv_and_vcards_hold_who_can_be_dialled(site: ConsoleSite) -> None:
    client = site.client()
    table = client.get("/phonebook.csv").get_data(as_text=True)
    assert [line.split(",")[3] for line in table.splitlines()[1:]] == ["201", "202", "600"]
    cards = client.get("/phonebook.vcf")
    assert cards.content_type == "text/vcard; charset=utf-8"
    assert cards.text.count("BEGIN:VCARD") == 3
    assert "FN:Zoë Müller" in cards.text


def test_a_download_holds_what_the_search_finds(site: ConsoleSite) -> None:
    found = site.client().get("/phonebook.csv?q=müller").get_data(as_text=True)
    assert len(found.splitlines()) == 2


def test_one_persons_card_and_none_for_who_is_not_in_the_book(site: ConsoleSite) -> None:
    client = site.client()
    assert "TEL;TYPE=work,voice:201" in client.get("/phonebook/user-2.vcf").text
    for user_id in (1, 4, 5, 99):  # no number, no number, left, nobody
        assert client.get(f"/phonebook/user-{user_id}.vcf").status_code == 404


@pytest.mark.parametrize(
    ("kind", "tag", "numbers"),
    [
        ("yealink", "YealinkIPPhoneDirectory", ".//Telephone"),
        ("grandstream", "AddressBook", ".//phonenumber"),
        ("cisco", "CiscoIPPhoneDirectory", ".//Telephone"),
    ],
)
def test_a_phone_reads_the_book_under_its_own_address(
    site: ConsoleSite, kind: str, tag: str, numbers: str
) -> None:
    path = address_of(site, kind)
    if kind == "grandstream":
        path += "/phonebook.xml"  # the phone adds it
    answer = site.anonymous().get(path)
    assert answer.content_type == "text/xml; charset=utf-8"
    root = ET.fromstring(answer.data)
    assert root.tag == tag
    assert [one.text for one in root.findall(numbers)] == ["201", "202", "600"]


def test_the_token_is_taken_as_a_password_too(site: ConsoleSite) -> None:
    token = address_of(site, "yealink").split("/")[-2]
    given = base64.b64encode(f"phone:{token}".encode()).decode()
    headers = {"Authorization": f"Basic {given}"}
    client = site.anonymous()
    path = "/phonebook/phones/directory.xml"
    assert client.get(path, headers=headers).status_code == 200
    refused = client.get(path)
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"].lower().startswith("basic")


def test_a_withdrawn_address_is_worth_nothing_at_once(site: ConsoleSite) -> None:
    path = address_of(site, "yealink")
    assert site.anonymous().get(path).status_code == 200
    site.client().post("/console/phones/1/remove")
    assert site.anonymous().get(path).status_code == 404


def test_the_token_is_shown_once_and_only_its_digest_is_kept(site: ConsoleSite) -> None:
    path = address_of(site, "yealink")
    token = path.split("/")[-2]
    assert token not in site.client().get("/console/phones").text
    with site.database.read() as s:
        (access,) = s.scalars(select(PhoneAccess)).all()
    assert token not in str(vars(access))


def test_when_a_phone_last_read_is_shown(site: ConsoleSite) -> None:
    path = address_of(site, "yealink")
    assert "never read" in site.client().get("/console/phones").text
    site.anonymous().get(path)
    with site.database.read() as s:
        (access,) = s.scalars(select(PhoneAccess)).all()
    assert access.used_at == NOW


@pytest.mark.parametrize("start", ["0", "-1", "x", "99999999999", "32"])
def test_a_cisco_page_begins_where_it_is_asked_to(site: ConsoleSite, start: str) -> None:
    path = address_of(site, "cisco")
    assert site.anonymous().get(path, query_string={"start": start}).status_code == 200


@pytest.mark.parametrize("data", [{"name": "", "kind": "cisco"}, {"name": "x", "kind": "toaster"}])
def test_a_half_filled_form_makes_no_access(
    site: ConsoleSite, reading: Reading, data: dict[str, str]
) -> None:
    reading.allow("yealink, grandstream, cisco")  # what the form would have sent
    answer = site.client().post("/console/phones", data=data)
    assert answer.status_code == 422
    assert "No access was made" in answer.text


def test_nobody_reads_the_downloads_without_signing_in(site: ConsoleSite) -> None:
    for path in ("/phonebook.csv", "/phonebook.vcf", "/phonebook/user-2.vcf"):
        assert site.anonymous().get(path).status_code == 302
