"""DNs of replication-conflict objects are told from all others."""

from __future__ import annotations

import pytest

from dirclient.fake.directory import FakeDirectory
from dirclient.mapping.replication_conflicts import in_conflict
from dirclient.model.login_name import parse

ID = "6b1c3a52-7d0e-4b0f-9a51-0c8a8f6e7d21"
MAIL = "amy@company.com"


@pytest.mark.parametrize(
    "dn",
    [
        f"CN=Sales\\0ACNF:{ID},OU=Groups,DC=x",
        f"CN=Sales\\0aCNF:{ID.upper()},OU=Groups,DC=x",
        f"CN=Sales\nCNF:{ID},OU=Groups,DC=x",
        f"CN=amy,OU=Staff\\0ACNF:{ID},DC=x",
        f"<GUID={ID}>;<SID=S-1-5-21-1-2-3-4>;CN=Sales\\0ACNF:{ID},DC=x",
        f"CN=Smith\\, Anna\\0ACNF:{ID},DC=x",
        f"CN=a\\0Ab\\0ACNF:{ID},DC=x",
    ],
)
def test_a_mangled_name_anywhere_in_the_dn(dn: str) -> None:
    assert in_conflict(dn)


@pytest.mark.parametrize(
    "dn",
    [
        "CN=Sales,OU=Groups,DC=x",
        f"CN=CNF:{ID},DC=x",
        f"CN=Sales CNF:{ID},DC=x",
        f"CN=Sales\\\\0ACNF:{ID},DC=x",
        "CN=Sales\\0ACNF:soon,DC=x",
        f"CN=Sales\\0ACNF:{ID} and more,DC=x",
        f"CNF:{ID}",
        "",
    ],
)
def test_any_other_name(dn: str) -> None:
    assert not in_conflict(dn)


def test_a_twin_keeps_nobody_out() -> None:
    fake = FakeDirectory()
    amy = fake.add_person("amy", login=MAIL)
    twin = fake.add_person("amy2", login=MAIL, dn=f"CN=amy\\0ACNF:{ID},OU=Staff,DC=x")
    sales = fake.add_department("Sales", [amy.guid, twin.guid])
    fake.add_department("Sales", [amy.guid], dn=f"CN=Sales\\0ACNF:{ID},OU=Groups,DC=x")
    snapshot = fake.read()
    assert (set(snapshot.people), set(snapshot.departments)) == ({amy.guid}, {sales.guid})
    assert snapshot.departments[sales.guid].members == {amy.guid}
    assert fake.find(parse(MAIL)) == amy
