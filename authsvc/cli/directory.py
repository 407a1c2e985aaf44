"""`authsvc directory`: the AD Credentials tab as commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from authsvc.cli.base import Commands
from dirclient.config.pem import NoCertificates, read_certificates
from dirclient.config.profile import Encryption, Fault, PresetName, Profile
from dirclient.model.directory_objects import Step
from kerauno import audit
from kerauno.accounts.dial_plan import parse_range
from kerauno.base.clock import utc_now
from kerauno.base.errors import InvalidValue
from kerauno.cli_base import (
    Failed,
    Tools,
    json_option,
    json_option_or,
    pass_tools,
    password_line,
    print_json,
    print_line,
    say,
)
from kerauno.sync import directory_settings, runs
from kerauno.tables.core import Directory

ACTOR = "command line"
PLAIN_TEXT = "Without encryption, passwords cross the network readable by everyone on the way."
_AS_GIVEN = (
    *("preset", "port", "tls_name", "encryption", "username"),
    *("user_search_dn", "department_search_dn"),
)
_YES_NO = click.Choice(("yes", "no"))


@click.group(cls=Commands)
def directory() -> None:
    """The directory that people sign in with (AD Credentials)."""


@directory.command("set")
@click.option("--preset", type=click.Choice([preset.value for preset in PresetName]))
@click.option("--server", help="Host names or addresses, comma separated, in order.")
@click.option("--port", type=int, help="389, or 636 for LDAPS.")
@click.option("--tls-name", help="Name in the server's certificate, where the server is an IP.")
@click.option(
    "--encryption",
    type=click.Choice([encryption.value for encryption in Encryption]),
    help="none lets passwords cross the network readable.",
)
@click.option("--ca-file", type=click.Path(path_type=Path), help="PEM file of authorities.")
@click.option("--username", help="Service account: UPN, DOMAIN\\name or DN.")
@click.option("--password-stdin", is_flag=True, help="Its password: a line of stdin.")
@click.option("--user-search-dn", help="Group, OU or domain whose people may sign in.")
@click.option("--department-search-dn", help="Where departments are.")
@click.option("--advanced", type=_YES_NO, help="Advanced Search DN.")
@click.option("--auto-sync", type=_YES_NO, help="Auto-Synchronization.")
@click.option("--login-without-domain", type=_YES_NO, help="Let john.doe sign in, too.")
@click.option("--ring-group-range", metavar="A-B", help="Such as 600-699; empty for none.")
@pass_tools
def set_(tools: Tools, /, password_stdin: bool, **given: Any) -> None:
    """Set what is given; the rest keeps its value. With any fault nothing changes."""
    faults: list[Fault] = []
    changes: dict[str, Any] = {}
    with tools.database.write() as s:
        saved = directory_settings.load(s)
        sealed = saved.sealed_password if saved else ""
        password = password_line() if password_stdin else tools.sealer.open(sealed)
        values = dict(saved.profile if saved else {}) | _profile_values(given, faults)
        profile, more = Profile.examine(values, password)
        faults += more if profile is None else profile.faults()
        changes |= _settings(given, faults)
        if faults or profile is None:
            raise Failed(*(f"{fault.field}: {fault.message} {fault.remedy}" for fault in faults))
        changes["profile"] = profile.stored()
        if password_stdin:
            changes["sealed_password"] = tools.sealer.seal(password)
        directory_settings.save(s, changes, by=ACTOR, now=utc_now())
        names = sorted(name for name, value in given.items() if value is not None)
        audit.append(
            s,
            "settings-saved",
            now=utc_now(),
            outcome="ok",
            actor=ACTOR,
            detail={"fields": names + ["password"] * password_stdin},
        )
    if profile.encryption is Encryption.NONE:
        say(f"Warning: {PLAIN_TEXT}")
    say("The directory was saved.")


@directory.command()
@json_option
@pass_tools
def show(tools: Tools, as_json: bool) -> None:
    """Show the settings, without the password."""
    with tools.database.read() as s:
        saved = directory_settings.load(s)
    if saved is None:
        raise Failed("No directory is set up. Use: authsvc directory set")
    shown = _shown(saved)
    if as_json:
        print_json(shown)
        return
    for name, value in shown.items():
        if name != "ca_certificates":
            print_line(f"{name.replace('_', ' '):<24}{_words(value)}")


@directory.command()
@json_option_or(lambda message: {"ok": False, "steps": [], "error": message})
@pass_tools
def test(tools: Tools, as_json: bool) -> None:
    """Test it step by step; exits 0 when every step passes, else 1.

    After a success, a sync service that was refused tries again at once.
    """
    from authsvc.console.ad_credentials.conflict_counts import judge
    from dirclient.client import DirectoryClient  # heavy, and only wanted here

    client = DirectoryClient(saved_profile(tools))
    steps: list[Step] = []
    try:
        for step in client.probe(judge(tools.database, utc_now)):
            steps.append(step)
            if not as_json:
                print_line(_line(step))
    finally:
        client.close()
    good = bool(steps) and all(step.ok for step in steps)
    if as_json:
        print_json({"ok": good, "steps": [as_document(step) for step in steps]})
    if not good:
        failed = next((step for step in steps if not step.ok), None)
        raise Failed(f"{failed.summary} {failed.remedy}".strip() if failed else "Nothing answered.")
    with tools.database.write() as s:
        saved = directory_settings.load(s)
        if saved is not None:
            runs.request_after_test(s, saved.id, now=utc_now(), by=ACTOR)


def saved_profile(tools: Tools) -> Profile:
    """The stored profile with its password. Raises Failed while none is set up, KeyProblem."""
    with tools.database.read() as s:
        saved = directory_settings.load(s)
    if saved is None:
        raise Failed("No directory is set up. Use: authsvc directory set")
    return Profile.from_stored(saved.profile, tools.sealer.open(saved.sealed_password))


def as_document(step: Step) -> dict[str, Any]:
    """A step of the test for `--json`."""
    return asdict(step) | {"data": dict(step.data), "seconds": round(step.seconds, 4)}


def _profile_values(given: Mapping[str, Any], faults: list[Fault]) -> dict[str, Any]:
    """Return what was given of the profile's fields."""
    values = {name: given[name] for name in _AS_GIVEN if given[name] is not None}
    if given["server"] is not None:
        values["servers"] = [
            server.strip() for server in given["server"].split(",") if server.strip()
        ]
    if given["advanced"] is not None:
        values["advanced"] = given["advanced"] == "yes"
    if given["encryption"] is not None:
        # Whoever writes out `--encryption none` has been told by its help what that means.
        values["plaintext_accepted"] = given["encryption"] == Encryption.NONE
    if given["ca_file"] is not None:
        try:
            values["ca_certificates"] = read_certificates(given["ca_file"].read_bytes())
        except NoCertificates as refused:
            faults.append(Fault("ca_certificates", str(refused), refused.remedy))
        except OSError as error:
            remedy = "Give the path of a PEM file that this user may read."
            message = f"{given['ca_file']} cannot be read: {error.strerror}."
            faults.append(Fault("ca_certificates", message, remedy))
    return values


