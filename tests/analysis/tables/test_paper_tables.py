from __future__ import annotations

import math

from analysis.mathematics.interval import Interval
from analysis.mathematics.regression import FTest
from analysis.paper.claims import claims
from analysis.paper.conventions import Convention
from analysis.paper.factors import FactorTest, Question
from analysis.paper.orderings import Ordering
from analysis.paper.trace_points import paper_points, paper_values
from analysis.records.cell import Cell
from analysis.tables.paper_tables import (
    claims_table,
    conventions_table,
    factor_table,
    orderings_table,
)

_QUESTION = Question("excess_loss", ("batch_size_over_learning_rate",), "learning_rate")


def test_f_tests_are_shown_with_their_slope():
    """Symbols instead of names; the slope only of a single added factor."""
    one = FTest(4.0, 1, 24, 0.0569, 0.143, -0.4, 0.2)
    several = FTest(2.0, 6, 18, 0.12, 0.4, 1.0, 1.0)
    table = factor_table(
        [
            FactorTest(_QUESTION, 27, 9, one),
            FactorTest(Question("hessian_trace", ("batch_size", "learning_rate"), "cell"), 27, 9,
                       several),
        ]
    )  # fmt: skip
    assert table.rows == (
        ("E[L]-L*", "m/η", "η", "4", "1, 24", "0.057", "0.143", "−0.4 ± 0.2"),
        ("tr H", "m, η", "the cell itself", "2", "6, 18", "0.12", "0.4", "–"),
    )


def test_refusals_are_numbered_and_spelled_out_once():
    """Two questions with one reason share its number."""
    refused = [FactorTest(_QUESTION, 2, 1, "too few"), FactorTest(_QUESTION, 2, 1, "too few")]
    table = factor_table([*refused, FactorTest(_QUESTION, 0, 0, "nothing")])
    assert [row[3] for row in table.rows] == ["1)", "1)", "2)"]
    assert table.notes[1:] == ("1) too few.", "2) nothing.")


def test_claims_stand_beside_those_of_the_printed_table():
    """Statement, its place in the paper, verdict and numbers here, verdict and numbers there."""
    papers = claims(paper_points(), paper_values())
    table = claims_table(papers, papers)
    assert table.rows[0][0] == "At fixed BS a higher LR raises tr σ²."
    assert table.rows[0][1].startswith(
        "Section 5.3, Table 1: a “higher learning rate causes” tr σ²"
    )
    assert table.rows[0][2] == table.rows[0][4] == "fails"
    assert len(table.rows) == 10


def test_the_closest_conventions_are_shown():
    """Twelve of them; the note says over which cells, and how many are left out."""
    found = [
        Convention("train", "frozen", "total", "sum", "none", 1.0, 2.0, place / 10, 9)
        for place in range(14)
    ]
    table = conventions_table(found)
    assert len(table.rows) == 12
    assert table.rows[0] == ("train", "frozen", "with L2", "sum", "trace", "1", "2", "0")
    assert table.notes[0].startswith("Over the 9 cells in common with the paper.")
    assert table.notes[0].endswith("2 conventions further away are not shown.")
    other = Convention("test", "frozen", "data", "mean", "initial", 1.0, 2.0, 0.1, 0)
    (row,) = conventions_table([other]).rows
    assert row[2:5] == ("data", "mean", "η/4m · trace, initial η")
    assert conventions_table([other]).notes[0].startswith("No cell is in common with the paper")
    assert conventions_table([]) is None


def test_every_way_of_measuring_is_shown_with_its_verdict():
    """The note has the printed table's own numbers: above 1 in all of its nine cells."""
    cells = {Cell("kld", 10, 0.1): Interval(0.5, 0.4, 0.6), Cell("kld", 20, 0.1): Interval(-0.1)}
    found = [
        Ordering("train", "frozen", "total", cells, Interval(-1.0, -1.5, -0.5)),
        Ordering("test", "batch", "data", cells, Interval(math.nan)),
    ]
    table = orderings_table(found)
    assert table.rows == (
        ("train", "frozen", "with L2", "1.22 [?]", "1 of 2", "0 of 2", "−1.00 [−1.50, −0.500]", "undecided"),
        ("test", "batch", "data", "1.22 [?]", "1 of 2", "0 of 2", "–", "undecided"),
    )  # fmt: skip
    assert "tr σ² exceeds tr H in 9 of 9 cells" in table.notes[0]
    assert "is −0.230 [−0.651, 0.191]." in table.notes[0]
    assert orderings_table([]) is None
