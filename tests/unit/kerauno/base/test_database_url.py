"""How the address of the database is read."""

from __future__ import annotations

import pytest

from kerauno.base.database_url import parse_database_url


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("postgresql://u:p%40@A:1,B:2/db", {"host": "A,B", "port": "1,2"}),
        ("postgresql://u:p%40@A,[::1]:7/db", {"host": "A,::1", "port": "5432,7"}),
    ],
)
def test_several_hosts(text: str, query: dict[str, str]) -> None:
    url = parse_database_url(text)
    assert (url.username, url.password, url.database) == ("u", "p@", "db")
    assert dict(url.query) == query | {"target_session_attrs": "read-write"}


def test_who_says_which_of_several_hosts_is_heeded() -> None:
    url = parse_database_url("postgresql://A,B/db?target_session_attrs=any&sslmode=require")
    assert url.query["target_session_attrs"] == "any"
    assert url.query["sslmode"] == "require"


def test_one_host_is_as_it_was() -> None:
    url = parse_database_url("postgresql://u:p@h:7/db?sslmode=require")
    assert str(url) == "postgresql+psycopg://u:***@h:7/db?sslmode=require"
    assert parse_database_url("sqlite:////var/a.db").drivername == "sqlite+pysqlite"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("postgresql://u:secret@A:x,B/db", "is not a database address"),
        ("postgresql://u:secret@A:70000,B/db", "is not a database address"),
        ("postgresql://u:secret@A,/db", "is not a database address"),
        ("postgresql://h:x/db", "is not a database address"),
        ("nonsense", "is not a database address"),
        ("postgresql://A,B", "names no database"),
        ("mysql://h/db", "names mysql, which is not supported"),
        ("sqlite://", "names no file"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        parse_database_url(text)
