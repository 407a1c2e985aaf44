"""The dashboard, and each server's reachability, which is asked for after the page is there."""

from __future__ import annotations

from datetime import timedelta

from flask.typing import ResponseReturnValue

from authsvc.console import site
from authsvc.console.data import dashboard
from authsvc.services import services
from authsvc.signin_records import EVENT
from dirclient.profile import Profile
from dirclient.reach import reach

bp = site.blueprint("dashboard")


@bp.get("", strict_slashes=False)
def show() -> ResponseReturnValue:
    """Is everything well, and what waits for a person."""
    with site.reading() as s:
        seen = dashboard.overview(s, site.now(), event=EVENT)
    servers = [] if seen.directory is None else list(seen.directory.profile.get("servers") or ())
    return site.page("dashboard.html", seen=seen, servers=servers)


@bp.get("/servers")
def servers() -> ResponseReturnValue:
    """Reachability and latency of each server, asked now; and which this process has set aside."""
    with site.reading() as s:
        directory = site.directory_or_none(s)
    reached = reach(Profile.from_stored(directory.profile, "")) if directory else ()
    soon = site.now() + timedelta(days=30)
    template = "_servers.html" if site.part_only() else "servers.html"
    aside = services().directories.servers_aside()
    return site.page(template, reached=reached, soon=soon, aside=aside)
