"""Every outcome of a sign-in has a label for operators, and the manual names each label."""

from __future__ import annotations

from typing import get_args

from authsvc.signin.outcomes import METRIC_LABELS, Outcome
from tests.servers.process import PROJECT


def test_every_outcome_has_a_label_of_its_own() -> None:
    assert set(METRIC_LABELS) == set(get_args(Outcome))
    assert len(set(METRIC_LABELS.values())) == len(METRIC_LABELS)


def test_the_manual_names_every_label() -> None:
    manual = (PROJECT / "docs" / "operations.md").read_text()
    (row,) = [line for line in manual.splitlines() if line.startswith("| `GET /metrics`")]
    assert [label for label in METRIC_LABELS.values() if f"`{label}`" not in row] == []
