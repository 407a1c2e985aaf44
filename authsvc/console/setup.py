"""Registers the console: its parts, its words, its entries in the navigation."""

from __future__ import annotations

from flask import Flask

from authsvc.console import (
    api,
    audit,
    clients,
    credentials,
    dashboard,
    departments,
    follow,
    hosts,
    people,
    phones,
    runs,
    site,
    throttles,
    user_directory,
    users,
)
from authsvc.departments import setup_departments
from authsvc.pages import NavGroup, NavItem, add_navigation
from authsvc.phonebook import setup_phonebook
from authsvc.sessions import ADMIN
from authsvc.texts import N_

PARTS = (
    dashboard.bp,
    credentials.bp,
    people.bp,
    departments.bp,
    follow.bp,
    users.bp,
    user_directory.bp,
    runs.bp,
    phones.bp,
    api.bp,
    audit.bp,
    clients.bp,
    hosts.bp,
    throttles.bp,
)
_ADMIN = frozenset({ADMIN})


def setup_console(app: Flask) -> None:
    """Add the console to the app."""
    site.setup_templates(app)
    setup_phonebook(app)
    setup_departments(app)
    for part in PARTS:
        app.register_blueprint(part)
    for title, entries in NAVIGATION:
        items = tuple(NavItem(label, href, icon, _ADMIN) for label, href, icon in entries)
        add_navigation(app, NavGroup(title, items))


NAVIGATION = (
    (
        N_("Administration"),
        ((N_("Dashboard"), "/console", "gauge"),),
    ),
    (
        N_("Workflow Tools"),
        (
            (N_("AD Credentials"), "/console/directory/credentials", "server"),
            (N_("AD Users"), "/console/directory/users", "users"),
            (N_("AD Departments"), "/console/directory/departments", "department"),
            (N_("Runs"), "/console/runs", "sync"),
        ),
    ),
    (
        N_("Users & Devices"),
        (
            (N_("Users"), "/console/users", "user"),
            (N_("Phone access"), "/console/phones", "device"),
        ),
    ),
    (
        N_("Security"),
        (
            (N_("Apps"), "/console/clients", "app"),
            (N_("Protected sites"), "/console/hosts", "lock"),
            (N_("Throttle"), "/console/throttles", "clock"),
            (N_("Audit"), "/console/audit", "shield"),
        ),
    ),
)
