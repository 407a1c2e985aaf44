"""`authsvc throttle`: whom the throttle keeps waiting, and letting them try again."""

from __future__ import annotations

import click
from sqlalchemy.orm import Session

from authsvc.cli.base import Commands
from dirclient.model.login_name import InvalidLogin, parse
from kerauno import audit
from kerauno.accounts import users
from kerauno.base import ip_addresses
from kerauno.base.clock import utc_now
from kerauno.base.errors import InvalidValue
from kerauno.cli_base import Tools, json_option, pass_tools, print_json, print_line, say
from kerauno.signin import throttle, throttle_list, user_lookup

ACTOR = "command line"


@click.group("throttle", cls=Commands)
def throttle_group() -> None:
    """Too many wrong passwords: who has to wait, and until when."""


@throttle_group.command("list")
@click.option("--search", default="", metavar="TEXT", help="A name, an email or an address.")
@json_option
@pass_tools
def list_throttles(tools: Tools, search: str, as_json: bool) -> None:
    """Names, people and addresses whose attempts are used up."""
    with tools.database.read() as s:
        lines = throttle_list.listing(s, utc_now(), search)
    if as_json:
        print_json(
            [
                {
                    "who": line.label,
                    "kind": line.scope,
                    "user_id": line.user_id,
                    "until": line.until.isoformat(),
                    "refused": line.refused,
                    "code": line.code,
                }
                for line in lines
            ]
        )
        return
    for line in lines:
        print_line(f"{line.until:%Y-%m-%d %H:%M:%S}  {line.scope:<8}  {line.code}  {line.label}")


@click.command("clear")
@click.argument("who", metavar="NAME")
@pass_tools
def clear_throttle(tools: Tools, who: str) -> None:
    """Let a person (any of their sign-in names) or an address try again.

    AD goes on counting the wrong passwords that it has seen.
    """
    with tools.database.write() as s:
        keys, user_id = _keys(s, who)
        throttle_list.clear_keys(s, keys)
        audit.append(
            s,
            "attempts-cleared",
            now=utc_now(),
            outcome="ok",
            actor=ACTOR,
            user_id=user_id,
        )
    say(f"{who} may try again.")


throttle_group.add_command(clear_throttle)


@click.group("attempts", cls=Commands, hidden=True)
def attempts() -> None:
    """Its name before it could list."""


attempts.add_command(clear_throttle)


def _keys(s: Session, who: str) -> tuple[list[str], int | None]:
    """The keys of an address or a name, and whose it is."""
    try:
        return [throttle.address_key(ip_addresses.normal(who))], None
    except InvalidValue:
        pass
    try:
        login = parse(who)
    except InvalidLogin as why:
        raise click.BadParameter(f"{why} Or give an IP address.", param_hint="NAME") from None
    keys = throttle_list.keys_of_name(login.name)
    owner = user_lookup.find(s, login.form, login.name, login.domain)
    if owner is None:
        return keys, None
    return [*keys, *throttle_list.keys_of_user(s, users.get(s, owner.user_id))], owner.user_id
