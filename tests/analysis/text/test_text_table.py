from __future__ import annotations

from analysis.text.text_table import TextTable, render


def test_columns_are_aligned_and_notes_wrapped():
    """Numbers to the right, names to the left; a long note takes several lines of 120 columns."""
    table = TextTable("Title", ("name", "value"), (("a", "1"), ("bb", "23")), ("word " * 50,), 1)
    lines = render(table).splitlines()
    assert lines[:5] == ["Title", "name  value", "────  ─────", "a         1", "bb       23"]
    assert len(lines) == 8
    assert max(map(len, lines)) <= 120