def _settings(given: Mapping[str, Any], faults: list[Fault]) -> dict[str, Any]:
    """Return what was given of the settings beside the profile."""
    changes: dict[str, Any] = {
        name: given[name] == "yes"
        for name in ("auto_sync", "login_without_domain")
        if given[name] is not None
    }
    text = given["ring_group_range"]
    if text is not None:
        first: str | None = None
        last: str | None = None
        try:
            if text.strip():
                first, last = parse_range(text)
        except InvalidValue as error:
            faults.append(Fault("ring_group_range", str(error), error.remedy))
        changes |= {"ring_group_first": first, "ring_group_last": last}
    return changes


def _shown(saved: Directory) -> dict[str, Any]:
    profile = {k: v for k, v in saved.profile.items() if "password" not in k}
    ends = (saved.ring_group_first, saved.ring_group_last)
    return profile | {
        "password_set": bool(saved.sealed_password),
        "auto_sync": saved.auto_sync,
        "login_without_domain": saved.login_without_domain,
        "ring_group_range": "-".join(end for end in ends if end) or None,
        "version": saved.version,
        "updated_at": saved.updated_at.isoformat(),
        "updated_by": saved.updated_by,
    }


def _words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return "" if value is None else str(value)


def _line(step: Step) -> str:
    mark = "FAILED" if not step.ok else "note" if step.warning else "ok"
    line = f"{mark:<7}{step.name:<22}{step.summary} ({step.seconds:.2f} s)"
    return f"{line}\n       {step.remedy}" if step.remedy else line
