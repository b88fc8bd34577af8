"""With labels drawn from the model, tr σ² + ‖∇L‖² and tr H of the mean cross-entropy have one expectation."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from workers.statistics.algorithms import traces
from workers.statistics.measuring import frozen_network
from workers.statistics.traces import TracesSpec

NUM_DRAWS = 60


@pytest.fixture
def _compiled_once(monkeypatch):
    """Trace the network once; it does not depend on the labels."""

    def remembering(build):
        built = []

        def remembered(*args):
            built[:] = built or [build(*args)]
            return built[0]

        return remembered

    builders = {frozen_network: ["copy_network"], traces: ["take_apart", "CompiledNorms"]}
    for module, names in builders.items():
        for name in names:
            monkeypatch.setattr(module, name, remembering(getattr(module, name)))


def values_of(rows, *quantities):
    """Sum quantities of the data objective, for the whole model and each layer."""
    columns = [
        [row.value for row in rows if (row.quantity, row.objective) == (quantity, "data")]
        for quantity in quantities
    ]
    return np.sum(columns, axis=0)


@pytest.mark.slow
@pytest.mark.usefixtures("_compiled_once")
def test_labels_of_the_model_make_both_traces_one(tools):
    """E[tr σ² + ‖∇L‖²] = tr G = tr H, of the whole model and all layers, within four errors of the mean.

    The mean squared norm of gradients at labels y ~ p(x) has the expectation (1/N) Σ E‖Jᵀ(p - y)‖² =
    (1/N) Σ tr(Jᵀ(diag p - ppᵀ)J): two routes through the fused pass that share no cotangent.
    """
    case = tools.make_case("kld", num_train=60)
    case.partials = tools.partials()
    settings = TracesSpec(columns="exact", bn_mode="moving_average")
    context = case.context
    trace = values_of(traces.measure(context, settings), "hessian_trace")
    outputs = case.twin(case.inputs(), training=False).numpy()
    chances = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    generator, found = np.random.default_rng(0), []
    for _ in range(NUM_DRAWS):
        labels = [generator.choice(3, p=each) for each in chances]
        train = dataclasses.replace(case.dataset.train, targets=np.eye(3, dtype=np.float32)[labels])
        dataset = dataclasses.replace(case.dataset, train=train)
        case.partials.saved.clear()
        rows = traces.measure(dataclasses.replace(context, dataset=dataset), settings)
        found.append(values_of(rows, "gradient_noise_trace", "gradient_norm_squared"))
    error = np.std(found, axis=0, ddof=1) / np.sqrt(NUM_DRAWS)
    assert (error < 0.1 * trace).all()
    assert (np.abs(np.mean(found, axis=0) - trace) < 4 * error).all()
