"""Labels of scopes: the things that an app learns about a person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from authsvc.i18n.translate import N_, gettext

WISHES: Mapping[str, str] = {
    "profile": N_("Your name and username"),
    "email": N_("Your email address"),
    "phone": N_("Your extension"),
    "groups": N_("The departments you belong to"),
    "offline_access": N_("Access while you are not at your computer, until you take it back"),
}
_IN_SHORT: Mapping[str, str] = {
    "profile": N_("name"),
    "email": N_("email"),
    "phone": N_("extension"),
    "groups": N_("departments"),
}


def labels_of(scopes: Iterable[str]) -> list[str]:
    """Return what an app asks to know besides who the person is, a line for each scope."""
    return [
        gettext(WISHES[scope]) if scope in WISHES else scope
        for scope in scopes
        if scope != "openid"
    ]


def known(scopes: Iterable[str]) -> str:
    """Return what an app knows of the person, in a few words."""
    words = [gettext(_IN_SHORT[scope]) for scope in scopes if scope in _IN_SHORT]
    return ", ".join(words) or gettext("who you are")
