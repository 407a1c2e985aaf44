"""Workflow Tools > Active Directory > AD Credentials: the form, its test, its saving."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from flask import Response, redirect, request, stream_template
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.exceptions import NotFound

from authsvc.console import base
from authsvc.console.ad_credentials import form
from authsvc.console.ad_credentials.conflict_counts import judge
from authsvc.console.labels import labels
from authsvc.console.runs import plans, requests
from authsvc.i18n.translate import gettext as _
from authsvc.i18n.translate import stream_in_language
from authsvc.services import current_services
from authsvc.signin.directory_connection import Client
from authsvc.web.session import require_current_user
from dirclient.config.presets import of as preset_of
from dirclient.config.profile import Profile
from dirclient.model.directory_objects import Step
from dirclient.model.errors import DirectoryError, Misconfigured, Unavailable
from kerauno.base.errors import InvalidValue, KeyProblem, Stale
from kerauno.base.visible_text import folded
from kerauno.sync import directory_settings, runs
from kerauno.tables.core import Department, Directory, Link, SeenDepartment

bp = base.blueprint("credentials")
HERE = "/console/directory/credentials"


@bp.get("/directory/credentials")
def show() -> ResponseReturnValue:
    """The form, as stored."""
    with base.reading() as s:
        directory = base.directory_or_none(s)
        draft = form.stored(directory)
        saved = _("Sign-in uses them from now on.") if request.args.get("saved") else ""
        return _form(s, directory, draft, saved=saved)


@bp.post("/directory/credentials")
def save() -> ResponseReturnValue:
    """Store the form; where that could change linked users, show first what it would do."""
    draft = _posted()
    with base.reading() as s:
        directory = base.directory_or_none(s)
        if request.form.get("version", "0") != str(directory.version if directory else 0):
            return _overtaken(s, directory, draft)
        settings = _understood(draft, directory)
        if settings is None:
            return _form(s, directory, draft, status=422)
        linked = directory is not None and _anyone_built(s)
    columns = dict(settings.columns)
    if request.form.get("password"):
        columns["sealed_password"] = current_services().sealer.seal(request.form["password"])
    version = directory.version if directory else 0
    if directory is not None and linked and form.touches_people(directory, settings):
        with base.writing() as s:
            payload = {"settings": columns, "version": version}
            request_id = requests.ask(
                s, directory, "plan", payload, by=require_current_user().email, now=base.now()
            )
        return redirect(f"{HERE}/review/{request_id}", 303)
    return _store(draft, columns, version)


@bp.get("/directory/credentials/review/<int:request_id>")
def review(request_id: int) -> ResponseReturnValue:
    """Return what saving would do to linked users and imported departments."""
    with base.reading() as s:
        followed = _review(s, request_id)
        plan = plans.of_request(s, followed)
        template = "_review.html" if base.part_only() else "credentials_review.html"
        return base.page(template, followed=followed, plan=plan)


@bp.post("/directory/credentials/review/<int:request_id>")
def save_reviewed(request_id: int) -> ResponseReturnValue:
    """Store exactly the settings whose effect was shown."""
    with base.reading() as s:
        followed = _review(s, request_id)
        columns, version = dict(followed.payload["settings"]), int(followed.payload["version"])
    return _store(form.stored(None), columns, version)


@bp.post("/directory/credentials/test")
def test() -> ResponseReturnValue:
    """Test what is in the form, saved or not; each step is sent as it finishes."""
    draft = _posted()
    with base.reading() as s:
        directory = base.directory_or_none(s)
    settings = _understood(draft, directory)
    template = "console/_steps.html" if base.part_only() else "console/test.html"
    steps = _audited(_probe(settings.profile), settings.profile) if settings else iter(())
    faults = _labelled(draft.faults)
    page = stream_template(
        template,
        steps=steps,
        faults=faults,
        inline=base.part_only(),
        labels=labels(form.LABELS),
        places=form.ERROR_PLACES,
    )
    response = Response(stream_in_language(page))
    response.headers["X-Accel-Buffering"] = "no"  # a reverse proxy passes each step on at once
    return response


@bp.post("/directory/credentials/advanced")
def advanced() -> ResponseReturnValue:
    """Return what Advanced Search DN adds and removes: both ways, asked of the directory itself."""
    draft = _posted()
    results: list[tuple[str, list[Step]]] = []
    for value, label in (
        ("no", _("Advanced Search DN Off")),
        ("yes", _("Advanced Search DN On")),
    ):
        draft.typed["advanced"] = value
        with base.reading() as s:
            settings = _understood(draft, base.directory_or_none(s))
        names = ("people", "departments")
        steps = [
            step
            for step in (_probe(settings.profile) if settings else ())
            if step.name in names or not step.ok
        ]
        results.append((label, steps))
    faults = _labelled(draft.faults)
    return base.page(
        "_advanced.html" if base.part_only() else "advanced.html", found=results, faults=faults
    )


@bp.post("/directory/credentials/suggest")
def suggest() -> ResponseReturnValue:
    """Return what the directory offers for a half-typed search DN."""
    draft = _posted()
    text = draft.typed.get(request.form.get("field", ""), "")
    suggestions: tuple[str, ...] = ()
    with _asking(draft) as client:
        if client is not None:
            try:
                suggestions = client.suggest(text, 8)
            except DirectoryError:
                suggestions = ()
    return base.page("_suggestions.html", found=suggestions)


@bp.post("/directory/credentials/find")
def find() -> ResponseReturnValue:
    """Return what a search DN is and holds."""
    field = request.args.get("field", "")
    if field not in ("user_search_dn", "department_search_dn"):
        raise NotFound
    draft = _posted()
    shown = {
        "user_search_dn": ("user_search_dn", "people"),
        "department_search_dn": ("department_search_dn", "departments"),
    }[field]
    with base.reading() as s:
        settings = _understood(draft, base.directory_or_none(s))
    steps = [
        step
        for step in (_probe(settings.profile) if settings else ())
        if step.name in shown or not step.ok
    ]
    faults = _labelled(draft.faults)
    template = "_found.html" if base.part_only() else "test.html"
    return base.page(template, steps=steps, faults=faults)


def _posted() -> form.Draft:
    upload = request.files.get("ca_file")
    octets = upload.stream.read(form.LARGEST_UPLOAD) if upload and upload.filename else None
    pairs = zip(request.form.getlist("role_guid"), request.form.getlist("role"), strict=False)
    return form.posted(request.form, octets, dict(pairs))


def _labelled(faults: Mapping[str, form.Fault]) -> dict[str, form.Fault]:
    """The faults under the names that the form gives its fields."""
    names = labels(form.LABELS)
    return {names.get(name, name): fault for name, fault in faults.items()}


def _password(draft: form.Draft, directory: Directory | None) -> str:
    """The typed password, else the stored one if it may go where the form points."""
    typed = request.form.get("password", "")
    if typed or directory is None or not directory.sealed_password:
        return typed
    if not form.password_may_go(Profile.from_stored(directory.profile, ""), draft):
        draft.fault(
            "password",
            _("The stored password is used only for the server and account it was stored for."),
            _("Type the password again."),
        )
        return ""
    try:
        return current_services().sealer.open(directory.sealed_password)
    except KeyProblem as problem:
        draft.fault("password", str(problem), _("Type the password again."))
        return ""


def _understood(draft: form.Draft, directory: Directory | None) -> form.Settings | None:
    return form.understand(draft, _password(draft, directory))


@contextmanager
def _asking(draft: form.Draft) -> Iterator[Client | None]:
    """A client for the form as it stands; None while the form cannot be used."""
    with base.reading() as s:
        directory = base.directory_or_none(s)
    password = _password(draft, directory)
    settings = form.understand(draft, password)
    profile = settings.profile if settings else form.connection_alone(draft, password)
    if profile is None:
        yield None
        return
    client = current_services().directories.connect(profile)
    try:
        yield client
    finally:
        client.close()


def _probe(profile: Profile) -> Iterator[Step]:
    services = current_services()
    client = services.directories.connect(profile)
    try:
        yield from client.probe(judge(services.database, services.now))
    except Misconfigured as wrong:
        yield Step("settings", False, str(wrong), 0.0, field=wrong.field, remedy=wrong.remedy)
    except Unavailable as away:
        remedy = "Check the address, the port and the firewalls on the way."
        yield Step("tcp", False, str(away), 0.0, field="servers", remedy=remedy)
    finally:
        client.close()


def _audited(steps: Iterator[Step], profile: Profile) -> Iterator[Step]:
    """The steps, and afterwards a note of what deserved attention, for the dashboard.

    A test that succeeds with the stored settings lets the sync service try at once.
    """
    typed_password = bool(request.form.get("password"))
    remarks: list[dict[str, str]] = []
    outcome = "ok"
    for step in steps:
        if not step.ok:
            outcome = "failed"
        if not step.ok or step.warning:
            remarks.append({"step": step.name, "said": step.summary, "remedy": step.remedy})
        yield step
    with base.writing() as s:
        base.note(s, "settings-tested", outcome=outcome, detail={"remarks": remarks})
        directory = base.directory_or_none(s)
        stored = directory is not None and profile.stored() == directory.profile
        if outcome == "ok" and directory is not None and stored and not typed_password:
            runs.request_after_test(
                s, directory.id, now=base.now(), by=require_current_user().email
            )


def _review(s: Session, request_id: int) -> requests.Followed:
    followed = requests.follow(s, request_id, base.now())
    if followed is None or "settings" not in followed.payload:
        raise NotFound
    return followed


def _anyone_built(s: Session) -> bool:
    linked = s.scalar(select(func.count()).select_from(Link)) or 0
    return bool(linked or s.scalar(select(Department.id).where(Department.guid.is_not(None))))


def _store(draft: form.Draft, columns: dict[str, Any], version: int) -> ResponseReturnValue:
    try:
        with base.writing() as s:
            saved = directory_settings.save(
                s, columns, by=require_current_user().email, now=base.now(), version=version
            )
            base.note(s, "settings-saved", outcome="ok", detail={"version": saved.version})
            requests.ask(s, saved, "keep", {}, by=require_current_user().email, now=base.now())
    except Stale:
        with base.reading() as s:
            return _overtaken(s, base.directory_or_none(s), draft)
    except InvalidValue as invalid:
        draft.fault(invalid.field, str(invalid), invalid.remedy)
        with base.reading() as s:
            return _form(s, base.directory_or_none(s), draft, status=422)
    return redirect(f"{HERE}?saved=1", 303)


def told_apart(groups: Sequence[SeenDepartment]) -> list[tuple[str, str]]:
    """Return GUID and name of each group; with its DN where another's name looks the same."""
    alike = Counter(folded(group.name) for group in groups)
    return [
        (group.guid, f"{group.name} ({group.dn})" if alike[folded(group.name)] > 1 else group.name)
        for group in groups
    ]


