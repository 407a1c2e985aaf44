"""`authsvc client`, `signing-keys`: the apps that delegate sign-in, and the keys of the tokens."""

from __future__ import annotations

from typing import IO, Any

import click
from sqlalchemy import select

from authsvc.cli.base import Commands
from authsvc.web.json_reader import parse_json
from kerauno import audit
from kerauno.base.clock import utc_now
from kerauno.cli_base import Failed, Tools, json_option, pass_tools, print_json, print_line, say
from kerauno.oauth import clients
from kerauno.oauth.registration import (
    ALGORITHMS,
    CREDENTIALS,
    GRANTS,
    USER_SCOPES,
    Registration,
    RegistrationRefused,
)
from kerauno.secrets import signing_keys
from kerauno.tables.oauth import Client, SigningKey

ACTOR = "command line"


@click.group(cls=Commands)
def client() -> None:
    """Apps that delegate sign-in (OpenID Connect clients)."""


@client.command("add")
@click.argument("name")
@click.option(
    "--redirect-uri",
    "redirect_uris",
    multiple=True,
    metavar="U",
    help="Where the app is answered, to the letter. Several are allowed.",
)
@click.option("--public", is_flag=True, help="An installed or in-browser app: it has no secret.")
@click.option(
    "--jwks-file",
    type=click.File("r"),
    help="The app's public keys as a JSON Web Key Set: it signs its requests (private_key_jwt).",
)
@click.option("--third-party", is_flag=True, help="Not the company's own: people are asked first.")
@click.option("--post-logout-redirect-uri", "post_logout", multiple=True, metavar="U")
@click.option("--backchannel-logout-uri", default="", metavar="U")
@click.option("--id-token-alg", type=click.Choice(ALGORITHMS), default=ALGORITHMS[0])
@click.option(
    "--grant", "grants", multiple=True, type=click.Choice(GRANTS), help="Only these. Default: all."
)
@click.option(
    "--scope", "scopes", multiple=True, help=f"Only these. Default: {' '.join(USER_SCOPES)}."
)
@json_option
@pass_tools
def add_client(
    tools: Tools,
    name: str,
    redirect_uris: tuple[str, ...],
    public: bool,
    jwks_file: IO[str] | None,
    third_party: bool,
    post_logout: tuple[str, ...],
    backchannel_logout_uri: str,
    id_token_alg: str,
    grants: tuple[str, ...],
    scopes: tuple[str, ...],
    as_json: bool,
) -> None:
    """Register an app. Its secret is shown this once."""
    if public and jwks_file:
        raise click.UsageError("A public app has no keys: give --public or --jwks-file, not both.")
    method = "none" if public else "private_key_jwt" if jwks_file else "client_secret_basic"
    registration = Registration(
        name=name,
        auth_method=method,
        redirect_uris=redirect_uris,
        post_logout_redirect_uris=post_logout,
        backchannel_logout_uri=backchannel_logout_uri,
        grant_types=grants or _grants(public, bool(redirect_uris)),
        scopes=scopes or USER_SCOPES,
        jwks=_read_keys(jwks_file) if jwks_file else None,
        id_token_alg=id_token_alg,
        first_party=not third_party,
    )
    now = utc_now()
    try:
        with tools.database.write() as s:
            row, secret = clients.create(s, registration, now)
            audit.append(
                s,
                "client",
                now=now,
                outcome="added",
                actor=ACTOR,
                detail={"client": row.id, "app": row.name},
            )
    except RegistrationRefused as refused:
        lines = (f"{fault.field}: {fault.message} {fault.remedy}" for fault in refused.faults)
        raise Failed(*lines) from refused
    for uri in registration.unencrypted():
        say(f"Warning: {uri} is not encrypted: whoever is on the way reads and changes all of it.")
    if as_json:
        print_json({"client_id": row.id, "client_secret": secret})
        return
    print_line(f"client_id      {row.id}")
    if secret:
        print_line(f"client_secret  {secret}")
        say("Note the secret now: it is not shown again.")


