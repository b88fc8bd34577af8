from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest

from analysis.findings.cost import cost
from analysis.findings.league import league
from analysis.records.load import load_sweep
from analysis.report.deciding import what_decides
from workers.contract.store import Store
from workers.contract.student import student_quantile

EDGE = math.log1p(0.1)


@pytest.fixture(scope="module")
def forked_data(forked_sweep_in, tmp_path_factory):
    """Load two cells of three seeds, forks and spectra measured."""
    pairs = [(100, 0.1), (200, 0.1)]
    store = Store.open(str(tmp_path_factory.mktemp("forked")))
    forked_sweep_in(store, pairs=pairs, seeds=[0, 1, 2]).fill()
    data = load_sweep(store, "toy")
    return replace(data, measurements=data.measurements.assign(wall_seconds=36.0))


def decides(data, predictions_table, *rows):
    """Say what would decide the one law of some rows of view `predictions`."""
    (standing,) = league(predictions_table(rows).to_pandas())
    return what_decides(data, standing, cost(data))


def hours_in(said):
    """Read the price off what is said."""
    return float(re.search(r"\(([\d.]+) core-hours\)$", said)[1])


def test_an_undecided_law_says_how_many_seeds_decide_it_and_their_price(
    forked_data, prediction, predictions_table
):
    """Twice as wide as the margin over two cells, whose quantile stays: 4 × 3 seeds, by what trials cost."""
    apart = 2 * EDGE / student_quantile(1) - 1e-9
    rows = [
        prediction(math.exp(each), half=0.5, batch_size=size)
        for each, size in ((apart, 100), (-apart, 200))
    ]
    said = decides(forked_data, predictions_table, *rows)
    paid = cost(forked_data)
    hours = 2 * 9 * paid.core_hours / 6
    assert said.startswith(
        "if it stays and cells differ by errors alone, 12 seeds each would decide it ("
    )
    assert hours_in(said) == pytest.approx(hours, rel=0.01)


def test_over_the_seeds_of_one_cell_students_quantile_falls_too(
    forked_data, prediction, predictions_table
):
    """Of three seeds twice as wide as the margin: t(4)/√5 is half of t(2)/√3."""
    said = decides(forked_data, predictions_table, prediction(1.0, half=2 * EDGE - 1e-9))
    assert said.startswith("if it and the spread of its seeds stay, 5 seeds would decide it (")
    assert hours_in(said) == pytest.approx(2 * cost(forked_data).core_hours / 6, rel=0.01)


def test_seeds_that_are_trained_are_not_trained_again(forked_data, prediction, predictions_table):
    """Where a cell's excess loss was measured on fewer seeds than it has, the others are measured alone."""
    rows = forked_data.measurements
    is_dear = (rows["statistic"] == "fork") & (rows["seed"] > 0)
    fewer = replace(forked_data, measurements=rows[~is_dear])
    said = decides(fewer, predictions_table, prediction(1.0, half=math.sqrt(3) * EDGE - 1e-9))
    measuring = sum(work.core_hours / work.num_trials for work in cost(fewer).measuring)
    assert "3 seeds would" in said
    assert hours_in(said) == pytest.approx(2 * measuring, rel=0.01)


@pytest.mark.parametrize(("ratio", "half"), [(1.0, 0.01), (3.0, 0.1), (1.2, None)])
def test_nothing_is_said_of_a_law_that_is_decided_or_of_unknown_error(
    forked_data, prediction, predictions_table, ratio, half
):
    """It holds, it fails, its interval is not known."""
    assert decides(forked_data, predictions_table, prediction(ratio, half=half)) == ""


@pytest.mark.parametrize(
    "against", [{"ratio": 1.2, "half": 0.001}, {"measured": -1e-6, "measured_stderr": 1e-5}]
)
def test_no_seeds_are_asked_for_a_law_that_a_cell_speaks_against(
    forked_data, prediction, predictions_table, against
):
    """One cell is surely 20 % off, or has no ratio: with the mean in the margin the law would still not hold."""
    others = [
        prediction(ratio, half=0.5, batch_size=size) for ratio, size in ((1.3, 200), (0.7, 300))
    ]
    said = decides(forked_data, predictions_table, prediction(**against), *others)
    assert said == "more seeds would not make it hold, as in one cell it fails or has no ratio"


def test_a_law_on_the_edge_is_not_promised_a_verdict(forked_data, prediction, predictions_table):
    """No price of thousands of seeds."""
    said = decides(forked_data, predictions_table, prediction(1.1001, half=0.2))
    assert said == "so near the edge of ± 10 % that no number of seeds at hand would decide it"


def test_without_times_on_record_there_is_no_price(forked_data, prediction, predictions_table):
    """The number of seeds is said all the same."""
    timeless = forked_data.measurements.assign(wall_seconds=math.nan)
    untimed = replace(forked_data, measurements=timeless)
    said = decides(untimed, predictions_table, prediction(1.0, half=2 * EDGE - 1e-9))
    assert said.endswith("5 seeds would decide it")


def test_where_no_cell_is_fit_for_a_law_no_seeds_are_asked_for(
    forked_data, prediction, predictions_table
):
    """They would mend none of its assumptions."""
    row = prediction(1.0, half=2 * EDGE, valid=False, reasons=["a reason"])
    assert decides(forked_data, predictions_table, row) == ""


def test_without_a_measured_seed_nothing_is_priced(paper_data, prediction, predictions_table):
    """Of a sweep without forks."""
    assert decides(paper_data, predictions_table, prediction(1.0, half=1.0)) == ""
