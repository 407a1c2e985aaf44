"""The dashboard, and each server's reachability, which is asked for after the page is there."""

from __future__ import annotations

from datetime import timedelta

from flask.typing import ResponseReturnValue

from authsvc.console import base
from authsvc.console.dashboard import queries
from authsvc.services import current_services
from authsvc.signin.store import EVENT
from dirclient.config.profile import Profile
from dirclient.probe.server_check import reach

bp = base.blueprint("dashboard")


@bp.get("", strict_slashes=False)
def show() -> ResponseReturnValue:
    """Is everything well, and what waits for a person."""
    with base.reading() as s:
        seen = queries.overview(s, base.now(), event=EVENT)
    servers = [] if seen.directory is None else list(seen.directory.profile.get("servers") or ())
    return base.page("dashboard.html", seen=seen, servers=servers)


@bp.get("/servers")
def servers() -> ResponseReturnValue:
    """Reachability and latency of each server, asked now; and which this process has set aside."""
    with base.reading() as s:
        directory = base.directory_or_none(s)
    reached = reach(Profile.from_stored(directory.profile, "")) if directory else ()
    soon = base.now() + timedelta(days=30)
    template = "_servers.html" if base.part_only() else "servers.html"
    aside = current_services().directories.servers_aside()
    return base.page(template, reached=reached, soon=soon, aside=aside)
