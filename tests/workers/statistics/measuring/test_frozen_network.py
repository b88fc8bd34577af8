"""The frozen copy: what is taken once for all statistics of a trial, and what is on the device."""

from __future__ import annotations

import pytest

from workers.network import resident
from workers.resumable.passes import Passes
from workers.statistics.algorithms import hessian, losses, noise_curvature, spectrum, traces
from workers.statistics.hessian import HessianSpec
from workers.statistics.losses import LossesSpec
from workers.statistics.measuring import frozen_network
from workers.statistics.measuring.frozen_network import FrozenNetwork
from workers.statistics.noise_curvature import NoiseCurvatureSpec
from workers.statistics.spectrum import SpectrumSpec
from workers.statistics.traces import TracesSpec

NUM_TRAIN = 24
STATISTICS = {
    "losses": (losses.measure, LossesSpec(splits=["train"])),
    "traces": (traces.measure, TracesSpec(replicate_examples=1000)),
    "hessian": (hessian.measure, HessianSpec(num_probes=64, num_eigenpairs=0)),
    "noise_curvature": (noise_curvature.measure, NoiseCurvatureSpec(num_probes=64)),
    "spectrum": (spectrum.measure, SpectrumSpec(num_steps=3, num_draws=2)),
}


@pytest.mark.parametrize("name", STATISTICS)
def test_who_takes_the_pass_changes_neither_values_nor_costs(tools, name):
    """The second to measure has the passes of four stages less in its progress, and the same rows."""
    measure, settings = STATISTICS[name]
    first = tools.make_case("kld")
    taken = measure(first.context, settings)
    second = tools.make_case("kld")
    context = second.context
    losses.measure(context, LossesSpec(splits=["test"]))
    second.partials.saved.clear()
    second.partials.progress.clear()
    found = measure(context, settings)
    assert without_time(found) == without_time(taken)
    done, total = first.partials.progress[-1]
    assert done == total
    assert second.partials.progress[-1] == (done - 4 * NUM_TRAIN, total - 4 * NUM_TRAIN)


def without_time(rows):
    return [row.model_dump(exclude={"wall_seconds"}) for row in rows]


@pytest.mark.parametrize("splits", [["train"], ["test"], ["train", "test"]])
def test_no_more_is_put_on_the_device_than_is_measured(tools, monkeypatch, splits):
    """The training set beside it while its statistics are taken, and not once they are known."""
    case, moved, move = tools.make_case("kld"), [], resident.make_resident

    def make_resident(split, dataset):
        moved.append(len(split))
        return move(split, dataset)

    for module in (frozen_network, resident):
        monkeypatch.setattr(module, "make_resident", make_resident)
    context, passes = case.context, Passes(case.partials, 0)
    sizes = [len(context.split(name)) for name in splits]
    frozen = FrozenNetwork.of(context, "frozen", splits, passes)
    assert moved == sizes + ([] if "train" in splits else [NUM_TRAIN])
    assert [len(split) for split in frozen.splits.values()] == sizes
    moved.clear()
    FrozenNetwork.of(context, "frozen", splits, passes)
    assert moved == sizes


def test_what_is_compiled_is_compiled_once_for_all_splits(tools, monkeypatch):
    """The norms of `noise_curvature` on two splits."""
    made, compiled = [], noise_curvature.CompiledNorms

    def count(*arguments, **options):
        made.append(1)
        return compiled(*arguments, **options)

    monkeypatch.setattr(noise_curvature, "CompiledNorms", count)
    settings = NoiseCurvatureSpec(num_probes=64, splits=["train", "test"])
    rows = noise_curvature.measure(tools.make_case("kld").context, settings)
    assert {row.split for row in rows} == {"train", "test"}
    assert len(made) == 1
