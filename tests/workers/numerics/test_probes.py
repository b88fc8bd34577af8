"""Errors of means of probes: cumulants without bias, and room in the interval for skewness."""

from __future__ import annotations

import numpy as np
import pytest

from workers.numerics.probes import cumulants_of_mean, half_width, mean_of_probes


def test_cumulants_are_those_of_the_mean():
    """By plain sums; three values are the fewest with a third one."""
    values = np.array([[1.0, 5.0], [2.0, 5.0], [6.0, 5.0]])
    found = cumulants_of_mean(values)
    np.testing.assert_allclose(found.mean, [3, 5])
    np.testing.assert_allclose(found.variance, [(4 + 1 + 9) / 2 / 3, 0])
    np.testing.assert_allclose(found.third, [(-8 - 1 + 27) * 3 / (2 * 1) / 9, 0])
    assert (cumulants_of_mean(values[:2]).third == 0).all()


def test_cumulants_have_no_bias():
    """Over 20,000 sets of 8 exponential values, whose cumulants are 1, 1 and 2: within four errors."""
    values = np.random.default_rng(0).exponential(size=(8, 20_000))
    found = cumulants_of_mean(values)
    for each, expected in ((found.mean, 1), (found.variance, 1 / 8), (found.third, 2 / 64)):
        assert abs(each.mean() - expected) < 4 * each.std() / np.sqrt(20_000)


def test_errors_are_never_below_the_rounding_of_float32():
    """Of equal probes and of probes 1e-9 apart 32 ε of the value, of wide ones what they say; 0 of nothing."""
    spread = np.linspace(-1, 1, 64)[:, None]
    found = mean_of_probes(spread * [0, 1e-9, 1, 0] + [7.0, -7.0, 7.0, 0.0])
    rounding = 32 * np.finfo(np.float32).eps * 7
    wide = np.sqrt(np.square(spread).sum() / 63 / 64)
    np.testing.assert_allclose(found.stderr, [rounding, rounding, wide, 0], rtol=1e-12)


def covered(values):
    """Give the share of columns whose interval holds 0, with the stated error and with the plain one."""
    mean, stderr = mean_of_probes(values)
    plain = np.sqrt(cumulants_of_mean(values).variance)
    factor = half_width(1.0, len(values))
    return [float((np.abs(mean) <= factor * each).mean()) for each in (stderr, plain)]


@pytest.mark.parametrize(
    ("name", "stated", "plain"), [("normal", 0.950, 0.950), ("of rank one", 0.942, 0.928)]
)
def test_skew_probes_are_covered_as_said(name, stated, plain):
    """Of 64 probes of a quadratic form of rank one, and of symmetric ones, over 20,000 seeds.

    Limits: four standard deviations of the binomial share.
    """
    values = np.random.default_rng(0).normal(size=(64, 20_000))
    values = values if name == "normal" else values**2 - 1
    limit = 4 * np.sqrt(0.05 * 0.95 / 20_000)
    assert covered(values) == pytest.approx([stated, plain], abs=limit)
