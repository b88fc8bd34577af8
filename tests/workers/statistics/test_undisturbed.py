"""Measuring leaves everything as it was: weights, moving statistics, and every global random generator."""

from __future__ import annotations

import hashlib
import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from workers.statistics import (
    batch_noise,
    fork,
    hessian,
    losses,
    noise_curvature,
    spectrum,
    tail,
    traces,
)
from workers.statistics.batch_noise import BatchNoiseSpec
from workers.statistics.fork import ForkSpec
from workers.statistics.hessian import HessianSpec
from workers.statistics.losses import LossesSpec
from workers.statistics.noise_curvature import NoiseCurvatureSpec
from workers.statistics.spectrum import SpectrumSpec
from workers.statistics.tail import TailSpec
from workers.statistics.traces import TracesSpec

FEW_STEPS = {"num_directions": 2, "max_lanczos_steps": 4, "learning_rate": 0.01}

STATISTICS = {
    "losses": (losses, LossesSpec()),
    "traces": (traces, TracesSpec(splits=["train", "test"], replicate_examples=1000)),
    "traces, exact": (traces, TracesSpec(columns="exact", bn_mode="moving_average")),
    "traces, smooth": (traces, TracesSpec()),
    "hessian": (hessian, HessianSpec(num_probes=64, num_eigenpairs=1, max_lanczos_steps=3)),
    "noise_curvature": (noise_curvature, NoiseCurvatureSpec(num_probes=64)),
    "spectrum": (spectrum, SpectrumSpec(num_draws=2, num_steps=2)),
    "batch_noise": (batch_noise, BatchNoiseSpec(num_probes=128, multiples=[1, 2])),
    "fork": (fork, ForkSpec(num_streams=32, num_steps=4, num_windows=1, **FEW_STEPS)),
    "fork, batch": (
        fork,
        ForkSpec(num_streams=32, num_steps=4, num_windows=1, bn_mode="batch", **FEW_STEPS),
    ),
    "tail": (tail, TailSpec(burn_in_steps=64, num_steps=1000, num_records=64, **FEW_STEPS)),
}


def test_every_statistic_is_here():
    """Those that a sweep can name."""
    from workers.contract.registry import STATISTICS as KNOWN

    assert {name.split(",")[0] for name in STATISTICS} == set(KNOWN)


def digest(model):
    """Hash all variables, with the states of random generators of layers."""
    found = hashlib.sha256()
    for variable in model.variables:
        found.update(variable.path.encode() + np.asarray(variable.value).tobytes())
    return found.hexdigest()


def next_draws():
    """Draw from each global generator, which moves it on."""
    return (
        random.random(),  # noqa: S311 - no secret
        np.random.random(),  # the global one is meant
        np.asarray(keras.random.uniform(())).item(),
        tf.random.uniform(()).numpy().item(),
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", STATISTICS)
def test_nothing_is_disturbed(tools, name):
    """The model hashes as before; Python, NumPy, Keras and TensorFlow draw next what they would have."""
    module, settings = STATISTICS[name]
    case = tools.make_case("kld", activation="tanh" if name.endswith("smooth") else "relu")
    before = digest(case.model)
    keras.utils.set_random_seed(1)
    undisturbed = next_draws()
    keras.utils.set_random_seed(1)
    module.measure(case.context, settings)
    assert next_draws() == undisturbed
    assert digest(case.model) == before
