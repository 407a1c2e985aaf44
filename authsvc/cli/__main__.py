"""`python -m authsvc.cli`."""

from __future__ import annotations

from authsvc.cli.main import main

main()
