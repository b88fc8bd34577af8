"""Stopped anywhere and gone on, a measurement has the same bits."""

from __future__ import annotations

import dataclasses

import pytest

from workers.contract.errors import Drained
from workers.statistics import losses, traces
from workers.statistics.losses import LossesSpec
from workers.statistics.traces import TracesSpec

CASES = [
    (traces.measure, TracesSpec(splits=["train", "test"], replicate_examples=1000), 21),
    (traces.measure, TracesSpec(columns="exact", bn_mode="moving_average"), 1),
    (losses.measure, LossesSpec(), 1),
]


def values(rows):
    return [
        (row.quantity, row.layer, row.split, row.objective, row.value, row.stderr) for row in rows
    ]


@pytest.mark.parametrize(
    ("measure", "settings", "stop_after"), CASES, ids=["traces", "exact traces", "losses"]
)
def test_stops_leave_no_trace(tools, measure, settings, stop_after, monkeypatch):
    """Stopped again and again, after every batch or every 21 of them."""
    for module in (
        "workers.statistics.norms.trace_passes.NORMS_BATCH_SIZE",
        "workers.network.batch_norm._BATCH_SIZE",
    ):
        monkeypatch.setattr(module, 7)
    undisturbed = values(measure(tools.make_case("kld").context, settings))
    case = tools.make_case("kld")
    num_stops = 0
    while True:
        case.partials = tools.partials(stop_after=stop_after, saved=case.partials.saved)
        try:
            found = measure(case.context, settings)
        except Drained:
            num_stops += 1
            assert num_stops < 100
            continue
        break
    assert num_stops >= 1
    assert values(found) == undisturbed


def test_batches_do_not_matter(tools, monkeypatch):
    """Ragged batches weigh as their examples do, to the rounding of float32 sums."""
    found = {}
    for size in (5, 24):
        monkeypatch.setattr("workers.statistics.norms.trace_passes.NORMS_BATCH_SIZE", size)
        rows = traces.measure(tools.make_case("kld").context, TracesSpec(bn_mode="moving_average"))
        found[size] = {(r.quantity, r.layer, r.objective): r.value for r in rows}
    assert found[5] == pytest.approx(found[24], rel=1e-5)


def test_duplicating_the_data_changes_nothing(tools):
    """Tr σ², tr H and both norms are means over examples."""
    case = tools.make_case("kld")
    split = case.dataset.train
    twice = dataclasses.replace(
        split,
        inputs=split.inputs.repeat(2, axis=0),
        targets=split.targets.repeat(2, axis=0),
    )
    settings = TracesSpec(columns="exact", bn_mode="moving_average")
    once = traces.measure(case.context, settings)
    doubled = tools.make_case("kld")
    doubled.dataset = dataclasses.replace(doubled.dataset, train=twice)
    again = traces.measure(doubled.context, settings)
    assert [row.value for row in again] == pytest.approx([row.value for row in once], rel=1e-5)
