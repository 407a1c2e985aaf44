"""The address of the database, as operators write it."""

from __future__ import annotations

import re

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

_SEVERAL_HOSTS = re.compile(
    r"(?P<scheme>postgres(?:ql)?(?:\+\w+)?)://(?:(?P<account>[^/@]*)@)?(?P<hosts>[^/@?]*,[^/@?]*)(?P<rest>[/?].*)?"
)
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::(?P<port>\d{1,5}))?")


def parse_database_url(text: str) -> URL:
    """Return the address with the driver that is used for it.

    Several PostgreSQL hosts are written as libpq does: `postgresql://A:5432,B:5432/db`. The one
    that takes writes is then used, unless `target_session_attrs` says otherwise (PostgreSQL
    manual, 34.1.1). Raises ValueError with what is wrong; the message holds no password.
    """
    match = _SEVERAL_HOSTS.fullmatch(text)
    try:
        url = _of_several_hosts(match) if match else make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError("is not a database address") from None
    if url.get_backend_name() == "sqlite":
        if not url.database or url.database == ":memory:":
            raise ValueError("names no file")
        return url.set(drivername="sqlite+pysqlite")
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise ValueError(f"names {url.get_backend_name()}, which is not supported")
    if not url.database:
        raise ValueError("names no database")
    if _has_several_hosts(url):
        url = url.update_query_dict(
            {"target_session_attrs": "read-write", **url.query}  # a standby refuses to write
        )
    return url.set(drivername="postgresql+psycopg")


def _of_several_hosts(match: re.Match[str]) -> URL:
    """Return the address with its hosts as parameters, as SQLAlchemy takes several."""
    names, ports = [], []
    for text in match["hosts"].split(","):
        host = _HOST.fullmatch(text)
        port = "" if host is None else host["port"] or "5432"
        if host is None or int(port) not in range(1, 65536):
            raise ValueError
        names.append(host["name"].strip("[]"))
        ports.append(port)
    account = f"{match['account']}@" if match["account"] is not None else ""
    url = make_url(f"{match['scheme']}://{account}{match['rest'] or ''}")
    return url.update_query_dict({"host": ",".join(names), "port": ",".join(ports)})


def _has_several_hosts(url: URL) -> bool:
    given = url.query.get("host", "")
    return "," in given if isinstance(given, str) else len(given) > 1
