"""Tables of more rows than a page holds: the page says where the rest is, and the file has all."""

from __future__ import annotations

import csv

from analysis.mathematics.uncertain import Uncertain
from analysis.report.web.page import Folded, Page, Section, Table
from analysis.report.web.shown_table import MOST_ROWS, file_name, is_cut, shown_table, table_file
from analysis.text.number_text import with_error
from analysis.text.text_table import TextTable


def _table(num_rows):
    rows = tuple(
        (str(place), with_error(Uncertain(place + 0.5, 0.25))) for place in range(num_rows)
    )
    return Table(TextTable("State of every cell", ("cell", "tr H"), rows, num_left=1))


def test_a_long_table_shows_its_first_rows_and_names_its_file():
    """200 of 201 rows; 200 are all shown, without a word."""
    whole, cut = shown_table(_table(MOST_ROWS)), shown_table(_table(MOST_ROWS + 1))
    assert (len(whole.rows), whole.notes) == (MOST_ROWS, ())
    assert len(cut.rows) == MOST_ROWS
    assert cut.notes == (
        "The first 200 of 201 rows, which alone are sorted, filtered, copied and printed; all are in "
        "tables/state-of-every-cell.csv, beside figures/.",
    )
    assert [is_cut(_table(num)) for num in (MOST_ROWS, MOST_ROWS + 1)] == [False, True]


def test_the_file_of_a_long_table_has_every_row():
    """Value and error as plain numbers in columns of their own."""
    table = _table(MOST_ROWS + 50)
    assert file_name(table.content) == "state-of-every-cell.csv"
    head, *rows = csv.reader(table_file(table.content).splitlines())
    assert head == ["cell", "tr H", "tr H stderr"]
    assert len(rows) == MOST_ROWS + 50
    assert [float(text) for text in rows[-1]] == [249, 249.5, 0.25]


def test_folded_tables_have_files_too():
    """Every table of a page is found."""
    table = _table(3)
    page = Page("toy", {}, [Section("One", [table, Folded("more", [table])])])
    assert page.tables == [table, table]
