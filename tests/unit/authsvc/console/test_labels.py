"""The words, charts, cursors and PowerShell lines of the console."""

import ast
import re
import uuid
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.console import labels as console_labels
from authsvc.console import pagination
from authsvc.console.ad_users import powershell
from authsvc.console.runs import charts
from authsvc.signin.outcomes import Reason
from dirclient.model.assess import MEANINGS
from kerauno.oauth.tokens import TokenRefusal
from kerauno.tables.base import LARGEST_ID
from provisioning.mapping_rules import Code
from tests.servers.process import PROJECT

GUID = "1b2c3d4e-0000-4000-8000-0123456789ab"


def test_an_extension_line_names_the_account_by_guid_and_offers_the_free_number() -> None:
    assert powershell.remedy_line("extension_missing", GUID, free_extension="204") == (
        f"Set-ADUser -Identity '{GUID}' -Replace @{{ipPhone='204'}}"
    )


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("account_disabled", f"Enable-ADAccount -Identity '{GUID}'"),
        ("account_expired", f"Clear-ADAccountExpiration -Identity '{GUID}'"),
        ("name_missing", f"Set-ADUser -Identity '{GUID}' -GivenName 'First' -Surname 'Last'"),
        (
            "email_taken",
            f"Set-ADUser -Identity '{GUID}' -Replace @{{mail='first.last@company.com'}}",
        ),
        ("held_out", ""),
    ],
)
def test_each_conflict_has_its_line(code: str, line: str) -> None:
    assert powershell.remedy_line(code, GUID) == line


def test_an_attribute_that_is_no_ldap_name_gives_no_line() -> None:
    bad = "mail'; Remove-ADUser x #"
    assert powershell.remedy_line("email_missing", GUID, login_attribute=bad) == ""


def test_an_identity_that_is_no_guid_is_refused() -> None:
    with pytest.raises(ValueError):
        powershell.remedy_line("account_disabled", "'; Remove-ADUser x")


@given(st.text())
def test_a_powershell_literal_is_one_line_and_closes_only_at_its_end(text: str) -> None:
    line = powershell.literal(text)
    inner = line[1:-1]
    for quote in "'‘’‚‛":
        inner = inner.replace(quote * 2, "")
    assert not set(inner) & set("'‘’‚‛\n\r\u2028\u2029\u202e\x1b\x00")


def test_every_conflict_has_words_and_a_remedy() -> None:
    codes = {code.value for code in Code}
    assert set(console_labels.CONFLICTS) == codes
    assert set(console_labels.REMEDIES) == codes
    assert set(MEANINGS) == codes - {Code.NUMBER_MISSING, Code.NUMBER_TAKEN}  # of departments


def test_every_reason_of_a_refusal_has_words() -> None:
    audited = {reason.value for reason in Reason}
    not_audited = {TokenRefusal.UNKNOWN, TokenRefusal.EXPIRED, TokenRefusal.SCOPE_TOO_WIDE}
    audited |= {f"refused {refusal}" for refusal in set(TokenRefusal) - not_audited}
    assert audited - set(console_labels.OUTCOMES) == set()


def test_a_conflict_reads_as_a_sentence_that_names_the_other_party() -> None:
    taken = {"code": "extension_taken", "value": "201", "other": "ring group Sales"}
    assert (
        console_labels.conflict_sentence(taken)
        == "Extension is already used: 201, by ring group Sales"
    )
    twice = {"code": "link_ambiguous", "value": "a@b.de", "other": "Anna Berg"}
    assert (
        console_labels.conflict_sentence(twice)
        == "Two AD accounts claim one Kerauno user: a@b.de (Anna Berg)"
    )


def test_a_code_nobody_knows_yet_reads_as_itself() -> None:
    assert console_labels.label(console_labels.CONFLICTS, "badge_missing") == "Badge missing"


def test_the_chart_has_the_same_numbers_in_lines_and_in_its_table() -> None:
    chart = charts.line_chart(
        "Delay", "s", ["Mon", "Tue", "Wed"], [charts.Series("median", (1.0, None, 4.0))]
    )
    assert chart.rows == (("Mon", ("1",)), ("Tue", ("–",)), ("Wed", ("4",)))
    assert [dot.title for dot in chart.lines[0].dots] == ["Mon: median 1 s", "Wed: median 4 s"]
    assert chart.lines[0].path.count("M") == 2  # a gap stays a gap
    assert [tick.text for tick in chart.y_ticks] == ["0", "1", "2", "3", "4"]


def test_a_chart_of_nothing_and_of_zero_is_drawable() -> None:
    assert charts.line_chart("x", "", [], []).empty
    zero = charts.line_chart("x", "", ["a"], [charts.Series("n", (0.0,))])
    assert not zero.empty
    assert zero.lines[0].dots[0].y == zero.bottom


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=40))
def test_every_point_lies_inside_the_frame(values: list[float]) -> None:
    labels = [str(i) for i in range(len(values))]
    chart = charts.line_chart("x", "", labels, [charts.Series("n", tuple(values))])
    for dot in chart.lines[0].dots:
        assert chart.left <= dot.x <= chart.right
        assert chart.top <= dot.y <= chart.bottom


@given(st.text(st.characters(exclude_characters="\0")), st.integers(0, LARGEST_ID))
def test_a_cursor_comes_back_as_it_was(text: str, number: int) -> None:
    text = text.encode("utf-8", "replace").decode()
    assert pagination.unpack(pagination.pack([text, number]), (str, int)) == (text, number)


@pytest.mark.parametrize("values", [["a", 2**31], ["\0", 1], ["a", True], ["a"], [1, "a"]])
def test_values_no_record_can_have_are_no_cursor(values: list[str | int]) -> None:
    assert pagination.unpack(pagination.pack(values), (str, int)) is None


@pytest.mark.parametrize("cursor", ["", "x", "!!!", "eyJhIjoxfQ", "WzFd", "a" * 5000, "é"])
def test_a_damaged_cursor_is_no_cursor(cursor: str) -> None:
    assert pagination.unpack(cursor, (str, int)) is None


def test_guid_literal_is_the_uuid_itself() -> None:
    upper = "{" + GUID.upper() + "}"
    assert str(uuid.UUID(GUID)) in powershell.remedy_line("account_disabled", upper)


def _audited() -> Iterator[str]:
    """The names of events that the services note, where they stand in the code."""
    for package in ("authsvc", "syncsvc"):
        for path in (PROJECT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call):
                    continue
                named = ast.unparse(node.func)
                if named in ("audit.append", "base.note", "_note"):
                    yield from (
                        one.value
                        for one in node.args
                        if isinstance(one, ast.Constant) and isinstance(one.value, str)
                    )


def test_every_event_of_the_audit_has_words_and_its_name_one_style() -> None:
    noted = set(_audited())
    assert {"app-sign-in", "settings-saved", "user-synced"} <= noted
    assert noted - console_labels.EVENTS.keys() - console_labels.OUTCOMES.keys() == set()
    assert [
        name for name in console_labels.EVENTS if not re.fullmatch(r"[a-z]+(-[a-z]+)*", name)
    ] == []
