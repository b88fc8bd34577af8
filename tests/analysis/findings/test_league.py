from __future__ import annotations

import math

import pytest

from analysis.findings.league import league

_CELLS = [(100, 0.08), (200, 0.2), (500, 0.5)]


@pytest.fixture
def league_of(prediction, predictions_table):
    """Make the league of laws given by name and ratios in the three cells."""

    def make(laws, **changes):
        rows = [
            prediction(ratio, prediction=law, batch_size=size, learning_rate=rate, **changes)
            for law, ratios in laws.items()
            for ratio, (size, rate) in zip(ratios, _CELLS, strict=True)
        ]
        return league(predictions_table(rows).to_pandas())

    return make


def test_the_closest_law_is_first(league_of):
    """Sorted by the median over cells of |ln ratio|, whichever its sign."""
    found = league_of({"jastrzebski_9": [0.01, 0.02, 0.5], "wang_4_45": [1.0, 1.05, 1.3]})
    assert [item.prediction for item in found] == ["wang_4_45", "jastrzebski_9"]
    assert [item.median_distance for item in found] == pytest.approx(
        [math.log(1.05), -math.log(0.02)]
    )
    assert {item.num_cells for item in found} == {3}


def test_the_pooled_ratio_has_students_interval_over_cells(league_of):
    """Of ln ratios -d, 0, d: mean 0, error d/√3, t of two degrees of freedom 4.302653."""
    d = math.log(1.02)
    (found,) = league_of({"wang_4_45": [1 / 1.02, 1.0, 1.02]})
    assert found.log_ratio.value == pytest.approx(0, abs=1e-12)
    assert found.log_ratio.high == pytest.approx(4.302653 * d / math.sqrt(3), rel=1e-6)
    assert found.verdict == "holds"


def test_a_law_that_fails_everywhere_fails_even_if_its_mean_is_right(league_of):
    """Twice too large here and half there is not an equality."""
    (found,) = league_of({"wang_4_45": [2.0, 0.5, 2.0]})
    assert found.cell_verdicts == {"fails": 3}
    assert found.verdict == "fails"


def test_one_failing_cell_keeps_a_law_from_holding(prediction, predictions_table):
    """The interval of the mean over 30 cells is inside the margin, and one cell is 30 % off."""
    ratios = [1.0] * 29 + [1.3]
    rows = [
        prediction(ratio, half=0.15 if ratio == 1 else 0.05, batch_size=100 + place)
        for place, ratio in enumerate(ratios)
    ]
    (found,) = league(predictions_table(rows).to_pandas())
    assert found.log_ratio.verdict == "holds"
    assert found.cell_verdicts == {"undecided": 29, "fails": 1}
    assert found.verdict == "undecided"
    (without,) = league(predictions_table(rows[:-1]).to_pandas())
    assert without.verdict == "holds"


def test_few_cells_that_all_hold_need_no_pooled_interval(prediction, predictions_table):
    """Two cells with tight intervals hold, though Student's t over two cells is 12.7."""
    rows = [prediction(1.02, half=0.01), prediction(0.98, half=0.01, batch_size=200)]
    (found,) = league(predictions_table(rows).to_pandas())
    assert found.log_ratio.verdict == "undecided"
    assert found.verdict == "holds"


def test_one_cell_has_its_own_interval(prediction, predictions_table):
    """Without another cell there is no spread over cells."""
    (found,) = league(predictions_table([prediction(1.5)]).to_pandas())
    assert found.log_ratio.low == pytest.approx(math.log(1.5) - 0.05)
    assert found.verdict == "fails"
    (bare,) = league(predictions_table([prediction(1.5, half=None)]).to_pandas())
    assert (bare.verdict, bare.verdict_where_valid) == (None, None)


def test_windows_of_one_cell_count_once(prediction, predictions_table):
    """Windows share their streams: the bounds are averaged, not the errors divided by √n."""
    rows = [
        prediction(ratio, prediction="finite_time", num_steps=steps)
        for ratio, steps in ((1.0, 128), (1.2, 256), (1.1, 512))
    ]
    (found,) = league(predictions_table(rows).to_pandas())
    mean = (math.log(1.2) + math.log(1.1)) / 3
    assert found.num_cells == 1
    assert found.log_ratio.value == pytest.approx(mean)
    assert found.log_ratio.high - found.log_ratio.low == pytest.approx(0.1)


def test_valid_cells_are_judged_apart(prediction, predictions_table):
    """A law may fail where its assumptions are broken and hold where they are not."""
    rows = [
        prediction(1.01, half=0.02, batch_size=100),
        prediction(3.0, half=0.02, batch_size=200, valid=False),
    ]
    (found,) = league(predictions_table(rows).to_pandas())
    assert (found.num_valid, found.num_cells) == (1, 2)
    assert (found.verdict, found.verdict_where_valid) == ("undecided", "holds")
    assert found.told == found.judged[1] == "holds"
    assert found.judged[0].value == pytest.approx(math.log(1.01))


def test_a_law_without_a_valid_cell_is_judged_by_all(league_of):
    """Its one verdict and its ratio are then those over all cells."""
    (found,) = league_of({"wang_4_45": [2.0, 2.0, 2.0]}, valid=False)
    assert found.judged == (found.log_ratio, "fails")
    assert math.isnan(found.log_ratio_where_valid.value)
    (close,) = league_of({"wang_4_45": [1.0, 1.0, 1.0]}, valid=False)
    assert (close.verdict, close.told) == ("holds", "agrees")


def test_ways_of_measuring_are_kept_apart(prediction, predictions_table):
    """Forks and tails, batch norm frozen and not, both targets: a standing each."""
    rows = [
        prediction(1.0),
        prediction(1.0, measured_by="tail", num_steps=None),
        prediction(1.0, bn_mode="batch"),
        prediction(1.0, sampler="shuffle"),
        prediction(1.0, prediction="wang_4_46", target="expected_gradient_norm_squared"),
    ]
    assert len(league(predictions_table(rows).to_pandas())) == 5


def test_ratios_that_do_not_exist_are_counted(prediction, predictions_table):
    """A measured excess loss below zero has no logarithm; a law without any is not ranked."""
    rows = [
        prediction(1.0),
        prediction(batch_size=200, measured=-1e-6, measured_stderr=1e-5),
        prediction(prediction="jastrzebski_9", measured=-1e-6),
    ]
    (found,) = league(predictions_table(rows).to_pandas())
    assert (found.num_cells, found.num_without_ratio) == (1, 1)


def test_a_law_does_not_hold_over_cells_in_which_it_has_no_ratio(prediction, predictions_table):
    """One cell holds, one is predicted below zero; where that one breaks an assumption, the valid ones decide."""
    one = prediction(1.0)
    below = {"batch_size": 200, "predicted": -1e-3, "measured": 1e-3, "measured_stderr": 1e-5}
    (found,) = league(predictions_table([one, prediction(**below)]).to_pandas())
    assert (found.verdict, found.told, found.num_without_ratio) == ("undecided", "undecided", 1)
    broken = prediction(**below, valid=False, reasons=["there is a saddle"])
    (found,) = league(predictions_table([one, broken]).to_pandas())
    assert (found.verdict, found.verdict_where_valid, found.told) == ("undecided", "holds", "holds")


def test_nothing_measured_is_an_empty_league(prediction, predictions_table):
    """Predictions alone rank nothing."""
    assert league(predictions_table([prediction()]).to_pandas()) == []
    assert league(predictions_table([]).to_pandas()) == []
