"""`authsvc admin`, `user`, `key`, `sessions`, `housekeeping`."""

from __future__ import annotations

import click

from authsvc.cli.base import Commands
from kerauno import audit
from kerauno.accounts import access_revocation, users
from kerauno.accounts import queries as accounts
from kerauno.accounts.users import NewUser
from kerauno.base.clock import utc_now
from kerauno.base.validation import ROLES
from kerauno.cli_base import (
    Tools,
    json_option,
    pass_tools,
    password_line,
    print_json,
    print_line,
    say,
)
from kerauno.secrets import encryption
from kerauno.signin import sessions as signin_sessions
from kerauno.tables.core import User

ACTOR = "command line"


@click.group(cls=Commands)
def admin() -> None:
    """Local administrators."""


@admin.command("create")
@click.argument("email")
@click.option("--first", required=True, help="First name.")
@click.option("--last", required=True, help="Last name.")
@click.option("--password-stdin", is_flag=True, required=True, help="Password: a line of stdin.")
@pass_tools
def create_admin(tools: Tools, email: str, first: str, last: str, password_stdin: bool) -> None:  # noqa: ARG001
    """Make a system administrator with a Kerauno password."""
    new = NewUser(email, first, last, role="admin", password=password_line())
    say(f"Administrator {_create(tools, new).email} was made.")


@click.group(cls=Commands)
def user() -> None:
    """Kerauno users."""


@user.command("add")
@click.argument("email")
@click.option("--first", required=True, help="First name.")
@click.option("--last", required=True, help="Last name.")
@click.option("--extension", required=True, help="2 to 10 digits.")
@click.option("--role", type=click.Choice(ROLES), default="user", show_default=True)
@click.option("--password-stdin", is_flag=True, help="A Kerauno password: a line of stdin.")
@pass_tools
def add_user(
    tools: Tools,
    email: str,
    first: str,
    last: str,
    extension: str,
    role: str,
    password_stdin: bool,
) -> None:
    """Make a user. Without a password they sign in with AD."""
    password = password_line() if password_stdin else None
    new = NewUser(email, first, last, extension=extension, role=role, password=password)
    say(f"User {_create(tools, new).email} was made.")


@user.command("list")
@json_option
@pass_tools
def list_users(tools: Tools, as_json: bool) -> None:
    """Every user."""
    with tools.database.read() as s:
        rows = [accounts.as_data(line) for line in accounts.everyone(s)]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        state = "active" if row["active"] else "inactive"
        tied = "synced" if row["synced"] else "local"
        print_line(f"{row['extension'] or '-':>10}  {row['email']}  {row['role']}, {state}, {tied}")


@click.group(cls=Commands)
def key() -> None:
    """The key that seals secrets in the database."""


@key.command()
@pass_tools
def rotate(tools: Tools) -> None:
    """Make a new key and seal every secret with it. The one before stays readable."""
    tools.sealer  # noqa: B018 - makes the file where there is none yet
    with tools.database.write() as s:
        count = encryption.rotate(s, tools.settings.secret_key_file)
        audit.append(s, "key-rotated", now=utc_now(), outcome="ok", actor=ACTOR)
    say(f"{count} secrets were sealed with a new key. Restart the services, then `key prune`.")


@key.command()
@pass_tools
def prune(tools: Tools) -> None:
    """Drop every key but the newest. Only after all services restarted."""
    tools.sealer  # noqa: B018 - a key file that cannot be used is told first
    count = encryption.prune(tools.settings.secret_key_file)
    say(f"{count} old keys were dropped.")


@click.group(cls=Commands)
def sessions() -> None:
    """Signed-in browsers."""


@sessions.command("list")
@click.argument("email")
@json_option
@pass_tools
def list_sessions(tools: Tools, email: str, as_json: bool) -> None:
    """The sessions of one user."""
    with tools.database.read() as s:
        owner = users.by_email(s, email)
        rows = [
            {
                "handle": row.handle,
                "method": row.method,
                "address": row.address,
                "user_agent": row.user_agent,
                "created": row.created_at.isoformat(),
                "seen": row.seen_at.isoformat(),
                "expires": row.expires_at.isoformat(),
            }
            for row in signin_sessions.list_for(s, owner.id, utc_now())
        ]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        print_line(f"{row['seen']}  {row['address']}  {row['method']}  {row['user_agent']}")


@sessions.command("end")
@click.argument("email")
@pass_tools
def end_sessions(tools: Tools, email: str) -> None:
    """Sign a user out everywhere: browsers and apps."""
    with tools.database.write() as s:
        owner = users.by_email(s, email)
        ended = access_revocation.end_access(s, [owner.id])
        audit.append(
            s, "sessions-ended", now=utc_now(), outcome="ok", actor=ACTOR, user_id=owner.id
        )
    say(f"{ended.sessions} sessions were ended.")


@click.command()
@pass_tools
def housekeeping(tools: Tools) -> None:
    """Forget ended sessions, old counts and old audit events. The service does so every hour."""
    from authsvc.ops.background import sweep_database  # brings the web's modules along

    swept = sweep_database(tools.database, tools.settings, utc_now())
    say(
        f"{swept.sessions} sessions, {swept.attempts} counts and {swept.audit} audit events "
        "were forgotten."
    )


def _create(tools: Tools, new: NewUser) -> User:
    now = utc_now()
    with tools.database.write() as s:
        made = users.create(s, new, now)
        audit.append(
            s,
            "user-created",
            now=now,
            outcome="ok",
            actor=ACTOR,
            user_id=made.id,
            detail={"email": made.email, "role": made.role},
        )
    return made
