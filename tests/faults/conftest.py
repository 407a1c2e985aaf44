"""The figures of all faults, told at the end."""

from __future__ import annotations

import pytest

from tests.faults.measure import COSTS, HEADER


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what each fault cost."""
    if COSTS:
        terminalreporter.section("what each fault cost")
        terminalreporter.write_line(HEADER)
        for cost in COSTS:
            terminalreporter.write_line(cost.row())
