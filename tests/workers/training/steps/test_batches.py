"""How an epoch is cut into batches and chunks."""

from __future__ import annotations

import numpy as np
import pytest

from workers.contract.errors import UserError
from workers.training.steps.batches import is_ragged, next_batches, steps_per_epoch

ORDER = np.arange(10, dtype=np.int32)


def test_batches_follow_the_order():
    """A chunk holds at most the steps asked for and never part of a batch."""
    np.testing.assert_array_equal(next_batches(ORDER, 3, 0, 2), [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(next_batches(ORDER, 3, 2, 5), [[6, 7, 8]])


def test_the_ragged_batch_comes_alone():
    """After the full batches the rest is one smaller batch."""
    np.testing.assert_array_equal(next_batches(ORDER, 3, 3, 5), [[9]])
    np.testing.assert_array_equal(next_batches(ORDER, 20, 0, 5), [ORDER])


@pytest.mark.parametrize(
    ("ragged", "size", "steps"), [("drop", 8, 6), ("keep", 8, 7), ("keep", 5, 10)]
)
def test_steps_count_the_ragged_batch_where_it_is_kept(make_trial, ragged, size, steps):
    """50 examples: 6 batches of 8 and 2 examples left over; 10 batches of 5 and none."""
    trial = make_trial(ragged_batch=ragged, batch_size=size)
    assert steps_per_epoch(trial, 50) == steps
    assert is_ragged(trial, 50) is (steps == 7)


def test_an_epoch_without_a_batch_is_refused(make_trial):
    """A batch larger than the data, with ragged batches dropped, would train nothing."""
    with pytest.raises(UserError, match="batch size 64 is larger than the 50 training examples"):
        steps_per_epoch(make_trial(batch_size=64), 50)
