"""Labels: no two departments have names in headers, claims or rules that look alike."""

from __future__ import annotations

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from kerauno import migrations
from kerauno.accounts import department_labels, departments
from kerauno.accounts.departments import Import, Source
from kerauno.base.errors import InvalidValue, NotFound
from kerauno.base.lookup_keys import label_key
from kerauno.database.engine import Database
from kerauno.database.prepared import from_session
from kerauno.oauth.token_statements import DEPARTMENTS
from kerauno.signin import protected_sites, sessions
from kerauno.tables.core import Department
from tests.integration.kerauno.test_migrations import empty
from tests.records import NOW, add_directory, add_user

__all__ = ["empty"]
HONEST = "3f2504e0-0000-4000-8000-000000000001"
OTHER = "99250400-0000-4000-8000-000000000002"
LOOK_ALIKES = [
    "\u202eEngineering",
    "\u200bEngineering",
    "Engineering\xa0",
    "ENGINEERING",
    "Ｅngineering",
    "Engineering",
    "Engi\u00adneering",
    "\x1bEngineering",
    "Engineering\U000e0041",
]


def source(directory_id: int, name: str, guid: str) -> Source:
    return Source(directory_id, guid, f"CN={name},OU=Groups", name, "group")


def label_of(database: Database, guid: str) -> str:
    with database.read() as s:
        return s.scalars(select(Department.label).where(Department.guid == guid)).one()


@pytest.fixture
def both(request: pytest.FixtureRequest, sqlite_database: Database) -> Database:
    """Engineering with a member, and a look-alike with another member."""
    with sqlite_database.write() as s:
        directory = add_directory(s).id
        anna, mallory = add_user(s, "anna.berg").id, add_user(s, "mallory").id
        departments.import_(s, source(directory, "Engineering", HONEST), "600", [anna], NOW)
        departments.import_(s, source(directory, request.param, OTHER), "601", [mallory], NOW)
    return sqlite_database


@pytest.mark.parametrize("both", LOOK_ALIKES, indirect=True)
def test_a_look_alike_never_has_the_honest_name(both: Database) -> None:
    lifetime = sessions.Lifetime()
    with both.write() as s:
        made = sessions.create(s, 2, method="local", now=NOW, lifetime=lifetime)
    found = sessions.check_with_departments(both, made.cookie, NOW, lifetime)
    assert found is not None
    with both.read() as s:
        claims = [row[0] for row in from_session(s).all(DEPARTMENTS, user=2)]
        assert [row[0] for row in from_session(s).all(DEPARTMENTS, user=1)] == ["Engineering"]
    assert list(found[1]) == claims == [label_of(both, OTHER)]
    assert label_key(claims[0]) != label_key("Engineering")
    assert claims[0].isprintable()


@pytest.mark.parametrize("both", LOOK_ALIKES, indirect=True)
def test_a_rule_for_a_name_that_could_mean_two_is_refused_and_takes_a_guid(both: Database) -> None:
    for name in ("Engineering", "engineering", "\u202eEngineering"):
        with pytest.raises(InvalidValue) as refused, both.write() as s:
            protected_sites.put(s, "wiki.company.com", [name], NOW)
        assert refused.value.field == "department"
        assert HONEST in refused.value.remedy
        assert OTHER in refused.value.remedy
    with both.read() as s:
        assert protected_sites.everything(s) == []
    with both.write() as s:
        row = protected_sites.put(s, "wiki.company.com", [HONEST.upper()], NOW)
        assert protected_sites.labels_of(s, row) == ["Engineering"]
    with both.fast() as h:
        rule = protected_sites.rules(h)["wiki.company.com"]
        assert protected_sites.may_enter(h, 1, rule)
        assert not protected_sites.may_enter(h, 2, rule)


@pytest.mark.parametrize("both", ["Engineering", "\u202eEngineering"], indirect=True)
def test_a_label_says_which_one_is_meant(both: Database) -> None:
    label = label_of(both, OTHER)
    assert label in ("Engineering [99250400]", "[U+202E]Engineering")
    with both.read() as s:
        assert department_labels.chosen(s, label).guid == OTHER


def test_a_look_alike_alone_is_not_taken_for_the_name(sqlite_database: Database) -> None:
    with sqlite_database.write() as s:
        directory = add_directory(s).id
        departments.import_(s, source(directory, "\u200bEngineering", OTHER), "601", [], NOW)
        departments.import_(s, source(directory, "Sales", HONEST), "600", [], NOW)
        with pytest.raises(InvalidValue, match="Engineering"):
            department_labels.chosen(s, "Engineering")
        assert department_labels.chosen(s, "sales").guid == HONEST
        for nothing in ("Nobody", "", "\u200b"):
            with pytest.raises(NotFound):
                department_labels.chosen(s, nothing)


