"""Partial sums of a measurement."""

from __future__ import annotations

import numpy as np
import pytest

from workers.contract.errors import Drained
from workers.contract.store import Store
from workers.resumable.checkpoint import Checkpoints
from workers.resumable.partials import SavedPartials
from workers.resumable.passes import Passes, batch_edges
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


def test_what_is_saved_last_is_found_though_its_progress_is_no_further(make_partials):
    """A pass within a step begins where the one before it began, and comes less far or as far."""
    for second in (5, 9):
        partials = make_partials(f"of {second}", checkpoint_seconds=0.0)
        for value, done in enumerate((3, 9, second)):
            partials.advance(f"pass {second}", sums(float(value)), done, 9)
        found = make_partials("next").restore(f"pass {second}")
        np.testing.assert_array_equal(found["sum"], [2.0])


def test_what_was_numbered_by_its_progress_is_gone_on_from_and_hides_nothing(
    make_partials, make_order, store
):
    """As it once was: a store of then is resumed, and what follows is found."""
    folder = f"{Store.checkpoint_folder(make_order(statistic=LossesSpec()).work_id)}/train"
    old = Checkpoints(store, folder, attempt_id="old", conditions=CONDITIONS)
    old.save(2_000_001, sums(1.0))
    following = make_partials("second", checkpoint_seconds=0.0)
    np.testing.assert_array_equal(following.restore("train")["sum"], [1.0])
    following.advance("train", sums(2.0), 7, 3_000_000)
    np.testing.assert_array_equal(make_partials("third").restore("train")["sum"], [2.0])
    numbers = [
        Store.checkpoint_parts(path)[0] for path in store.names("checkpoints", recursive=True)
    ]
    assert numbers == [2_000_001, 2_000_002]


def test_an_attempt_that_was_left_behind_does_not_hide_what_others_saved(make_partials):
    """Woken again, it goes on from its own numbers, and those of the others have gone further."""
    behind = make_partials("first", checkpoint_seconds=0.0)
    behind.advance("train", sums(1.0), 1, 9)
    ahead = make_partials("second", checkpoint_seconds=0.0)
    for value in (2.0, 3.0, 4.0):
        ahead.advance("train", sums(value), int(value), 9)
    behind.advance("train", sums(2.0), 2, 9)
    np.testing.assert_array_equal(make_partials("third").restore("train")["sum"], [4.0])


def looked_at(passes, edges, taken):
    """Take two looks of eight evaluations within steps of no progress of their own, as `fork` does."""

    def evaluate(number):
        def add(state, places):
            taken.append((number, int(places[0])))
            return {"sum": state["sum"] + 0.1 * places.sum() + number}

        start = {"sum": np.zeros(())}
        return passes.run("objective", add, start, edges, repetition=number)["sum"]

    def show(place):
        def add_row(state):
            number = len(state["rows"])
            return {"rows": np.append(state["rows"], evaluate(8 * place + number))}

        start = {"rows": np.zeros(0)}
        return passes.iterate(
            "shown", add_row, start, lambda state: len(state["rows"]) == 8, 0, repetition=place
        )["rows"]

    def look(state):
        return {"shown": np.append(state["shown"], [show(len(state["shown"]))], axis=0)}

    start = {"shown": np.zeros((0, 8))}
    return passes.iterate("looks", look, start, lambda state: len(state["shown"]) == 2, 8 * 20)


@pytest.mark.parametrize("stop_at", [1, 3, 7])
@pytest.mark.parametrize("checkpoint_seconds", [0.0, 1e9])
def test_attempts_that_are_always_cut_short_come_to_the_end(
    make_partials, stop_at, checkpoint_seconds
):
    """Each goes on where the one before was stopped: no batch is taken twice, none left out."""
    edges = batch_edges(20, 5)
    straight = looked_at(Passes(make_partials("straight"), 0), edges, [])
    taken, num_stops = [], 0
    while True:
        options = {"stop_at": stop_at, "checkpoint_seconds": checkpoint_seconds}
        partials = make_partials(f"attempt-{num_stops}", **options)
        try:
            found = looked_at(Passes(partials, 0), edges, taken)
            break
        except Drained:
            num_stops += 1
            assert num_stops <= 16 * 4 + 16 + 2
    np.testing.assert_array_equal(found["shown"], straight["shown"])
    assert taken == [(number, place) for number in range(16) for place in range(0, 20, 5)]