@client.command("list")
@json_option
@pass_tools
def list_clients(tools: Tools, as_json: bool) -> None:
    """Every app, without its secret."""
    with tools.database.read() as s:
        rows = [_shown(row) for row in clients.all_clients(s)]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        kind = "public" if row["public"] else row["auth_method"]
        print_line(f"{row['client_id']}  {row['name']}  ({kind})")


@client.command("remove")
@click.argument("client_id")
@pass_tools
def remove_client(tools: Tools, client_id: str) -> None:
    """Remove an app. Its tokens end at once."""
    now = utc_now()
    with tools.database.write() as s:
        row = clients.remove(s, client_id)
        audit.append(
            s,
            "client",
            now=now,
            outcome="removed",
            actor=ACTOR,
            detail={"client": row.id, "app": row.name},
        )
    say(f"{row.name} was removed.")


@client.command("rotate-secret")
@click.argument("client_id")
@json_option
@pass_tools
def rotate_secret(tools: Tools, client_id: str, as_json: bool) -> None:
    """Give an app another secret. The old one ends at once."""
    now = utc_now()
    with tools.database.write() as s:
        secret = clients.rotate_secret(s, client_id, now)
        audit.append(
            s,
            "client",
            now=now,
            outcome="secret-rotated",
            actor=ACTOR,
            detail={"client": client_id},
        )
    if as_json:
        print_json({"client_id": client_id, "client_secret": secret})
        return
    print_line(secret)


@click.group("signing-keys", cls=Commands)
def keys() -> None:
    """The keys that sign ID tokens. They rotate by themselves."""


@keys.command("list")
@json_option
@pass_tools
def list_keys(tools: Tools, as_json: bool) -> None:
    """Every key and its days."""
    with tools.database.read() as s:
        rows = [
            {
                "kid": row.id,
                "algorithm": row.algorithm,
                "signs_from": row.signs_from.isoformat(),
                "signs_until": row.signs_until.isoformat() if row.signs_until else None,
                "published_until": row.expires_at.isoformat() if row.expires_at else None,
            }
            for row in s.scalars(select(SigningKey).order_by(SigningKey.signs_from))
        ]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        until = row["signs_until"] or "the next rotation"
        print_line(f"{row['kid']}  {row['algorithm']}  {row['signs_from']} to {until}")


@keys.command("rotate")
@click.option(
    "--at-once",
    is_flag=True,
    help="A key was stolen: sign with new keys now, and take the old ones out of the key set.",
)
@pass_tools
def rotate_keys(tools: Tools, at_once: bool) -> None:
    """Make new keys. They sign from tomorrow on, when every app has seen them."""
    now = utc_now()
    with tools.database.write() as s:
        made = signing_keys.rotate(s, tools.sealer, now, at_once=at_once)
        audit.append(
            s,
            "signing-keys",
            now=now,
            outcome="replaced" if at_once else "rotated",
            actor=ACTOR,
            detail={"keys": made},
        )
    say("New keys sign now." if at_once else "New keys are published, and sign in 24 hours.")


def _grants(public: bool, answered: bool) -> tuple[str, ...]:
    """Return what an app may use when nothing else is said: all that makes sense for its kind."""
    return tuple(
        grant
        for grant in GRANTS
        if not (public and grant == CREDENTIALS) and (answered or grant != "authorization_code")
    )


def _read_keys(file: IO[str]) -> dict[str, Any]:
    try:
        read = parse_json(file.read())
    except ValueError:
        raise Failed(f"jwks: {file.name} holds no JSON.") from None
    return read if isinstance(read, dict) else {}


def _shown(row: Client) -> dict[str, Any]:
    return {
        "client_id": row.id,
        "name": row.name,
        "public": row.auth_method == "none",
        "auth_method": row.auth_method,
        "redirect_uris": row.redirect_uris,
        "post_logout_redirect_uris": row.post_logout_redirect_uris,
        "backchannel_logout_uri": row.backchannel_logout_uri,
        "grant_types": row.grant_types,
        "scopes": row.scopes,
        "id_token_alg": row.id_token_alg,
        "first_party": row.first_party,
        "created_at": row.created_at.isoformat(),
    }