def _overtaken(s: Session, directory: Directory | None, draft: form.Draft) -> ResponseReturnValue:
    """Another administrator saved first: theirs beside mine, nothing lost."""
    differences = form.differences(form.stored(directory), draft)
    return _form(s, directory, draft, status=409, conflict=True, differences=differences)


def _form(
    s: Session,
    directory: Directory | None,
    draft: form.Draft,
    *,
    status: int = 200,
    saved: str = "",
    conflict: bool = False,
    differences: tuple[form.Difference, ...] = (),
) -> ResponseReturnValue:
    preset = preset_of(Profile(preset=form.preset_name(draft)))
    groups: list[SeenDepartment] = []
    if directory is not None:
        groups = list(
            s.scalars(
                select(SeenDepartment)
                .where(SeenDepartment.directory_id == directory.id, SeenDepartment.kind == "group")
                .order_by(SeenDepartment.name)
                .limit(2000)
            )
        )
    return base.page(
        "credentials.html",
        status,
        f=draft.typed,
        roles=draft.roles,
        role_groups=told_apart(groups),
        errors=draft.faults,
        labels=labels(form.LABELS),
        certificates=form.certificates(draft.typed["ca_certificates"], base.now()),
        stored=directory,
        password_stored=directory is not None and bool(directory.sealed_password),
        version=directory.version if directory else 0,
        defaults={
            "login": ", ".join(preset.login),
            "first_name": ", ".join(preset.first_name),
            "last_name": ", ".join(preset.last_name),
            "extension": ", ".join(preset.extension),
        },
        more_open=bool(form.MORE & draft.faults.keys()),
        saved=saved,
        conflict=conflict,
        differences=differences,
    )
