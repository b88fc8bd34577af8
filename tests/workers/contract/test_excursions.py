"""Windows of a fork, and settings of forks and tails that cannot be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from workers.statistics.fork import ForkSpec
from workers.statistics.tail import TailSpec


def test_windows_double_and_the_longest_is_looked_at_most():
    """(T/2, T] eight times, each shorter window half as often, the last step always."""
    assert ForkSpec().windows() == [
        (32,),
        (64,),
        (96, 128),
        (160, 192, 224, 256),
        (288, 320, 352, 384, 416, 448, 480, 512),
    ]


@given(st.integers(1, 3000), st.integers(1, 12), st.integers(1, 40))
def test_observed_steps_rise_and_windows_follow_each_other(
    num_steps, num_windows, records_per_window
):
    """Every look lies in its window, no step is looked at twice, and the last one is T."""
    if num_steps < 2 ** (num_windows - 1):
        return
    settings = ForkSpec(
        num_steps=num_steps, num_windows=num_windows, records_per_window=records_per_window
    )
    windows = settings.windows()
    looks = [step for window in windows for step in window]
    assert looks == sorted(set(looks))
    assert looks[0] > 0
    assert looks[-1] == num_steps
    assert [window[-1] for window in windows] == [
        num_steps >> halvings for halvings in reversed(range(num_windows))
    ]
    assert all(len(window) <= records_per_window for window in windows)


@pytest.mark.parametrize(
    ("spec", "settings", "message"),
    [
        (
            ForkSpec,
            {"num_steps": 15},
            "num_steps 15 is too few for 5 windows, each half as long as the next; give at least 16 "
            "steps, or fewer windows",
        ),
        (
            ForkSpec,
            {"num_directions": 70},
            "max_lanczos_steps 60 is below num_directions 70; raise the one or lower the other",
        ),
        (ForkSpec, {"num_streams": 31}, "greater than or equal to 32"),
        (ForkSpec, {"learning_rate": 0.0}, "greater than 0"),
        (
            TailSpec,
            {"num_steps": 1000, "num_records": 2000},
            "num_steps 1000 is below num_records 2000; raise the one or lower the other",
        ),
    ],
)
def test_what_cannot_be_is_refused(spec, settings, message):
    """With what is wrong and how to mend it."""
    with pytest.raises(ValidationError, match=message.replace("(", r"\(")):
        spec(**settings)
