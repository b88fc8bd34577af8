from __future__ import annotations

from analysis.report.web.page import Table
from analysis.report.web.render import render_still
from analysis.report.web.shown_table import shown_table, table_file
from analysis.text.named import Named
from analysis.text.number import number
from analysis.text.text_table import TextTable, render


def test_what_is_empty_is_dropped():
    """A column without a value, and a row with nothing beside its keys; texts may wrap."""
    content = TextTable("t", ("a", "b", "c"), (("x", "–", "y" * 50), ("z", "–", "–")), num_left=1)
    shown = shown_table(Table(content, num_keys=1))
    assert [column.head for column in shown.columns] == ["a", "c"]
    assert [[cell.text for cell in row] for row in shown.rows] == [["x", "y" * 50]]
    assert [cell.kind for cell in shown.rows[0]] == ["left", "left wrap"]
    assert len(shown_table(Table(content)).rows) == 2


def test_a_column_names_its_power_of_ten_once():
    """Cells are in units of it; a verdict has the class of its colour."""
    rows = ((number("2.0e-05"), "holds"), (number("3.1e-05"), "agrees"))
    content = TextTable("t", ("L", "verdict"), rows)
    shown = shown_table(Table(content))
    assert [column.head for column in shown.columns] == ["L (×10⁻⁶)", "verdict"]
    assert [[cell.text for cell in row] for row in shown.rows] == [
        ["20", "holds"],
        ["31", "agrees"],
    ]
    assert [row[1].kind for row in shown.rows] == ["holds", "agrees"]
    assert [column.is_numeric for column in shown.columns] == [True, False]


def test_columns_keep_the_choices_they_are_shown_with():
    """Also where an empty column before them is dropped."""
    content = TextTable("t", ("a", "b"), (("–", "1"),))
    shown = shown_table(Table(content, shown_with=("one", "two")))
    assert [(column.head, column.shown_with) for column in shown.columns] == [("b", "two")]


def test_a_text_that_looks_like_a_number_is_none():
    """An id of digits alone is shown as it is, neither sorted nor scaled as a number."""
    shown = shown_table(Table(TextTable("t", ("environment",), (("12e45678",), ("90123456",)))))
    assert [column.is_numeric for column in shown.columns] == [False]
    assert [[cell.text for cell in row] for row in shown.rows] == [["12e45678"], ["90123456"]]


def test_a_name_stands_before_its_identifier():
    """In grey beside it in the page; in the file in a column of its own; not in the terminal."""
    wang = Named("wang_4_45", "Wang 2019, Eq 4.45")
    content = TextTable(
        "t", ("law", "cells"), ((wang, number("3")), ("toy", number("4"))), num_left=1
    )
    (named, _), (plain, _) = shown_table(Table(content)).rows
    assert (named.text, named.identifier, plain.text, plain.identifier) == (
        "Wang 2019, Eq 4.45", "wang_4_45", "toy", ""
    )  # fmt: skip
    html = render_still(Table(content))
    assert '<td class="left">Wang 2019, Eq 4.45 <code class="name">wang_4_45</code></td>' in html
    assert '<td class="left">toy</td>' in html
    assert table_file(content).splitlines() == [
        "law,law identifier,cells", '"Wang 2019, Eq 4.45",wang_4_45,3', "toy,toy,4"
    ]  # fmt: skip
    assert render(content).splitlines()[-2].startswith("Wang 2019, Eq 4.45  ")
