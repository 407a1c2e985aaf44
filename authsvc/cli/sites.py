"""`authsvc forward`: sites behind a reverse proxy that ask here who is signed in."""

from __future__ import annotations

import click

from authsvc.cli.base import Commands
from kerauno import audit
from kerauno.base.clock import utc_now
from kerauno.cli_base import Tools, json_option, pass_tools, print_json, print_line, say
from kerauno.signin import protected_sites

ACTOR = "command line"


@click.group(cls=Commands)
def forward() -> None:
    """Sites behind a reverse proxy (nginx, Traefik, Caddy)."""


@forward.command("add")
@click.argument("host")
@click.option(
    "--department",
    "departments",
    multiple=True,
    metavar="GUID|NAME",
    help="Only members of these may enter. Default: everyone who can sign in.",
)
@pass_tools
def add_host(tools: Tools, host: str, departments: tuple[str, ...]) -> None:
    """Protect a site, or say again who may enter it."""
    now = utc_now()
    with tools.database.write() as s:
        row = protected_sites.put(s, host, departments, now)
        detail = {"host": row.host, "departments": protected_sites.labels_of(s, row)}
        audit.append(s, "protected-host", now=now, outcome="saved", actor=ACTOR, detail=detail)
    say(f"{row.host} is protected.")


@forward.command("list")
@json_option
@pass_tools
def list_hosts(tools: Tools, as_json: bool) -> None:
    """Every protected site and who may enter it."""
    with tools.database.read() as s:
        rows = [
            {"host": row.host, "departments": names} for row, names in protected_sites.everything(s)
        ]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        print_line(f"{row['host']}  {', '.join(row['departments']) or 'everyone'}")


@forward.command("remove")
@click.argument("host")
@pass_tools
def remove_host(tools: Tools, host: str) -> None:
    """Protect a site no longer: nobody is let in to it."""
    now = utc_now()
    with tools.database.write() as s:
        protected_sites.remove(s, host)
        audit.append(
            s, "protected-host", now=now, outcome="removed", actor=ACTOR, detail={"host": host}
        )
    say(f"{host} is protected no longer.")
