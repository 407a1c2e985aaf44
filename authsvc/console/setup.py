"""Registers the console: its parts, its words, its entries in the navigation."""

from __future__ import annotations

from flask import Flask

from authsvc.console import base
from authsvc.console.ad_credentials import views as ad_credentials
from authsvc.console.ad_departments import views as ad_departments
from authsvc.console.ad_users import views as ad_users
from authsvc.console.apps import views as apps
from authsvc.console.audit import views as audit
from authsvc.console.dashboard import views as dashboard
from authsvc.console.phones import views as phones
from authsvc.console.protected_sites import views as protected_sites
from authsvc.console.runs import request_progress
from authsvc.console.runs import views as runs
from authsvc.console.throttle import views as throttle
from authsvc.console.users import ad_tab
from authsvc.console.users import api as users_api
from authsvc.console.users import views as users
from authsvc.i18n.translate import N_
from authsvc.portal.my_departments import setup_departments
from authsvc.portal.phonebook_export import setup_phonebook
from authsvc.web.layout import NavGroup, NavItem, add_navigation
from authsvc.web.session import ADMIN

PARTS = (
    dashboard.bp,
    ad_credentials.bp,
    ad_users.bp,
    ad_departments.bp,
    request_progress.bp,
    users.bp,
    ad_tab.bp,
    runs.bp,
    phones.bp,
    users_api.bp,
    audit.bp,
    apps.bp,
    protected_sites.bp,
    throttle.bp,
)
_ADMIN = frozenset({ADMIN})


def setup_console(app: Flask) -> None:
    """Add the console to the app."""
    base.setup_templates(app)
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
