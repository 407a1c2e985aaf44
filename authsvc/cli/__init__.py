"""The commands of `authsvc`.

`root_group` has `serve` and the group of all; each other module has one group of commands.
"""

from __future__ import annotations

from authsvc.cli.root_group import main

__all__ = ["main"]
