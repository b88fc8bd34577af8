"""Seeds of a cell err independently: at equal weights they draw other probes, batches and streams."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from workers.statistics import batch_noise, fork, hessian, noise_curvature, spectrum, tail, traces
from workers.statistics.batch_noise import BatchNoiseSpec
from workers.statistics.fork import ForkSpec
from workers.statistics.hessian import HessianSpec
from workers.statistics.noise_curvature import NoiseCurvatureSpec
from workers.statistics.spectrum import SpectrumSpec
from workers.statistics.tail import TailSpec
from workers.statistics.traces import TracesSpec

FEW_STEPS = {"num_directions": 2, "max_lanczos_steps": 4, "learning_rate": 0.01}

ESTIMATES = {
    "traces": (traces, TracesSpec(replicate_examples=1000), "hessian_trace"),
    "traces, smooth": (traces, TracesSpec(), "hessian_trace"),
    "hessian": (hessian, HessianSpec(num_eigenpairs=0), "hessian_trace"),
    "hessian, subset": (
        hessian,
        HessianSpec(num_eigenpairs=1, max_lanczos_steps=3, num_examples=5),
        "hessian_frobenius_squared",
    ),
    "noise_curvature": (noise_curvature, NoiseCurvatureSpec(), "hessian_noise_trace"),
    "spectrum": (spectrum, SpectrumSpec(num_draws=2, num_steps=2), "gradient_noise_trace"),
    "batch_noise": (batch_noise, BatchNoiseSpec(multiples=[1]), "gradient_noise_trace"),
    "fork": (fork, ForkSpec(num_streams=32, num_steps=4, num_windows=1, **FEW_STEPS), "excess_loss"),
    "tail": (
        tail,
        TailSpec(burn_in_steps=64, num_steps=1000, num_records=64, **FEW_STEPS),
        "excess_loss",
    ),
}  # fmt: skip


def values(tools, name, *, seed):
    """Measure one network as that of a trial of this seed; give the values of one quantity."""
    module, settings, quantity = ESTIMATES[name]
    case = tools.make_case("kld", activation="tanh" if name.endswith("smooth") else "relu")
    trial = case.context.trial.model_copy(update={"seed": seed})
    rows = module.measure(dataclasses.replace(case.context, trial=trial), settings)
    return np.array([row.value for row in rows if getattr(row, "quantity", None) == quantity])


@pytest.mark.slow
@pytest.mark.parametrize("name", ESTIMATES)
def test_two_seeds_of_equal_weights_err_differently(tools, name):
    """Every estimate differs between two seeds, and is the same to the bit for one of them."""
    first = values(tools, name, seed=0)
    assert len(first)
    np.testing.assert_array_equal(first, values(tools, name, seed=0))
    assert (first != values(tools, name, seed=1)).all()
