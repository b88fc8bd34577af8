from __future__ import annotations

from analysis.tables.verdict_text import verdict_text


def test_verdicts_are_written_once_a_law_is_measured(prediction, predictions_table):
    """Laws × cells, then the league; without a measurement nothing at all."""
    text = verdict_text(predictions_table([prediction(1.0, half=0.01)]))
    assert "E[L]-L*: what the laws say, and what was measured, measured by fork 512" in text
    assert "E[L]-L*: league of the laws by median" in text
    assert "wang_4_45" in text
    assert "1.00 [0.990, 1.01]" in text
    assert verdict_text(predictions_table([prediction()])) == ""
    assert verdict_text(predictions_table([])) == ""