def test_a_label_changes_with_its_own_name_alone(database: Database) -> None:
    with database.write() as s:
        directory = add_directory(s).id
        ids = [
            departments.import_(s, source(directory, "Sales", guid), number, [], NOW).id
            for guid, number in ((HONEST, "600"), (OTHER, "601"))
        ]
    assert (label_of(database, HONEST), label_of(database, OTHER)) == ("Sales", "Sales [99250400]")
    with database.write() as s:
        departments.rename(s, ids[0], "Vertrieb", "CN=Vertrieb")
        departments.rename(s, ids[1], "Sales", "CN=Sales,OU=Elsewhere")
    assert (label_of(database, HONEST), label_of(database, OTHER)) == (
        "Vertrieb",
        "Sales [99250400]",
    )
    with database.write() as s:
        departments.rename(s, ids[1], "Einkauf", "CN=Einkauf")
        departments.rename(s, ids[1], "Sales", "CN=Sales")
    assert label_of(database, OTHER) == "Sales"
    with database.write() as s:
        departments.rename(s, ids[0], "\u2066Sales", "CN=x")
    assert label_of(database, HONEST) == "[U+2066]Sales"


def test_many_imported_at_once_have_labels_of_their_own(database: Database) -> None:
    guids = [f"{number:08d}-0000-4000-8000-{number:012d}" for number in range(4)]
    names = ["Sales", "Sales", "\u200bSales", "Sales [00000001]"]
    with database.write() as s:
        directory = add_directory(s).id
        several = [
            Import(source(directory, name, guid), f"60{at}", [])
            for at, (name, guid) in enumerate(zip(names, guids, strict=True))
        ]
        departments.import_many(s, several, NOW)
    assert [label_of(database, guid) for guid in guids] == [
        "Sales",
        "Sales [00000001]",
        "[U+200B]Sales",
        "Sales [00000001] [00000003]",
    ]


def test_the_database_itself_refuses_labels_that_look_alike(database: Database) -> None:
    with database.write() as s:
        s.add(Department(name="Sales", imported_at=NOW))
    with pytest.raises(IntegrityError), database.write() as s:
        s.add(Department(name="SALES", imported_at=NOW))


def test_an_upgrade_gives_labels_and_rules_stay(empty: str) -> None:
    """The mirror knows which of two that were stored alike bears the name as it looks."""
    database = Database(empty)
    migrations.upgrade(database, to="0013")
    now = NOW.replace(tzinfo=None)
    with database.write() as s:
        _insert(s, "directory", id=1, name="AD", profile="{}", sealed_password="", auto_sync=True,
                login_without_domain=True, sync_interval=3600, reserve_days=30, guard_count=5,
                guard_percent=10, role_groups="{}", version=1, updated_at=now,
                updated_by="")  # fmt: skip
        for id, guid, name in ((1, OTHER, "\u202eEngineering"), (2, HONEST, "Engineering"),
                               (3, "3" * 36, "Engineering")):  # fmt: skip
            _insert(s, "department", id=id, name="Engineering", directory_id=1, guid=guid, dn="",
                    kind="group", imported_at=now)  # fmt: skip
            _insert(s, "seen_department", directory_id=1, guid=guid, dn="", name=name, kind="group",
                    path="[]", members=0, conflicts="[]", digest="")  # fmt: skip
        _insert(s, "department", id=4, name="Sales", dn="", kind="group",
                imported_at=now)  # fmt: skip
        _insert(s, "protected_host", host="wiki.company.com", departments="[2, 4]",
                created_at=now, updated_at=now)  # fmt: skip
    assert migrations.upgrade(database)
    with database.read() as s:
        given = list(s.scalars(select(Department.label).order_by(Department.id)))
        [(_, may_enter)] = protected_sites.everything(s)
    assert given == ["[U+202E]Engineering", "Engineering", "Engineering [33333333]", "Sales"]
    assert may_enter == ["Engineering", "Sales"]
    database.close()


def _insert(s: Session, table: str, **values: object) -> None:
    names = ", ".join(values)
    marks = ", ".join(f":{name}" for name in values)
    s.execute(text(f"INSERT INTO {table} ({names}) VALUES ({marks})"), values)
