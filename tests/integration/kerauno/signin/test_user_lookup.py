"""Which user a sign-in name means, and what finding out costs."""

from __future__ import annotations

import pytest

from kerauno.accounts import links
from kerauno.database.engine import Database
from kerauno.signin import user_lookup
from tests.records import NOW, add_directory, add_linked, add_user, new_guid


@pytest.fixture(autouse=True)
def _people(database: Database) -> None:
    with database.write() as s:
        directory = add_directory(s, login_without_domain=True)
        add_user(s, "local", password="0123456789")
        add_linked(s, directory, "john.doe", guid=new_guid())
        zoe = add_user(s, "zoë.o'hara")
        person = links.LinkedAccount(directory.id, new_guid(), "CN=Z", "ZOË@up.test", "zohara")
        links.link(s, zoe.id, person, scope="login", origin="sign-in", now=NOW)
        for name in ("twin.a", "twin.b"):
            twin = add_user(s, name)
            person = links.LinkedAccount(
                directory.id, new_guid(), f"CN={name}", "twin@up.test", "twin"
            )
            links.link(s, twin.id, person, scope="full", origin="sync", now=NOW)
        jsam = add_user(s, "zohara.other")
        jsam.username, jsam.username_key = "jdoe", "jdoe"
        jane = add_user(s, "jane.doe")
        person = links.LinkedAccount(directory.id, new_guid(), "CN=Jane", "jane@up.test", "jdoe")
        links.link(s, jane.id, person, scope="full", origin="sync", now=NOW)


CASES = [
    ("email", "john.doe", "goodcompany.local", "john.doe"),
    ("email", "JOHN.DOE", "GoodCompany.Local", "john.doe"),
    ("email", "john.doe", "goodcompany.test", "john.doe"),  # the principal name
    ("email", "john.doe", "other.example", None),  # never the username of a foreign domain
    ("email", "local", "goodcompany.local", "local"),
    ("email", "zoe\u0308", "up.test", "zoë.o'hara"),
    ("email", "twin", "up.test", None),  # whose it is only the directory can tell
    ("bare", "John.Doe", "", "john.doe"),
    ("bare", "zohara", "", "zoë.o'hara"),  # the account name
    ("bare", "local", "", "local"),
    ("bare", "twin", "", None),
    ("bare", "jdoe", "", "jdoe"),  # the user's own name counts before an account's
    ("down-level", "jdoe", "COMPANY", "jane.doe"),
    ("bare", "nobody", "", None),
    ("bare", "", "", None),
    ("bare", "%", "", None),
    ("bare", "john.doe' OR '1'='1", "", None),
    ("down-level", "ZOHARA", "COMPANY", "zoë.o'hara"),
    ("down-level", "local", "COMPANY", None),  # a local user has no account
    ("down-level", "zoë.o'hara", "COMPANY", None),
]


def test_names(database: Database) -> None:
    for form, name, domain, username in CASES:
        with database.counting() as counts, database.fast() as hot:
            found = user_lookup.find(hot, form, name, domain)
        assert (name, found.username if found else None) == (name, username)
        assert counts.statements == 1


def test_all_that_the_decision_needs_comes_along(database: Database) -> None:
    with database.fast() as hot:
        john = user_lookup.find(hot, "bare", "john.doe")
        local = user_lookup.find(hot, "bare", "local")
    assert john is not None
    assert local is not None
    assert (john.active, john.blocked, john.role, john.password_hash) == (True, False, "user", None)
    assert (john.scope, john.directory_version, john.login_without_domain) == ("full", 1, True)
    assert john.dn == "CN=john.doe,OU=People,DC=goodcompany,DC=local"
    assert (local.guid, local.directory_id, local.directory_version) == (None, None, None)
    assert local.password_hash is not None
    with database.read() as s:
        assert user_lookup.find_person(s, john.directory_id or 0, john.guid or "") == john
        assert user_lookup.find_person(s, 1, new_guid()) is None
