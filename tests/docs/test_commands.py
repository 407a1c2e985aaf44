"""The documentation is true: its commands exist, its links lead somewhere, and the
blocks that say so run as they stand, against a real Active Directory."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from provisioning.mapping_rules import Code
from tests.docs.blocks import DOCUMENTS, blocks, commands
from tests.servers.process import PROJECT
from tests.servers.samba import SambaDC
from tests.servers.web import Installation

CONFLICT_CODES = [code.value for code in Code]


@pytest.mark.parametrize(("document", "words"), commands(), ids=lambda one: " ".join(one)[:60])
def test_every_command_shown_exists(document: str, words: list[str]) -> None:
    command: click.Command = importlib.import_module(f"{words[0]}.cli").main
    context = click.Context(command, info_name=words[0])
    rest = words[1:]
    while isinstance(command, click.Group):
        inner = command.get_command(context, rest[0])
        assert inner is not None, f"{document}: {words}"
        command, rest = inner, rest[1:]
        context = click.Context(command, parent=context)
    command.make_parser(context).parse_args(list(rest))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda one: one.name)
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http:", "https:")):
            continue
        path, _, anchor = target.partition("#")
        place = (document.parent / path) if path else document
        assert place.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", place.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}
            assert anchor in slugs, target


def test_every_conflict_code_is_explained() -> None:
    manual = (PROJECT / "docs/manual.md").read_text()
    assert [code for code in CONFLICT_CODES if f"`{code}`" not in manual] == []


def test_make_targets_shown_exist() -> None:
    makefile = (PROJECT / "Makefile").read_text()
    shown = {
        target
        for document in DOCUMENTS
        for target in re.findall(r"(?:^|`)make (?:-C \S+ )?([a-z]+)\b", document.read_text(), re.M)
    }
    assert {"demo", "test", "check"} <= shown
    assert [one for one in shown if not re.search(rf"^{one}:", makefile, re.MULTILINE)] == []


def test_settings_named_in_the_documents_exist() -> None:
    known = set(tomllib.loads((PROJECT / "config/kerauno.toml").read_text()))
    text = (PROJECT / "docs/operations.md").read_text()
    named = {one.lower() for one in re.findall(r"KERAUNO_([A-Z_]+[A-Z])", text)} - {"config"}
    assert named <= known


def run_blocks(group: str, folder: Path, environ: dict[str, str], **replaced: str) -> list[str]:
    """Run a group's blocks in order, each in a shell of its own; gives what each printed."""
    programs = folder / "bin"
    programs.mkdir()
    for name in ("authsvc", "syncsvc"):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {name}.cli "$@"\n')
        program.chmod(0o755)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("KERAUNO_")}
    path = f"{programs}:{os.environ['PATH']}"
    environ = inherited | environ | {"PATH": path, "PYTHONPATH": str(PROJECT)}
    printed = []
    for block in blocks():
        if block.group != group:
            continue
        text = block.text
        for old, new in replaced.items():
            text = text.replace(old, new)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=folder,
            env=environ,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
        printed.append(done.stdout)
    return printed


@pytest.mark.samba
def test_first_steps_of_the_manual(samba_dc: SambaDC, tmp_path: Path) -> None:
    made = Installation(tmp_path)
    (tmp_path / "goodcompany-ca.pem").write_text(samba_dc.ca_pem)
    (tmp_path / "service-password").write_text(f"{samba_dc.service.password}\n")
    replaced = {"192.0.2.10": samba_dc.host}
    printed = run_blocks("first-steps", tmp_path, made.environ, **replaced)
    test, plan, built = json.loads(printed[2]), json.loads(printed[3]), printed[4]
    assert test["ok"]
    creates = [one["username"] for one in plan["actions"] if one["action"] == "create"]
    assert "john.doe" in creates
    conflicts = {one["person"]: one["code"] for one in plan["conflicts"]}
    assert set(conflicts.values()) <= set(CONFLICT_CODES)
    run, users = (json.loads(line) for line in built.splitlines())
    assert (run["status"], run["created"]) == ("applied", len(creates))
    assert {one["username"] for one in users if one["synced"]} == set(creates)


def test_operating_as_the_manual_says(tmp_path: Path) -> None:
    made = Installation(tmp_path)
    printed = run_blocks("operate", tmp_path, made.environ)
    assert json.loads(printed[-1]) == []
    assert (tmp_path / "kerauno-backup.db").stat().st_size > 0
