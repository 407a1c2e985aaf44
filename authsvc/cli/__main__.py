"""`python -m authsvc.cli`."""

from __future__ import annotations

from authsvc.cli import main

main(prog_name="authsvc")
