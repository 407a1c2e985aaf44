"""The settings of gunicorn for the web service."""

from __future__ import annotations

import gc
import runpy

from tests.servers.process import PROJECT

CONFIG = PROJECT / "config" / "gunicorn.conf.py"


def test_what_is_loaded_before_the_fork_is_not_looked_through_for_garbage() -> None:
    before = gc.get_freeze_count()
    try:
        runpy.run_path(str(CONFIG))["pre_fork"](None, None)
        assert gc.get_freeze_count() > before
    finally:
        gc.unfreeze()
