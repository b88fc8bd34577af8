from __future__ import annotations

import math

from analysis.findings.law_rows import at_the_end, law_rows, where_they_speak
from analysis.mathematics.interval import Interval
from analysis.records.cell import Cell


def test_rows_without_a_measurement_are_left_out(prediction, predictions_table):
    """What no excursion measured says nothing of a law."""
    table = predictions_table([prediction(), prediction(1.2)])
    (row,) = law_rows(table.to_pandas())
    assert row.cell == Cell("kld", 100, 0.1)
    assert row.measured == 1.2 * 2e-5
    assert row.log_ratio == Interval(math.log(1.2), math.log(1.2) - 0.05, math.log(1.2) + 0.05)
    assert (row.verdict, row.is_valid, row.num_steps, row.reason) == ("fails", True, 512, "")


def test_nulls_of_a_tail_are_read(prediction, predictions_table):
    """A tail has no number of steps; a law that could not be computed has no ratio."""
    rows = [
        prediction(1.0, half=None, num_steps=None, measured_by="tail"),
        prediction(measured=1e-5, predicted=None, valid=False, reason="tr H was not measured"),
    ]
    tail, lacking = law_rows(predictions_table(rows).to_pandas())
    assert (tail.num_steps, tail.log_ratio.low, tail.verdict) == (None, None, None)
    assert tail.has_ratio
    assert not lacking.has_ratio
    assert math.isnan(lacking.predicted)
    assert lacking.reason == "tr H was not measured"


def test_laws_of_the_stationary_state_speak_at_the_end_alone(prediction, predictions_table):
    """`finite_time` speaks of every window, each excursion having its own end."""
    rows = [
        prediction(1.0, prediction=law, num_steps=steps, bn_mode=mode)
        for law in ("wang_4_45", "finite_time")
        for mode, last in (("frozen", 512), ("batch", 128))
        for steps in (last // 2, last)
    ]
    found = law_rows(predictions_table(rows).to_pandas())
    assert [row.num_steps for row in at_the_end(found)] == [512, 128, 512, 128]
    spoken = where_they_speak(found)
    assert [row.num_steps for row in spoken if row.prediction == "wang_4_45"] == [512, 128]
    assert [row.num_steps for row in spoken if row.prediction == "finite_time"] == [
        256, 512, 64, 128
    ]  # fmt: skip
