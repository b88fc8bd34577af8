from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from analysis.mathematics.regression import fit
from analysis.paper.strength import rate_is_stronger, stronger_by

_GRID = [(size, rate) for size in (100, 200, 500) for rate in (0.08, 0.2, 0.5)]


def _values(draw, rate_slope, size_slope, *, noise=0.1, seeds=5, grid=_GRID):
    """Make trials with tr σ²/tr H = η^a·m^b·e^noise, in the columns of `trial_values`."""
    frame = pd.DataFrame(
        [np.log(pair) for pair in grid for _ in range(seeds)],
        columns=["batch_size", "learning_rate"],
    )
    frame["magnitude_difference"] = (
        rate_slope * frame["learning_rate"] + size_slope * frame["batch_size"]
        + noise * draw.standard_normal(len(frame))
    )  # fmt: skip
    return frame


def _fit(frame):
    columns = frame[["learning_rate", "batch_size"]].to_numpy()
    return fit(columns, frame["magnitude_difference"].to_numpy())


def test_a_contrast_is_the_slope_of_a_model_written_otherwise():
    """a·x + b·y = (a + 2b)·x + b·(y - 2x): the first slope there is the contrast, error included."""
    frame = _values(np.random.default_rng(1), 0.6, -0.2)
    x, y = frame["learning_rate"].to_numpy(), frame["batch_size"].to_numpy()
    other = fit(np.column_stack([x, y - 2 * x]), frame["magnitude_difference"].to_numpy())
    found = _fit(frame).contrast([1, 2])
    assert found.value == pytest.approx(other.coefficients[0])
    half = (found.high - found.low) / 2
    # t(0.975; 42) = 2.018
    assert half / other.stderrs[0] == pytest.approx(2.018, abs=1e-3)


def test_slopes_without_noise_are_compared_exactly():
    """|a| - |b| of ±0.6 and ±0.2, whatever their signs; |a| - 2|b| likewise."""
    for rate_slope, size_slope in ((0.6, 0.2), (0.6, -0.2), (-0.6, 0.2), (-0.6, -0.2)):
        found = _fit(_values(np.random.default_rng(2), rate_slope, size_slope, noise=1e-9))
        assert stronger_by(found, 1.0).value == pytest.approx(0.4)
        assert stronger_by(found, 2.0).value == pytest.approx(0.2)
        assert stronger_by(found, 4.0).value == pytest.approx(-0.2)


@pytest.mark.parametrize(
    ("rate_slope", "size_slope", "chance"),
    [(0.6, 0.3, 0.05), (-0.6, 0.3, 0.05), (0.6, 0.0, 0.05), (0.0, 0.3, 0.05), (0.0, 0.0, 0.10)],
)
def test_intervals_hold_the_true_difference(rate_slope, size_slope, chance):
    """200 sweeps: missed in 5 % at most (± 3 times 1.5 %), in 10 % where both slopes are 0."""
    draw = np.random.default_rng(3)
    true, missed = abs(rate_slope) - 2 * abs(size_slope), 0
    for _ in range(200):
        found = stronger_by(_fit(_values(draw, rate_slope, size_slope)), 2.0)
        missed += not found.low <= true <= found.high
    assert missed / 200 <= chance + 3 * 0.015


@pytest.mark.parametrize(
    ("slopes", "verdict"),
    [((0.6, 0.1), "holds"), ((-0.6, 0.1), "holds"), ((0.3, 0.4), "fails"), ((0.0, -0.4), "fails")],
)
def test_the_claim_is_judged_rightly(slopes, verdict):
    """Of 200 sweeps nearly all, and none to the contrary."""
    draw = np.random.default_rng(4)
    found = Counter(rate_is_stronger(_values(draw, *slopes)).verdict for _ in range(200))
    assert found[verdict] >= 190
    assert not found[{"holds": "fails", "fails": "holds"}[verdict]]


def test_seeds_of_a_cell_are_no_further_evidence():
    """Where cells are off a power law by far more than their seeds, 100 seeds say no more than one."""
    bent = 0.5 * np.random.default_rng(8).standard_normal(len(_GRID))

    def claimed(seeds):
        frame = _values(np.random.default_rng(9), 0.6, 0.1, noise=1e-6, seeds=seeds)
        frame["magnitude_difference"] += np.repeat(bent, seeds)
        return rate_is_stronger(frame).numbers

    assert claimed(100) == claimed(1)


def test_at_twice_the_slope_a_verdict_is_rare():
    """|a| = 2|b|: each verdict in 2.5 % of 200 at most (± 3 times 1.1 %)."""
    draw = np.random.default_rng(5)
    found = Counter(rate_is_stronger(_values(draw, 0.5, -0.25)).verdict for _ in range(200))
    assert max(found["holds"], found["fails"]) <= 200 * (0.025 + 3 * 0.011)


def test_the_numbers_name_both_exponents_and_their_difference():
    """The difference asked about, and the one without “much”."""
    claim = rate_is_stronger(_values(np.random.default_rng(6), 0.6, 0.1, noise=1e-3))
    assert claim.numbers == (
        "η^+0.60 [+0.60, +0.60], m^+0.10 [+0.10, +0.10] over 9 cells; "
        "|a| - |b| = +0.50 [+0.50, +0.50], |a| - 2|b| = +0.40 [+0.40, +0.40]"
    )
    assert "“much stronger”" in claim.source


def test_nothing_to_say_is_said_in_a_sentence():
    """One rate, one cell, one trial, nothing measured, no error."""
    draw = np.random.default_rng(7)
    values = _values(draw, 0.6, 0.1)
    one_rate = [(size, 0.2) for size in (50, 100, 200, 500)]
    dependent = "the factors do not vary independently of each other here"
    for frame, sentence in (
        (_values(draw, 0.6, 0.1, grid=one_rate), dependent),
        (values[:5], "1 values are too few for 3 coefficients and an error"),
        (values[:1], "1 values are too few for 3 coefficients and an error"),
        (values.assign(magnitude_difference=np.nan), "no trial has both traces"),
        (values[:0], "no trial has both traces"),
        (
            _values(draw, 0.6, 0.1, noise=0.0),
            "the model fits exactly, which leaves no error to test against",
        ),
    ):
        claim = rate_is_stronger(frame)
        assert (claim.verdict, claim.numbers) == ("undecided", sentence)
