"""The demo directory behaves as Active Directory does, and where both can be asked, identically."""

from __future__ import annotations

import socket
import uuid
from typing import Any

import ldap3
import pytest
from ldap3.utils.conv import escape_bytes

from demo import company, edit
from demo.company import PASSWORD
from tests.servers.demo import DemoDirectory
from tests.servers.process import listening
from tests.servers.samba import SambaDC

JOHN = "CN=John Doe,OU=Sales,OU=Staff,DC=goodcompany,DC=local"
SALES = "CN=Sales,OU=Departments,DC=goodcompany,DC=local"
ON_CALL = "CN=On Call,OU=Departments,DC=goodcompany,DC=local"

FILTERS = [
    "(&(objectCategory=person)(sAMAccountType=805306368))",
    "(sAMAccountName=JOHN.doe)",
    "(givenName=zoë)",
    "(givenName=ZOË)",
    "(sn=G*rc*a)",
    "(sn=*ll*)",
    "(cn=*smith)",
    "(!(mail=*))",
    "(!(ipPhone=1*))",
    "(&(objectClass=user)(|(ipPhone=1001)(telephoneNumber=*x1023)))",
    "(&(objectClass=user)(userAccountControl:1.2.840.113556.1.4.803:=2))",
    "(&(objectClass=user)(!(userAccountControl:1.2.840.113556.1.4.803:=2)))",
    f"(&(objectClass=user)(memberOf={SALES}))",
    f"(&(objectClass=user)(memberOf:1.2.840.113556.1.4.1941:={SALES}))",
    f"(&(objectClass=user)(memberOf:1.2.840.113556.1.4.1941:={ON_CALL}))",
    "(objectClass=doesNotExist)",
    "(&(objectClass=user)(pwdLastSet=0))",
    "(mail=alex@company.com)",
]
GROUP_FILTERS = [
    "(objectClass=group)",
    "(&(objectClass=group)(groupType:1.2.840.113556.1.4.803:=2147483648))",
    f"(member={JOHN})",
    f"(member:1.2.840.113556.1.4.1941:={JOHN})",
    "(&(objectClass=group)(!(member=*)))",
]


def names(connection: Any, base: str, wanted: str) -> set[str]:
    """The account names that a search finds."""
    connection.search(base, wanted, attributes=["sAMAccountName"])
    return {one["raw_attributes"]["sAMAccountName"][0].decode() for one in connection.response}


@pytest.mark.samba
def test_searches_find_what_a_real_ad_finds(
    demo_directory: DemoDirectory, samba_dc: SambaDC
) -> None:
    ours, theirs = demo_directory.connect(), samba_dc.connect()
    for kind, filters in (("user", FILTERS), ("group", GROUP_FILTERS)):
        base = f"{company.STAFF if kind == 'user' else company.DEPARTMENTS},{company.BASE}"
        for one in filters:
            wanted = f"(&(objectClass={kind}){one})"
            assert names(ours, base, wanted) == names(theirs, base, wanted), one


BIND_NAMES = [
    "john.doe@goodcompany.local",
    "JOHN.DOE@GoodCompany.Local",
    "john.doe@COMPANY",
    "COMPANY\\john.doe",
    "company\\John.Doe",
    JOHN,
    JOHN.lower().replace(",", ", "),
    "john.doe",
    "john.doe@company.com",
    ".\\john.doe",
    "OTHER\\john.doe",
    "John Doe",
    "nobody@goodcompany.local",
    "*",
    "CN=Nobody,DC=goodcompany,DC=local",
]


@pytest.mark.samba
def test_binds_are_answered_as_a_real_ad_answers(
    demo_fresh: DemoDirectory, samba_dc: SambaDC
) -> None:
    for name in BIND_NAMES:
        for password in (PASSWORD, "wrong"):
            theirs = samba_dc.refusal(name, password)
            assert demo_fresh.refusal(name, password) == theirs, (name, password)
    for account in ("dora.frank", "emil.frank", "nina.new", "otto.old"):
        for password in (PASSWORD, "wrong"):
            name = f"{account}@{company.DNS_DOMAIN}"
            assert demo_fresh.refusal(name, password) == samba_dc.refusal(name, password)


def test_binds_by_identity_survive_a_rename(demo_fresh: DemoDirectory) -> None:
    administrator = demo_fresh.connect()
    administrator.search(JOHN, "(objectClass=*)", ldap3.BASE, attributes=["objectGUID"])
    guid = uuid.UUID(bytes_le=administrator.response[0]["raw_attributes"]["objectGUID"][0])
    administrator.modify_dn(JOHN, "CN=Doe\\, John", new_superior=demo_fresh.users_dn)
    assert administrator.result["description"] == "success"
    assert demo_fresh.refusal(f"<GUID={guid}>", PASSWORD) == ""
    administrator.search(SALES, "(objectClass=*)", ldap3.BASE, attributes=["member"])
    members = administrator.response[0]["attributes"]["member"]
    assert f"CN=Doe\\, John,{demo_fresh.users_dn}" in members


