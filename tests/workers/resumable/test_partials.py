"""Partial sums of a measurement."""

from __future__ import annotations

import numpy as np
import pytest

from workers.contract.errors import Drained
from workers.resumable.partials import SavedPartials
from workers.statistics.losses import LossesSpec

CONDITIONS = {"environment_id": "here"}


@pytest.fixture
def make_partials(store, make_order, make_pulse):
    def make(attempt_id="first", conditions=CONDITIONS, **pulse):
        order = make_order(attempt_id=attempt_id, statistic=LossesSpec())
        return SavedPartials(store, order, make_pulse(**pulse), conditions)

    return make


def sums(value):
    return {"sum": np.array([value])}


def test_a_stop_saves_every_key_and_leaves(make_partials):
    """The key finished before and the one under way are both found by the next attempt."""
    partials = make_partials(stop_at=3)
    assert partials.restore("train") is None
    partials.advance("population", sums(1.0), 5, 5)
    partials.advance("train", sums(2.0), 1, 4)
    with pytest.raises(Drained, match="stopped at 2 of 4 of train"):
        partials.advance("train", sums(3.0), 2, 4)
    following = make_partials("second")
    np.testing.assert_array_equal(following.restore("population")["sum"], [1.0])
    np.testing.assert_array_equal(following.restore("train")["sum"], [3.0])
    assert following.restore("test") is None


def test_partials_are_saved_at_the_cadence(make_partials, store):
    """The clock ticks 1 s a look: at a cadence of 3 s not every advance writes."""
    partials = make_partials(tick_seconds=1.0, checkpoint_seconds=3.0)
    partials.advance("train", sums(1.0), 1, 9)
    assert store.names("checkpoints", recursive=True) == []
    partials.advance("train", sums(2.0), 2, 9)
    partials.advance("train", sums(3.0), 3, 9)
    assert len(store.names("checkpoints", recursive=True)) == 1
    np.testing.assert_array_equal(make_partials("second").restore("train")["sum"], [3.0])


def test_partials_of_other_weights_are_not_continued(make_partials):
    """The sums of one set of weights mean nothing for another."""
    with pytest.raises(Drained):
        make_partials(stop_at=1).advance("train", sums(1.0), 1, 2)
    other = make_partials("second", conditions={**CONDITIONS, "weights_sha256": "other"})
    assert other.restore("train") is None


def test_progress_is_reported_at_each_advance(make_partials):
    """With what is done of how much."""
    told = []
    partials = make_partials(report=told.append)
    partials.advance("train", sums(1.0), 1, 9)
    assert (told[0].phase, told[0].done, told[0].total) == ("measuring", 1, 9)
