"""The sign-in form as nearly every browser gets it, answered in front of Flask.

A browser that brings nothing along, no query and no cookie but the one it is known by, gets a page
that says nothing about anyone: it is rendered once for each language and handed out as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from flask import Flask

from authsvc.i18n.translate import Language, Languages, use_language
from authsvc.login.login_post import LOGIN_PATH
from authsvc.signin.directory_connection import Directories
from authsvc.web.session_cookie import known_browser_cookie_name

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Headers = list[tuple[str, str]]

_AT_HAND = "kerauno.at_hand"


class CachedLoginPage:
    """Answers `GET /login` without session and query; everything else it passes on.

    `cookie` is the session cookie's name.
    """

    def __init__(
        self,
        behind: WSGIApplication,
        app: Flask,
        directories: Directories,
        headers: Callable[[Headers], Headers],
        *,
        cookie: str,
    ) -> None:
        self._behind = behind
        self._known = f"{known_browser_cookie_name(cookie)}="
        self._template = app.jinja_env.get_or_select_template("login.html")
        self._directories = directories
        self._headers = headers([("Content-Type", "text/html; charset=utf-8")])
        self._languages: Languages = app.extensions["kerauno.languages"]
        if self._languages.several:
            self._headers.append(("Vary", "Accept-Language"))
        self._rendered: dict[tuple[bool, str], bytes] = {}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """WSGI."""
        if not self._is_plain(environ):
            return self._behind(environ, start_response)
        chosen = self._languages.for_browser(environ.get("HTTP_ACCEPT_LANGUAGE", ""))
        page = self.page(chosen, look=_AT_HAND not in environ)
        start_response("200 OK", [*self._headers, ("Content-Length", str(len(page)))])
        return (page,)

    def is_at_hand(self, environ: WSGIEnvironment) -> bool:
        """Return whether this request is answered here, and nothing has to be asked for that."""
        if not (self._is_plain(environ) and self._rendered and self._directories.names_are_known()):
            return False
        environ[_AT_HAND] = True
        return True

    def page(self, chosen: Language, *, look: bool) -> bytes:
        """Return the rendered form.

        The only setting that it depends on is whether bare usernames are allowed. `look` tells
        whether that setting may be read now, see `Directories.bare_names`.
        """
        bare_names = self._directories.bare_names(look=look)
        page = self._rendered.get((bare_names, chosen.code))
        if page is None:
            with use_language(chosen):
                text = self._template.render(
                    next="/", username="", notice=None, bare_names=bare_names
                )
            page = self._rendered[bare_names, chosen.code] = text.encode()
        return page

    def _is_plain(self, environ: WSGIEnvironment) -> bool:
        if (
            environ["PATH_INFO"] != LOGIN_PATH
            or environ["REQUEST_METHOD"] != "GET"
            or environ.get("QUERY_STRING")
        ):
            return False
        cookies: str = environ.get("HTTP_COOKIE", "")
        return not cookies or (cookies.startswith(self._known) and ";" not in cookies)