def test_nothing_but_the_root_is_told_to_strangers(demo_directory: DemoDirectory) -> None:
    stranger = demo_directory.connection("", "", tls=False)
    stranger.search("", "(objectClass=*)", ldap3.BASE, attributes=["*"])
    root = stranger.response[0]["attributes"]
    assert root["defaultNamingContext"] == [company.BASE]
    assert int(root["domainFunctionality"][0]) >= 4
    stranger.search(company.BASE, "(objectClass=*)")
    assert (stranger.result["result"], stranger.response) == (1, [])


def test_the_domain_knows_its_short_name(demo_directory: DemoDirectory) -> None:
    connection = demo_directory.connect()
    partitions = f"CN=Partitions,CN=Configuration,{company.BASE}"
    connection.search(partitions, f"(nCName={company.BASE})", attributes=["nETBIOSName"])
    names_found = [one["raw_attributes"]["nETBIOSName"] for one in connection.response]
    assert names_found == [[company.NETBIOS.encode()]]


def test_paging_gives_everyone_once(demo_directory: DemoDirectory) -> None:
    connection = demo_directory.connect()
    found = connection.extend.standard.paged_search(
        company.BASE, "(objectClass=user)", attributes=["sAMAccountName"], paged_size=7
    )
    accounts = [one["raw_attributes"]["sAMAccountName"][0].decode() for one in found]
    assert len(accounts) == len(set(accounts))
    assert set(accounts) > {one.account for one in company.PEOPLE}


def test_more_than_a_thousand_are_cut_as_windows_does(demo_fresh: DemoDirectory) -> None:
    connection = demo_fresh.connect()
    unit = f"OU=Many,{company.BASE}"
    connection.add(unit, "organizationalUnit")
    dns = [f"CN=many{number:04d},{unit}" for number in range(1600)]
    for dn in dns:
        connection.add(dn, "container")
    connection.add(f"CN=Many,{unit}", "group", {"member": dns})
    connection.search(unit, "(objectClass=container)", attributes=["1.1"])
    assert (connection.result["result"], len(connection.response)) == (4, 1000)
    connection.search(unit, "(objectClass=group)", attributes=["member"])
    assert len(connection.response[0]["attributes"]["member"]) == 1600  # ldap3 follows the ranges
    connection.auto_range, connection.empty_attributes = False, False
    for asked, given, count in (("0-*", "0-1499", 1500), ("1500-*", "1500-*", 100)):
        connection.search(unit, "(objectClass=group)", attributes=[f"member;range={asked}"])
        values = connection.response[0]["raw_attributes"][f"member;range={given}"]
        assert len(values) == count


def test_changes_are_numbered(demo_fresh: DemoDirectory) -> None:
    connection = demo_fresh.connect()

    def committed() -> int:
        connection.search("", "(objectClass=*)", ldap3.BASE, attributes=["highestCommittedUSN"])
        return int(connection.response[0]["attributes"]["highestCommittedUSN"][0])

    before = committed()
    connection.modify(JOHN, {"ipPhone": [(ldap3.MODIFY_REPLACE, ["1777"])]})
    assert committed() == before + 1
    assert names(connection, company.BASE, f"(uSNChanged>={before + 1})") == {"john.doe"}


def test_deletions_are_seen_by_administrators_alone(demo_fresh: DemoDirectory) -> None:
    show_deleted = ("1.2.840.113556.1.4.417", True, None)
    connection = demo_fresh.connect()
    connection.search(JOHN, "(objectClass=*)", ldap3.BASE, attributes=["objectGUID"])
    guid = connection.response[0]["raw_attributes"]["objectGUID"][0]
    connection.delete(JOHN)
    wanted = f"(&(isDeleted=TRUE)(objectGUID={escape_bytes(guid)}))"
    connection.search(company.BASE, wanted, controls=[show_deleted])
    assert len(connection.response) == 1
    assert demo_fresh.refusal("john.doe@goodcompany.local", PASSWORD) == "52e"
    reader = demo_fresh.connect("jane.roe@goodcompany.local", PASSWORD)
    reader.search(company.BASE, wanted, controls=[show_deleted])
    assert reader.response == []
    connection.search(SALES, "(objectClass=*)", ldap3.BASE, attributes=["member"])
    assert JOHN not in connection.response[0]["attributes"]["member"]


def test_ordinary_accounts_change_nothing(demo_directory: DemoDirectory) -> None:
    reader = demo_directory.connect("jane.roe@goodcompany.local", PASSWORD)
    reader.modify(JOHN, {"ipPhone": [(ldap3.MODIFY_REPLACE, ["1"])]})
    assert reader.result["result"] == 50
    reader.delete(JOHN)
    assert reader.result["result"] == 50


