"""Probes, subsets, replicate errors and pooled moments."""

from __future__ import annotations

import numpy as np
import pytest

from workers.numerics.estimators import (
    Moments,
    Replicates,
    chances,
    mean_with_replicates,
    rademacher_signs,
    random_subset,
    systematic_counts,
)


def signs(seed=0, stream=0, num=1000, shape=(3, 10)):
    return rademacher_signs(seed, stream, np.arange(num), shape)


def test_signs_depend_on_the_index_and_not_on_its_company():
    """Any cut of the examples into batches draws the same signs."""
    whole = signs()
    parts = [rademacher_signs(0, 0, np.arange(a, a + 250), (3, 10)) for a in (0, 250, 500, 750)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    np.testing.assert_array_equal(rademacher_signs(0, 0, np.array([7]), (3, 10))[0], whole[7])


def test_signs_are_plus_and_minus_one_in_equal_shares():
    """The mean of 30,000 signs is 0 within 4 standard errors, and so is that of every column."""
    drawn = signs()
    assert set(np.unique(drawn)) == {-1.0, 1.0}
    assert abs(drawn.mean()) < 4 / np.sqrt(drawn.size)
    assert np.abs(drawn.reshape(1000, -1).mean(axis=0)).max() < 4 / np.sqrt(1000)


@pytest.mark.parametrize("other", [{"seed": 1}, {"stream": 1}, {"seed": 2**31 - 1}])
def test_other_seeds_and_streams_draw_independent_signs(other):
    """Signs agree in half of the places, within 4 standard errors."""
    agreement = (signs() == signs(**other)).mean()
    assert agreement == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(30_000))


def test_signs_of_one_example_are_independent_of_each_other():
    """No pair of columns is correlated beyond 5 standard errors; 100 signs take two words."""
    drawn = signs(num=4000, shape=(100,))
    correlations = drawn.T @ drawn / 4000 - np.eye(100)
    assert np.abs(correlations).max() < 5 / np.sqrt(4000)


def test_no_signs_can_be_asked_for():
    """A pass without random columns asks for K = 0."""
    assert signs(num=5, shape=(0, 10)).shape == (5, 0, 10)


def test_a_random_subset_is_a_seeded_choice_without_repetition():
    """It is sorted, of the size asked for, and all of a smaller set."""
    chosen = random_subset(3, 100, 30)
    assert len(set(chosen)) == 30
    assert (np.diff(chosen) > 0).all()
    np.testing.assert_array_equal(chosen, random_subset(3, 100, 30))
    assert (chosen != random_subset(4, 100, 30)).any()
    np.testing.assert_array_equal(random_subset(3, 20, 30), np.arange(20))


def test_every_example_is_as_likely_to_be_chosen():
    """Over 400 seeds each of 20 examples is chosen 100 times, within 4 standard errors."""
    counts = sum(np.bincount(random_subset(seed, 20, 5), minlength=20) for seed in range(400))
    assert np.abs(counts - 100).max() < 4 * np.sqrt(400 * 0.25 * 0.75)


@pytest.mark.parametrize("size", [40, 2000])
def test_counts_are_as_expected_and_add_up(size):
    """Over 400 seeds: each is rounded up or down, their sum is the whole, their means what was expected."""
    sizes = np.exp(np.random.default_rng(0).normal(0, 2, 50))
    expected = size * chances(sizes, even_share=0.2)
    assert expected.sum() == pytest.approx(size)
    found = np.array([systematic_counts(expected, seed) for seed in range(400)])
    assert (np.abs(found.sum(axis=1) - size) <= 1).all()
    assert (np.abs(found - expected) < 1).all()
    share = expected % 1
    assert (np.abs(found.mean(0) - expected) <= 4.5 * np.sqrt(share * (1 - share) / 400)).all()


def test_chances_are_even_where_nothing_counts():
    """And never 0."""
    np.testing.assert_allclose(chances(np.zeros(4), even_share=0.2), 0.25)
    np.testing.assert_allclose(chances(np.array([0.0, 3.0]), even_share=0.2), [0.1, 0.9])


@pytest.mark.parametrize("num_replicates", [40, 200, 2000])
def test_the_mean_is_unbiased_and_its_stated_variance_is_that_of_the_draws(num_replicates):
    """Over 4,000 repetitions with fixed examples of heavy tails: further draws for some, or several for all."""
    generator = np.random.default_rng(1)
    centres = np.exp(np.random.default_rng(0).normal(0, 1, 200))
    expected = num_replicates * chances(centres, even_share=0.2)
    found = []
    for seed in range(4000):
        counts = systematic_counts(expected, seed)
        chosen = np.flatnonzero(counts)
        owners = np.repeat(chosen, counts[chosen])
        first = centres * generator.gamma(2, 1 / 2, 200)
        differences = centres[owners] * generator.gamma(2, 1 / 2, len(owners)) - first[owners]
        sums = [
            np.bincount(owners, each, 200)[chosen, None] for each in (differences, differences**2)
        ]
        replicates = Replicates(counts[chosen], np.minimum(expected[chosen], 1.0), *sums)
        found.append(np.concatenate(mean_with_replicates(first[:, None], replicates)))
    errors = np.array(found)[:, 0] - centres.mean()
    stated = np.square(np.array(found)[:, 1])
    assert abs(errors.mean()) < 4 * errors.std() / np.sqrt(4000)
    # the ratio's own relative error: √(2/4000) for the variance, and as much again for its mean
    assert stated.mean() / np.square(errors).mean() == pytest.approx(
        1, abs=4 * 2 * np.sqrt(2 / 4000)
    )


def test_merged_moments_are_those_of_the_values_together():
    """Far from zero as well, where sums of squares would lose the variance."""
    values = 1e6 + np.random.default_rng(0).normal(size=(60, 3))
    merged = Moments(np.array(0.0), np.zeros(3), np.zeros(3))
    for part in np.split(values, [7, 8, 40]):
        merged = merged.merge(Moments(np.array(len(part)), part.mean(0), part.var(0)))
    np.testing.assert_allclose(merged.weight, 60)
    np.testing.assert_allclose(merged.mean, values.mean(0), rtol=1e-15)
    np.testing.assert_allclose(merged.variance, values.var(0), rtol=1e-9)
