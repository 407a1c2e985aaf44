"""Users: what is unique, what the directory owns, and what ends with them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from kerauno.accounts import access_revocation, departments, dial_plan, links, users
from kerauno.accounts.users import NewUser
from kerauno.base.errors import EmailTaken, InvalidValue, NotFound, ReadOnly, Stale, UsernameTaken
from kerauno.database.bulk import insert_rows
from kerauno.database.engine import Database
from kerauno.signin import sessions
from kerauno.tables.core import Membership, User, WebSession
from tests.records import NOW, add_directory, add_linked, add_user, new_guid


def test_a_user_is_made_whole(database: Database) -> None:
    with database.write() as s:
        new = NewUser("John.Doe@Company.com", " John ", "Doe", extension="+1 317 555 0100 x1234")
        made = users.create(s, new, NOW)
    with database.read() as s:
        user = users.by_email(s, "JOHN.DOE@company.com")
        number = dial_plan.of_user(s, user.id)
        assert (user.id, user.username, user.first_name) == (made.id, "John.Doe", "John")
        assert (user.role, user.active, user.blocked, user.password_hash) == (
            *("user", True, False),
            None,
        )
        assert user.created_at == NOW
        assert number is not None
        assert number.number == "1234"


def test_usernames_and_emails_are_unique_without_regard_to_case(database: Database) -> None:
    with database.write() as s:
        users.create(s, NewUser("JohnSmith@a.com", "John", "Smith"), NOW)
    with pytest.raises(UsernameTaken, match=r"John Smith \(JohnSmith\)"), database.write() as s:
        users.create(s, NewUser("johnsmith@b.com", "Jane", "Smith"), NOW)
    with pytest.raises(EmailTaken, match=r"John Smith \(JohnSmith\)"), database.write() as s:
        users.create(s, NewUser("JOHNSMITH@A.COM", "Jane", "Smith", username="jane"), NOW)
    with database.read() as s:
        assert s.execute(select(func.count()).select_from(User)).scalar_one() == 1


def test_a_user_with_a_taken_number_is_not_made_at_all(database: Database) -> None:
    with database.write() as s:
        add_user(s, "john.doe", "1234")
    with pytest.raises(InvalidValue), database.write() as s:
        add_user(s, "jane.doe", "1234")
    with database.read() as s, pytest.raises(NotFound):
        users.by_email(s, "jane.doe@goodcompany.local")


def test_changes_say_what_is_wrong_and_change_nothing(database: Database) -> None:
    with database.write() as s:
        user = add_user(s, "john.doe", "1234")
        add_user(s, "jane.doe", "1235")
    cases: list[tuple[dict[str, str], str]] = [
        ({"email": "nonsense"}, "email"),
        ({"first_name": ""}, "first_name"),
        ({"extension": "1"}, "extension"),
        ({"extension": "1235"}, "extension"),
        ({"username": "JANE.DOE"}, "username"),
        ({"last_name": "Roe", "email": "jane.doe@goodcompany.local"}, "email"),
    ]
    for changes, field in cases:
        with pytest.raises(InvalidValue) as refused, database.write() as s:
            users.change(s, user.id, changes, NOW)
        assert refused.value.field == field
    with database.read() as s:
        now = users.get(s, user.id)
        assert (now.last_name, now.email, now.version) == ("Doe", "john.doe@goodcompany.local", 1)


def test_changes_of_a_local_user(database: Database) -> None:
    with database.write() as s:
        user = add_user(s, "john.doe", "1234")
    later = NOW + timedelta(hours=1)
    with database.write() as s:
        changes = {"last_name": "Roe", "username": "john.roe", "extension": "1299"}
        users.change(s, user.id, changes, later, version=1)
    with database.read() as s:
        now = users.get(s, user.id)
        number = dial_plan.of_user(s, user.id)
        assert (now.username_key, now.last_name, now.updated_at) == ("john.roe", "Roe", later)
        assert number is not None
        assert number.number == "1299"
    with pytest.raises(Stale), database.write() as s:
        users.change(s, user.id, {"last_name": "Poe"}, later, version=1)
    with database.write() as s:
        users.change(s, user.id, {"extension": ""}, later, version=2)
        assert dial_plan.of_user(s, user.id) is None


def test_what_the_directory_owns_cannot_be_changed_here(database: Database) -> None:
    with database.write() as s:
        directory = add_directory(s)
        full = add_linked(s, directory, "john.doe", "1234", scope="full")
        login = add_linked(s, directory, "jane.doe", "1235", scope="login")
    with database.read() as s:
        assert users.owned(s, full.id) == users.FIELDS
        assert users.owned(s, login.id) == {"username", "email"}
    for user_id, field, value in [
        (full.id, "username", "x"),
        (full.id, "email", "x@y.zz"),
        (full.id, "first_name", "X"),
        (full.id, "last_name", "X"),
        (full.id, "extension", "9999"),
        (full.id, "extension", ""),
        (login.id, "username", "x"),
        (login.id, "email", "x@y.zz"),
    ]:
        with pytest.raises(ReadOnly) as refused, database.write() as s:
            users.change(s, user_id, {field: value}, NOW)
        assert refused.value.field == field.replace("_", " ")
    with database.write() as s:
        same = {"email": full.email, "first_name": full.first_name, "extension": "1234"}
        users.change(s, full.id, same, NOW)
        users.change(s, login.id, {"first_name": "X", "extension": "9999"}, NOW)
    with pytest.raises(ReadOnly, match="Active Directory password"), database.write() as s:
        users.set_password(s, full.id, "0123456789", NOW)


def test_linking_clears_a_local_password(database: Database) -> None:
    with database.write() as s:
        directory = add_directory(s)
        user = add_user(s, "john.doe", password="0123456789")
        assert user.password_hash
        person = links.LinkedAccount(directory.id, new_guid(), "CN=x")
        links.link(s, user.id, person, scope="login", origin="sign-in", now=NOW)
    with database.read() as s:
        assert users.get(s, user.id).password_hash is None


def test_the_last_administrator_stays(database: Database) -> None:
    with database.write() as s:
        admin = add_user(s, "admin", role="admin")
        for refused in (
            lambda: users.set_role(s, admin.id, "user", NOW),
            lambda: users.block(s, admin.id, NOW),
        ):
            with pytest.raises(InvalidValue, match="last administrator"):
                refused()
        second = add_user(s, "second", role="admin")
        users.set_role(s, admin.id, "manager", NOW)
        with pytest.raises(InvalidValue, match="last administrator"):
            users.block(s, second.id, NOW)


def _sessions(database: Database) -> int:
    with database.read() as s:
        return s.execute(select(func.count()).select_from(WebSession)).scalar_one()


def _sign_in(database: Database, user_id: int) -> sessions.NewSession:
    with database.fast_write() as hot:
        return sessions.create(hot, user_id, method="local", now=NOW, lifetime=sessions.Lifetime())


def test_blocking_and_a_new_password_end_sessions(database: Database) -> None:
    with database.write() as s:
        user = add_user(s, "john.doe", password="0123456789")
        other = add_user(s, "jane.doe")
    _sign_in(database, other.id)
    for ending in (
        lambda s: users.block(s, user.id, NOW),
        lambda s: users.set_password(s, user.id, "9876543210", NOW),
    ):
        _sign_in(database, user.id)
        with database.write() as s:
            ending(s)
        assert _sessions(database) == 1


def test_leavers_lose_access_and_membership_but_not_their_number(database: Database) -> None:
    until = NOW + timedelta(days=30)
    with database.write() as s:
        directory = add_directory(s)
        user = add_linked(s, directory, "john.doe", "1234")
        source = departments.Source(directory.id, new_guid(), "CN=Sales", "Sales", "group")
        departments.import_(s, source, "600", [user.id], NOW)
    _sign_in(database, user.id)
    with database.write() as s:
        ended = users.deactivate(s, [user.id], NOW, reserve_until=until)
        assert isinstance(ended, access_revocation.Ended)
        assert ended.sessions == 1
    assert _sessions(database) == 0
    with database.read() as s:
        gone, number = users.get(s, user.id), dial_plan.of_user(s, user.id)
        assert (gone.active, gone.deactivated_at) == (False, NOW)
        assert number is not None
        assert (number.number, number.reserved_until) == ("1234", until)
        assert s.execute(select(func.count()).select_from(Membership)).scalar_one() == 0
    with database.write() as s:
        assert users.reactivate(s, user.id, NOW) == "1234"
        assert dial_plan.holder(s, "1234") == dial_plan.NumberHolder(
            "1234", "John Doe (john.doe)", user_id=user.id
        )


def test_a_leaver_deactivated_again_keeps_the_first_reservation(database: Database) -> None:
    first, second = NOW + timedelta(days=30), NOW + timedelta(days=60)
    with database.write() as s:
        user = add_user(s, "john.doe", "1234")
        users.deactivate(s, [user.id], NOW, reserve_until=first)
        users.deactivate(s, [user.id], NOW, reserve_until=second)
    with database.read() as s:
        number = dial_plan.of_user(s, user.id)
        assert number is not None
        assert number.reserved_until == first


def test_more_leavers_than_fit_one_statement(database: Database) -> None:
    ids = range(1, 521)
    columns = (User.id, User.subject, User.username, User.username_key, User.email, User.email_key)
    rest = (User.first_name, User.last_name, User.role, User.active, User.blocked)
    times = (User.created_at, User.updated_at, User.version)
    with database.write() as s:
        rows = ((i, *[f"u{i}"] * 5, "A", "B", "user", True, False, NOW, NOW, 1) for i in ids)
        insert_rows(s, (*columns, *rest, *times), rows)
    with database.write() as s:
        users.deactivate(s, ids, NOW, reserve_until=NOW)
    with database.read() as s:
        active = select(func.count()).select_from(User).where(User.active)
        assert s.execute(active).scalar_one() == 0
