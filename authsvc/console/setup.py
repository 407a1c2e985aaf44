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
    user_directory,
    users,
)
from authsvc.departments import setup_departments
from authsvc.pages import NavGroup, NavItem, add_navigation
from authsvc.phonebook import setup_phonebook
from authsvc.sessions import ADMIN

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
        "Administration",
        (("Dashboard", "/console", "gauge"),),
    ),
    (
        "Workflow Tools",
        (
            ("AD Credentials", "/console/directory/credentials", "server"),
            ("AD Users", "/console/directory/users", "users"),
            ("AD Departments", "/console/directory/departments", "department"),
            ("Runs", "/console/runs", "sync"),
        ),
    ),
    (
        "Users & Devices",
        (
            ("Users", "/console/users", "user"),
            ("Phone access", "/console/phones", "device"),
        ),
    ),
    (
        "Security",
        (
            ("Apps", "/console/clients", "app"),
            ("Protected sites", "/console/hosts", "lock"),
            ("Audit", "/console/audit", "shield"),
        ),
    ),
)
