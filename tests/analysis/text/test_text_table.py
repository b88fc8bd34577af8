from __future__ import annotations

import pytest

from analysis.text.named import Named
from analysis.text.text_table import TextTable, render


def test_columns_are_aligned_and_notes_wrapped():
    """Numbers to the right, names to the left; a long note takes several lines of 120 columns."""
    table = TextTable("Title", ("name", "value"), (("a", "1"), ("bb", "23")), ("word " * 50,), 1)
    lines = render(table).splitlines()
    assert lines[:5] == ["Title", "name  value", "────  ─────", "a         1", "bb       23"]
    assert len(lines) == 8
    assert max(map(len, lines)) <= 120


_WIDE = TextTable(
    "Title",
    ("name", "value", "none"),
    (("long " * 30, "1", "–"), ("b", "23", "–")),
    ("A note.",),
    num_left=1,
)


@pytest.mark.parametrize("width", [20, 60, 80, 100])
def test_a_table_wider_than_the_terminal_is_written_as_records(width):
    """A block a row; no line is wider than the terminal, and every word of every value is there."""
    text = render(_WIDE, width)
    assert max(map(len, text.splitlines())) <= width
    assert text.count("long") == 30
    assert ("─ 1 of 2 ─" in text, "─ 2 of 2 ─" in text) == (True, True)
    assert "value  23" in text
    assert render(_WIDE).count("\n") == 5  # without a width as wide as it gets
    assert "Left out, as no row has a value: none." in " ".join(text.split())


def test_a_column_of_nothing_is_left_out_where_that_is_enough():
    """Then the table stays a table; one that fits keeps all its columns."""
    table = TextTable("T", ("a", "nothing at all"), (("1", "–"), ("2", "–")))
    assert render(table, 16).splitlines()[1:5] == ["a", "─", "1", "2"]
    assert "nothing at all" in render(table, 80).splitlines()[1]


def test_a_word_longer_than_the_terminal_is_folded_and_not_cut():
    """Under its heading, in as many lines as it takes."""
    digest = "0123456789" * 5
    lines = render(TextTable("", ("digest",), ((digest,),)), 24).splitlines()
    assert max(map(len, lines)) <= 24
    assert "".join(line.removeprefix("digest").strip() for line in lines[2:]) == digest


def test_a_heading_wider_than_its_values_is_folded_where_the_table_is_too_wide():
    """Over as many lines as it takes, the last just above the rule; else it stays on one."""
    table = TextTable("T", ("BS", "excess loss"), (("1", "0.0284"),))
    assert render(table, 12).splitlines() == [
        "T",
        "    excess",
        "BS    loss",
        "──  ──────",
        " 1  0.0284",
    ]
    assert render(table, 80).splitlines()[1] == "BS  excess loss"


def test_an_identifier_is_shown_by_its_name():
    """As wide as its name, in a table and in a record alike."""
    named = TextTable("t", ("law", "x"), ((Named("wang_4_45", "Wang 2019, Eq 4.45"), "1"),))
    assert render(named).splitlines()[-1] == "Wang 2019, Eq 4.45  1"
    assert "\n  Wang 2019, Eq\n  4.45\n" in render(named, 16)
    assert "wang_4_45" not in render(named, 16)
