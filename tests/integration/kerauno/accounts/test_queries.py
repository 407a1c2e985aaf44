"""Lists of users, and the phone book."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from kerauno.accounts import departments, users
from kerauno.accounts import queries as accounts
from kerauno.accounts.queries import UserFilter, UserPlace
from kerauno.database.engine import Database
from tests.records import NOW, add_directory, add_linked, add_user, new_guid


@pytest.fixture
def ids(database: Database) -> dict[str, int]:
    """A company of six."""
    with database.write() as s:
        add_user(s, "root.admin", role="admin", password="0123456789")
        directory = add_directory(s)
        made = {
            "john": add_linked(s, directory, "john.doe", "1001").id,
            "jane": add_linked(s, directory, "jane.doe", "1002", scope="login").id,
            "zoe": add_user(s, "zoë.öztürk", "1003").id,
            "left": add_user(s, "left.behind", "1004").id,
            "none": add_user(s, "no.extension").id,
            "blocked": add_user(s, "blocked.user", "1005", role="manager").id,
        }
        source = departments.Source(directory.id, new_guid(), "CN=Ünit", "Ünit Sales", "group")
        made["department"] = departments.import_(
            s, source, "600", [made["john"], made["zoe"]], NOW
        ).id
        users.deactivate(s, [made["left"]], NOW, reserve_until=NOW + timedelta(days=30))
        users.block(s, made["blocked"], NOW)
    return made


def names(s: Session, wanted: UserFilter) -> list[str]:
    return [line.username for line in accounts.users(s, wanted).users]


def test_search_and_states(database: Database, ids: dict[str, int]) -> None:
    with database.read() as s:
        for wanted, found in [
            (UserFilter("doe"), ["jane.doe", "john.doe"]),
            (UserFilter("DOE John"), ["john.doe"]),
            (UserFilter("1003"), ["zoë.öztürk"]),
            (UserFilter("100 jane"), ["jane.doe"]),
            (UserFilter("ÖZTÜRK"), ["zoë.öztürk"]),
            (UserFilter("%"), []),
            (UserFilter("goodcompany.local zoë"), ["zoë.öztürk"]),
            (UserFilter(state="synced"), ["jane.doe", "john.doe"]),
            (UserFilter(state="inactive"), ["left.behind"]),
            (UserFilter(state="blocked"), ["blocked.user"]),
            (UserFilter(state="local"), ["root.admin"]),
            (UserFilter(state="admin"), ["root.admin"]),
            (UserFilter(state="manager"), ["blocked.user"]),
            (UserFilter("doe", state="inactive"), []),
            (UserFilter(department_id=ids["department"]), ["john.doe", "zoë.öztürk"]),
        ]:
            assert names(s, wanted) == found, wanted
            assert accounts.users(s, wanted).total == len(found)


def test_pages_forth_and_back(database: Database, ids: dict[str, int]) -> None:
    with database.read() as s:
        whole = accounts.users(s, UserFilter())
        assert (whole.total, len(whole.users), whole.before, whole.after) == (7, 7, None, None)
        seen: list[str] = []
        after: UserPlace | None = None
        pages = []
        while True:
            pages.append(accounts.users(s, UserFilter(), limit=3, after=after))
            seen += [line.username for line in pages[-1].users]
            after = pages[-1].after
            if after is None:
                break
        assert seen == [line.username for line in whole.users]
        back = accounts.users(s, UserFilter(), limit=3, before=pages[1].before)
        assert (back.users, back.before, back.after) == (pages[0].users, None, pages[0].after)


def test_one_line_tells_all_about_a_user(database: Database, ids: dict[str, int]) -> None:
    with database.read() as s:
        john = accounts.user(s, ids["john"])
        assert john is not None
        assert accounts.as_data(john) == {
            "id": ids["john"],
            "username": "john.doe",
            "email": "john.doe@goodcompany.local",
            "first_name": "John",
            "last_name": "Doe",
            "extension": "1001",
            "role": "user",
            "active": True,
            "synced": True,
            "guid": john.guid,
            "departments": ["Ünit Sales"],
        }
        left = accounts.user(s, ids["left"])
        assert left is not None
        assert accounts.as_data(left)["extension"] is None
        assert (left.extension, left.reserved_until) == ("1004", NOW + timedelta(days=30))
        assert accounts.user(s, 10**6) is None
        assert [line.id for line in accounts.everyone(s)][1:] == list(ids.values())[:-1]
        assert accounts.everyone(s)[1] == john


def test_the_phone_book_has_who_can_be_dialled(database: Database, ids: dict[str, int]) -> None:
    with database.read() as s:
        book = accounts.phonebook(s)
        assert [(entry.name, entry.number) for entry in book] == [
            ("Jane Doe", "1002"),
            ("John Doe", "1001"),
            ("Zoë Öztürk", "1003"),
            ("Ünit Sales", "600"),
        ]
        assert book[1].departments == ("Ünit Sales",)
        assert (book[-1].department_id, book[-1].user_id) == (ids["department"], None)
        assert [entry.number for entry in accounts.phonebook(s, "600")] == ["600"]
        assert [entry.number for entry in accounts.phonebook(s, "ünit")] == ["600"]
        assert [entry.number for entry in accounts.phonebook(s, "doe", limit=1)] == ["1002"]
