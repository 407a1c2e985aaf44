"""The parts that every page is made with: templates, addresses of static files, and the
navigation."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flask import Flask, Response, current_app, request

from authsvc.i18n.formatting import setup_writing
from authsvc.i18n.translate import N_, gettext
from authsvc.web.session import CurrentUser, current_user_or_none
from kerauno.base.visible_text import visible_lines

STATIC = Path(__file__).parents[1] / "static"
_YEAR = 365 * 24 * 3600
_FIRST_PAGES = tuple(
    f"{name}.html" for name in ("macros", "base", "solo", "login", "error", "app", "home")
)


@dataclass(frozen=True, slots=True)
class NavItem:
    """One entry of the navigation. `roles` empty: everyone. `icon` is a name of icons.svg.

    `label` is a message of the catalogue, as a group's title is.
    """

    label: str
    href: str
    icon: str
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class NavGroup:
    """Entries that belong together, under a title (empty: none)."""

    title: str
    items: tuple[NavItem, ...]


@dataclass(frozen=True, slots=True)
class ShownItem:
    """An entry as one person sees it on one page."""

    label: str
    href: str
    icon: str
    current: bool


@dataclass(frozen=True, slots=True)
class ShownGroup:
    """A group of entries that are shown."""

    title: str
    items: tuple[ShownItem, ...]


def setup_pages(app: Flask) -> None:
    """Give templates `asset`, `navigation` and `me`; start the navigation with home."""
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    setup_writing(app)
    app.jinja_env.finalize = shown_in_page
    app.jinja_env.filters["exact"] = Exact
    app.jinja_env.globals.update(asset=asset, navigation=navigation)
    app.jinja_env.filters["initials"] = initials
    app.extensions["kerauno.navigation"] = []
    add_navigation(
        app,
        NavGroup(
            "",
            (
                NavItem(N_("Home"), "/", "home"),
                NavItem(N_("Phone book"), "/phonebook", "book"),
            ),
        ),
    )
    app.context_processor(lambda: {"me": current_user_or_none()})
    app.after_request(_keep_static)


class Exact(str):
    """Text that comes back with a form: the value of a field is not marked."""

    __slots__ = ()


def shown_in_page(value: object) -> object:
    """Return what a template writes: text with its invisible and turning signs marked.

    Markup is what templates made themselves, of text that went through here.
    """
    return visible_lines(value) if type(value) is str else value


def compile_pages(app: Flask) -> None:
    """Compile the pages of signing in, once for all processes that are forked from this one.

    Otherwise the first visitor of each process waits a tenth of a second for it.
    """
    for name in _FIRST_PAGES:
        app.jinja_env.get_template(name)


def add_navigation(app: Flask, group: NavGroup) -> None:
    """Add a group to the navigation, after those already there."""
    app.extensions["kerauno.navigation"].append(group)


def add_to_first_group(app: Flask, item: NavItem) -> None:
    """Add an entry to everyone's own pages, which stand first."""
    groups: list[NavGroup] = app.extensions["kerauno.navigation"]
    groups[0] = NavGroup(groups[0].title, (*groups[0].items, item))


def navigation() -> tuple[ShownGroup, ...]:
    """Return what the person of this request may open; the longest matching address is the
    current."""
    groups: list[NavGroup] = current_app.extensions["kerauno.navigation"]
    me = current_user_or_none()
    allowed = [
        (group.title, [item for item in group.items if _may_see(me, item)]) for group in groups
    ]
    matches = [item.href for _, items in allowed for item in items if _leads_to(item.href)]
    place = max(matches, key=len, default="")
    return tuple(
        ShownGroup(
            gettext(title) if title else "",
            tuple(ShownItem(gettext(i.label), i.href, i.icon, i.href == place) for i in items),
        )
        for title, items in allowed
        if items
    )


def initials(me: CurrentUser) -> str:
    """One or two letters for the round picture."""
    return (me.first_name[:1] + me.last_name[:1]).upper() or "?"


def _may_see(me: CurrentUser | None, item: NavItem) -> bool:
    return me is not None and (not item.roles or me.role in item.roles)


def _leads_to(href: str) -> bool:
    path = request.path
    return path == href or (href != "/" and path.startswith(href.rstrip("/") + "/"))


@cache
def asset(name: str) -> str:
    """The address of a static file, with a digest so that browsers may keep it for ever."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:10]
    return f"/static/{name}?v={digest}"


def _keep_static(response: Response) -> Response:
    if request.endpoint == "static" and "v" in request.args and response.status_code == 200:
        response.cache_control.no_cache = None
        response.cache_control.public = True
        response.cache_control.max_age = _YEAR
        response.cache_control.immutable = True
    return response