def test_an_expired_password_is_changed_by_its_owner(demo_fresh: DemoDirectory) -> None:
    otto = "otto.old@goodcompany.local"
    service = demo_fresh.connect("svc-kerauno@goodcompany.local", "Service!2026")
    dn = "CN=Otto Old,OU=Administration,OU=Staff,DC=goodcompany,DC=local"
    change = service.extend.microsoft.modify_password
    assert not change(dn, "Better!Pass1", old_password="wrong")
    assert "00000056" in service.result["message"]
    assert not change(dn, "short", old_password=PASSWORD)
    assert "0000052D" in service.result["message"]
    assert not change(dn, "Reset!Pass1")
    assert service.result["result"] == 50
    assert change(dn, "Better!Pass1", old_password=PASSWORD)
    assert demo_fresh.refusal(otto, "Better!Pass1") == ""
    assert demo_fresh.refusal(otto, PASSWORD) == "52e"


def test_passwords_are_not_changed_in_the_clear(demo_directory: DemoDirectory) -> None:
    plain = demo_directory.connection(tls=False)
    assert plain.bind()
    assert not plain.extend.microsoft.modify_password(JOHN, "Better!Pass1")
    assert plain.result["result"] == 53


def test_wrong_passwords_lock(demo_fresh: DemoDirectory) -> None:
    name = "john.doe@goodcompany.local"
    assert [demo_fresh.refusal(name, "wrong") for _ in range(11)] == ["52e"] * 10 + ["775"]
    assert demo_fresh.refusal(name, PASSWORD) == "775"


def test_extended_names_carry_the_identity(demo_directory: DemoDirectory) -> None:
    connection = demo_directory.connect()
    control = ("1.2.840.113556.1.4.529", True, bytes.fromhex("3003020101"))
    connection.search(
        JOHN, "(objectClass=*)", ldap3.BASE, attributes=["memberOf"], controls=[control]
    )
    entry = connection.response[0]
    for name in (entry["dn"], entry["attributes"]["memberOf"][0]):
        guid, sid, _ = name.split(";")
        assert str(uuid.UUID(guid[6:-1])) == guid[6:-1]
        assert sid.startswith("<SID=S-1-5-21-")


def test_a_critical_control_that_is_unknown_is_refused(demo_directory: DemoDirectory) -> None:
    connection = demo_directory.connect()
    connection.search(company.BASE, "(objectClass=*)", controls=[("1.2.3.4", True, None)])
    assert connection.result["result"] == 12


@pytest.mark.parametrize(
    "junk",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        b"\x30\x84\xff\xff\xff\xff",
        b"\x30\x05\x02\x01\x01\x63\x10",
        b"\0" * 99,
    ],
)
def test_junk_ends_one_connection_and_no_other(demo_directory: DemoDirectory, junk: bytes) -> None:
    kept = demo_directory.connect()
    with socket.create_connection((demo_directory.host, demo_directory.port), 5) as peer:
        peer.settimeout(5)
        peer.sendall(junk)
        peer.shutdown(socket.SHUT_WR)
        while peer.recv(4096):
            pass
    assert "john.doe" in names(kept, company.BASE, "(objectClass=user)")
    assert listening(demo_directory.host, demo_directory.port)


def test_the_editor_changes_what_it_says(
    demo_fresh: DemoDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    address = f'{{"host": "{demo_fresh.host}", "port": {demo_fresh.port}}}'
    (demo_fresh.folder / edit.ADDRESS_FILE).write_text(address)

    def do(*arguments: str) -> int:
        return edit.main(["--folder", str(demo_fresh.folder), *arguments])

    connection = demo_fresh.connect()
    assert do("hire", "ivy.new", "Ivy", "New", "1400") == 0
    assert demo_fresh.refusal("ivy.new@goodcompany.local", PASSWORD) == ""
    assert do("rename", "ivy.new", "Ivy", "Old, really") == 0
    assert do("join", "ivy.new", "Sales") == 0
    assert do("phone", "ivy.new", "1401") == 0
    wanted = f"(&(cn=Ivy Old, really)(ipPhone=1401)(memberOf={SALES}))"
    assert names(connection, company.BASE, wanted) == {"ivy.new"}
    assert do("leave", "ivy.new", "Sales") == 0
    assert do("disable", "ivy.new") == 0
    assert demo_fresh.refusal("ivy.new@goodcompany.local", PASSWORD) == "533"
    assert do("enable", "ivy.new") == 0
    assert do("remove", "ivy.new") == 0
    assert do("remove", "ivy.new") == 1
    assert "ivy.new" in capsys.readouterr().err
