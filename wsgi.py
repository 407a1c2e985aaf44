"""The composition root of the web process: settings in, `app` out. Run by gunicorn."""

from __future__ import annotations

import os

from authsvc.app import create_app
from authsvc.services import assemble
from authsvc.web.layout import compile_pages
from dirclient.client import DirectoryClient
from kerauno.base.config import load
from kerauno.base.core_dumps import forbid_core_dumps
from kerauno.base.logs import setup_logging

forbid_core_dumps()
settings = load(os.environ)
setup_logging(settings.log_level, settings.log_format)
app = create_app(assemble(settings, connect=DirectoryClient))
compile_pages(app)
