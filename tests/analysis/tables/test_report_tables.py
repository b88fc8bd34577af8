"""The report's own tables: every reason of a prediction by one letter, spelled out once."""

from __future__ import annotations

from analysis.tables.report_tables import prediction_table

EARLIER = "an earlier version measured traces: values differ; --remeasure measures them anew"


def test_a_reason_stays_one_whatever_is_written_in_it(prediction, predictions_table):
    """Reasons stand in words; a semicolon in a sentence parts none."""
    rows = [
        prediction(reasons=[EARLIER], reason=EARLIER),
        prediction(reasons=["tr H was not measured", EARLIER], reason=f"no tr H; {EARLIER}"),
        prediction(),
    ]
    table = prediction_table(predictions_table(rows))
    assert [row[-1] for row in table.rows] == [
        EARLIER, f"tr H was not measured • {EARLIER}", ""
    ]  # fmt: skip
