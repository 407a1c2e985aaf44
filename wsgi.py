"""The composition root of the web process: settings in, `app` out. Run by gunicorn."""

from __future__ import annotations

import os

from authsvc.app import create_app
from authsvc.pages import compile_pages
from authsvc.services import assemble
from dirclient.client import DirectoryClient
from kerauno.config import load
from kerauno.core_dumps import forbid_core_dumps
from kerauno.logs import setup_logging

forbid_core_dumps()
settings = load(os.environ)
setup_logging(settings.log_level, settings.log_format)
app = create_app(assemble(settings, connect=DirectoryClient))
compile_pages(app)
