"""Records: their fields are the columns of their views, and what goes in comes out."""

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import get_args

import pytest
from pydantic import ValidationError

from workers.contract.records import (
    OUTCOME_SENTENCES,
    EpochRecord,
    FailureRecord,
    Measurement,
    Outcome,
    TrialRecord,
    measurement_table,
    table,
)
from workers.contract.schema import VIEWS
from workers.contract.statistics import PluginStatisticSpec
from workers.statistics.traces import TracesSpec

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)

FAILURE = FailureRecord(
    trial_id="t",
    statistic_id=None,
    attempt_id="a",
    failure_class="worker_lost",
    signature="s",
    message="m",
    log_path="l",
    host="h",
    failed_at=NOON,
)
EPOCH = EpochRecord(
    trial_id="t",
    epoch=0,
    learning_rate=0.1,
    train_loss=math.inf,
    train_accuracy=None,
    validation_loss=math.nan,
    validation_accuracy=0.5,
    seconds=1.5,
)
MEASUREMENT = Measurement(
    quantity="hessian_trace",
    value=3.0,
    stderr=0.1,
    num_samples=7,
    method="m",
    bn_mode="frozen",
    split="train",
    objective="data",
)


@pytest.mark.parametrize(
    ("view", "record"),
    [("trials", TrialRecord), ("epochs", EpochRecord), ("failures", FailureRecord)],
)
def test_the_fields_of_a_record_are_the_columns_of_its_view(view, record):
    """Same names, same order."""
    assert list(record.model_fields) == VIEWS[view].names


def test_a_measurement_has_the_columns_that_no_other_place_knows():
    """The view adds who was measured, by what, by which code, and the unit."""
    added = {"trial_id", "statistic", "statistic_id", "unit", "code_digest"}
    assert set(Measurement.model_fields) == set(VIEWS["measurements"].names) - added


def test_numbers_that_are_not_finite_are_kept():
    """A loss may be infinite or not a number: that is a result."""
    (row,) = table("epochs", [EPOCH]).to_pylist()
    assert row["train_loss"] == math.inf
    assert math.isnan(row["validation_loss"])
    assert row["train_accuracy"] is None


def test_no_record_makes_an_empty_table():
    """With all columns."""
    assert table("epochs", []).schema == VIEWS["epochs"]


def test_times_are_stored_in_utc():
    """A time of another zone is the same moment; one without a zone is refused."""
    evening = NOON.astimezone(timezone(timedelta(hours=9)))
    (row,) = table("failures", [FAILURE.model_copy(update={"failed_at": evening})]).to_pylist()
    assert row["failed_at"] == NOON
    assert row["failed_at"].utcoffset() == timedelta(0)
    with pytest.raises(ValidationError, match="timezone"):
        FailureRecord.model_validate(FAILURE.model_dump() | {"failed_at": datetime(2026, 1, 2)})


def test_units_come_from_the_glossary():
    """A quantity of the user's own has none."""
    own = MEASUREMENT.model_copy(update={"quantity": "my_sharpness", "layer": "conv", "index": 2})
    rows = measurement_table("t", TracesSpec(), "s", [MEASUREMENT, own]).to_pylist()
    assert [row["unit"] for row in rows] == ["loss/parameter²", None]
    assert {row["trial_id"] for row in rows} == {"t"}
    assert {row["statistic"] for row in rows} == {"traces"}
    assert rows[1]["layer"] == "conv"
    assert rows[1]["index"] == 2


def test_a_statistic_of_ones_own_is_recorded_under_its_name():
    """As it stands in the sweep."""
    rows = measurement_table("t", PluginStatisticSpec(name="a:b"), "s", [MEASUREMENT]).to_pylist()
    assert rows[0]["statistic"] == "a:b"


def test_records_are_closed_and_frozen():
    """A misspelt column and a later change are faults of code."""
    with pytest.raises(ValidationError, match="Extra inputs"):
        Measurement.model_validate(MEASUREMENT.model_dump() | {"std": 0.1})
    with pytest.raises(ValidationError, match="frozen"):
        MEASUREMENT.value = 4.0


def test_every_outcome_has_a_sentence():
    """For reports and for the command line."""
    assert set(OUTCOME_SENTENCES) == set(get_args(Outcome))
