"""Every text of every template is marked for translation; the look finds one that is not."""

from __future__ import annotations

import pytest

from tests.texts.catalogue import ROOT
from tests.texts.marks import Unmarked, unmarked

TEMPLATES = ROOT / "authsvc" / "templates"


def test_no_text_of_a_template_is_unmarked() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{one.line}: {one.text}"
        for path in sorted(TEMPLATES.rglob("*.html"))
        for one in unmarked(path.read_text())
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("<p>Nobody is here</p>", "Nobody is here"),
        ("<p>{{ name }} is here</p>", "is here"),
        ("{% if one %}\n<b>yes</b>{% endif %}", "yes"),
        ("\n\n<p>{% trans %}Marked{% endtrans %} and not</p>", "and not"),
        ("{% block title %}Users{% endblock %}", "Users"),
        ('<nav aria-label="Filter by state">', "Filter by state"),
        ('<input placeholder="Name">', "Name"),
        ('<td data-label="Extension">', "Extension"),
        ('<img alt="{{ x }} of it" src="x.png">', "of it"),
        ('{{ badge("Imported", "ok") }}', "Imported"),
        ('{{ empty(_("Marked"), "Try another search.") }}', "Try another search."),
        ('{{ row.error or "None of them" }}', "None of them"),
        ('{% set words = one ~ " in the last day" %}', " in the last day"),
        ("{{ _n('%(n)s day', '%(n)s days', 2) ~ ' have gone by' }}", " have gone by"),
    ],
)
def test_a_planted_text_is_found(source: str, found: str) -> None:
    line = 1 + source.count("\n", 0, source.index(found))
    assert unmarked(source) == [Unmarked(line, found.strip() if "<" in source else found)]


@pytest.mark.parametrize(
    "source",
    [
        '<p class="card__note">{{ _("Marked") }} · {{ name }}</p>',
        "<p>{% trans who=name %}Marked <strong>{{ who }}</strong> too{% endtrans %}</p>",
        "{% trans n=count %}{{ n }} day{% pluralize %}{{ n }} days{% endtrans %}",
        '<input placeholder="K7F3-2Q"><input placeholder="dc1.goodcompany.local">',
        "<code>syncsvc serve</code><style>p { color: red }</style>",
        '{% set kind = "btn btn--small" if one.state == "held-out" else "" %}',
        "<title>{{ title }} · Kerauno</title>{# Nothing of a remark #}",
    ],
)
def test_what_needs_no_mark_is_left_alone(source: str) -> None:
    assert unmarked(source) == []


def test_the_look_finds_one_in_a_whole_page() -> None:
    source = (TEMPLATES / "console" / "department_import.html").read_text()
    assert unmarked(source) == []
    bare = source.replace('{{ _("What the import does") }}', "What the import does")
    assert [one.text for one in unmarked(bare)] == ["What the import does"]
