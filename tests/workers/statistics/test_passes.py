"""Resumable passes: order, progress, and what they save."""

from __future__ import annotations

import numpy as np
import pytest

from workers.contract.errors import Drained
from workers.resumable.passes import Passes, batch_edges


def step(state, places):
    """Add up in an order that rounding would tell apart."""
    return {"sum": state["sum"] + 0.1 * places.sum(), "seen": np.append(state["seen"], places)}


START = {"sum": np.zeros(()), "seen": np.zeros(0)}


@pytest.mark.parametrize(
    ("num_examples", "batch_size"), [(10, 3), (9, 3), (1, 5), (7, 7), (101, 50)]
)
def test_batches_cover_every_example_once_in_sizes_that_differ_by_one(num_examples, batch_size):
    """No batch is larger than asked for, and there are no more than needed."""
    sizes = np.diff(batch_edges(num_examples, batch_size))
    assert sizes.sum() == num_examples
    assert sizes.max() <= batch_size
    assert sizes.max() - sizes.min() <= 1
    assert len(sizes) == -(-num_examples // batch_size)


def test_two_passes_report_one_progress(tools):
    """Done goes on from one pass to the next, up to the total."""
    partials = tools.partials()
    passes = Passes(partials, 16)
    passes.run("a", step, START, batch_edges(10, 4))
    passes.run("b", step, START, batch_edges(6, 4))
    assert partials.progress == [(3, 16), (6, 16), (10, 16), (13, 16), (16, 16)]


@pytest.mark.parametrize("stop_after", range(1, 6))
def test_a_stopped_pass_goes_on_to_the_same_bits(stop_after, tools):
    """Wherever it is stopped, in the first pass or the second, nothing is done twice or left out."""

    def run(partials):
        passes = Passes(partials, 16)
        first = passes.run("a", step, START, batch_edges(10, 4))
        second = passes.run("b", step, START, batch_edges(6, 4))
        return first["sum"], second["sum"], first["seen"], second["seen"]

    expected = run(tools.partials())
    partials = tools.partials(stop_after=stop_after)
    with pytest.raises(Drained):
        run(partials)
    partials.stop_after = None
    for found, wanted in zip(run(partials), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
