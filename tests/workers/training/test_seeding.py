"""Randomness as a function of (seed, epoch) or (seed, step)."""

from __future__ import annotations

import numpy as np
import pytest

from workers.contract.specs import TrainingSpec, TrialSpec
from workers.datasets.digits import DigitsSpec
from workers.models.mlp import MLPSpec
from workers.training.seeding import epoch_order, measuring_seed


def test_shuffle_visits_each_example_once():
    """The order is a permutation."""
    order = epoch_order(1, 0, num_train=100, sampler="shuffle")
    assert order.dtype == np.int32
    np.testing.assert_array_equal(np.sort(order), np.arange(100))


def test_replacement_draws_every_example_equally_often():
    """Over 400 epochs of 50 draws an example's count is 400 ± 20; none is off by five of these."""
    draws = [epoch_order(1, e, num_train=50, sampler="replacement") for e in range(400)]
    counts = np.bincount(np.concatenate(draws), minlength=50)
    assert np.abs(counts - 400).max() < 5 * 20
    assert len(np.unique(draws[0])) < 50


@pytest.mark.parametrize("sampler", ["shuffle", "replacement"])
def test_orders_depend_on_seed_and_epoch_alone(sampler):
    """Equal pairs give equal orders whatever was drawn before, other pairs other orders."""
    first = epoch_order(1, 2, num_train=100, sampler=sampler)
    others = [epoch_order(*pair, num_train=100, sampler=sampler) for pair in [(2, 1), (1, 3)]]
    np.testing.assert_array_equal(first, epoch_order(1, 2, num_train=100, sampler=sampler))
    assert not any(np.array_equal(first, other) for other in others)


def a_trial(seed, **changes):
    """Build a trial of a cell."""
    fields = {
        "model": MLPSpec(),
        "dataset": DigitsSpec(),
        "data_digest": "d",
        "loss": "kld",
        "training": TrainingSpec(epochs=1),
        "batch_size": 10,
        "learning_rate": 0.1,
    }
    return TrialSpec(**fields | changes, seed=seed)


def test_every_trial_setting_and_stream_measures_with_draws_of_its_own():
    """The seeds of a cell differ, also from all seeds of training, which are below 2^63; so do streams."""
    drawn = [
        measuring_seed(trial, seed, stream)
        for trial in [*(a_trial(seed) for seed in range(20)), a_trial(0, batch_size=20)]
        for seed in (0, 1)
        for stream in ("", "fork 0", "fork 1", "tail")
    ]
    assert len(set(drawn)) == len(drawn) == 21 * 2 * 4
    assert all(2**63 <= seed < 2**64 for seed in drawn)


def test_seeds_of_measuring_are_pinned():
    """A finished measurement must come to the same bits again, so that it can be verified."""
    assert measuring_seed(a_trial(0), 0) == 18439502781689654850
