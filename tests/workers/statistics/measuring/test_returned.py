"""What a statistic of the user's own must return."""

from __future__ import annotations

import math

import pytest

from workers.contract.errors import UserError
from workers.contract.records import Measurement
from workers.statistics.measuring.returned import checked

NAME = "own.sharpness:measure"


def row(**changes) -> Measurement:
    fields = {
        "quantity": "sharpness", "value": 1.0, "stderr": 0.0, "num_samples": 3, "method": "exact",
        "bn_mode": "frozen", "split": "train", "objective": "data",
    }  # fmt: skip
    return Measurement(**(fields | changes))


def faults_of(rows) -> list[tuple[str, str, str]]:
    with pytest.raises(UserError) as caught:
        checked(rows, NAME)
    return [(fault.what, fault.where, fault.mend) for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("returned", "fault"),
    [
        ([], "no measurements"),
        (None, "NoneType"),
        ((1, 2), "tuple"),
        ([1], "something other than Measurements"),
    ],
)
def test_what_is_no_list_of_measurements_is_a_fault(returned, fault):
    """An empty list too: its measurement would count as done without a value."""
    assert faults_of(returned) == [
        (
            f"the statistic '{NAME}' returned {fault}",
            "measure",
            "return a non-empty list of workers.contract.records.Measurement",
        )
    ]


@pytest.mark.parametrize(
    ("changes", "what", "mend"),
    [
        (
            {"value": None},
            "without a value or a reason",
            "give either a value or skipped_reason",
        ),
        (
            {"skipped_reason": "no labels"},
            "with a value and skipped_reason",
            "give either a value or skipped_reason",
        ),
        (
            {"stderr": -0.5},
            "with stderr=-0.5",
            "give the standard error, 0.0 when exact, None when unknown",
        ),
        (
            {"num_samples": -1},
            "with num_samples=-1",
            "give the number of examples or draws used",
        ),
        ({"split": "validation"}, "of the split 'validation'", "name train or test"),
        (
            {"bn_mode": "none"},
            "with bn_mode='none'",
            "give one of frozen, moving_average, batch",
        ),
    ],
)
def test_a_row_that_contradicts_itself_is_a_fault(changes, what, mend):
    """By the quantity's name, with the value seen."""
    assert faults_of([row(**changes)]) == [
        (f"the statistic '{NAME}' returned 'sharpness' {what}", "measure", mend)
    ]


def test_all_faults_are_told_at_once_and_repeats_among_them():
    """Two rows that nothing tells apart would be averaged as if they were one."""
    found = faults_of([row(stderr=-1.0), row(layer="a"), row(layer="a"), row(layer="b")])
    assert [what for what, _, _ in found] == [
        f"the statistic '{NAME}' returned 'sharpness' with stderr=-1.0",
        f"the statistic '{NAME}' returned 'sharpness' 2 times",
    ]
    assert found[1][2] == (
        "tell rows apart by one of layer, index, method, bn_mode, split, objective"
    )


def test_sound_rows_come_back_as_they_are():
    """Skipped ones and those without a known error too."""
    rows = [row(), row(layer="a", stderr=None), row(layer="b", value=None, skipped_reason="why")]
    assert checked(rows, NAME) == rows


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_recorded_as_such(value):
    """No number to average, and the reason beside it."""
    [found] = checked([row(value=value)], NAME)
    assert (found.value, found.stderr) == (None, None)
    assert found.skipped_reason == f"nonfinite: the value was {value}"


def test_an_error_that_is_not_finite_is_unknown():
    """The value stays."""
    [found] = checked([row(stderr=math.inf)], NAME)
    assert (found.value, found.stderr, found.skipped_reason) == (1.0, None, None)
