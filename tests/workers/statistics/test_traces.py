"""`traces` against dense float64 references, its own errors, and restarts."""

from __future__ import annotations

import pytest

from workers.contract.statistics import TracesSpec
from workers.statistics import traces

LOSSES = ("kld", "gradlog_l1", "gradlog_l2", "squared_error")
QUANTITIES = (
    "gradient_noise_trace",
    "hessian_trace",
    "gradient_norm_squared",
    "parameter_norm_squared",
)
FLOAT32 = 1e-5
"""Sums of some hundred products in float32, each off by 6e-8 of its size."""


@pytest.mark.parametrize("loss", LOSSES)
def test_every_quantity_layer_and_objective_is_that_of_the_dense_reference(tools, loss):
    """Frozen at moving averages, with all columns, the traces are exact for every loss."""
    case = tools.make_case(loss)
    reference = tools.dense_reference(case)
    rows = traces.measure(case.context, TracesSpec(columns="exact", bn_mode="moving_average"))
    layers = {None, *reference.layers}
    assert {(row.quantity, row.objective, row.layer) for row in rows} == {
        (quantity, objective, layer)
        for quantity in QUANTITIES
        for objective in ("data", "total")
        for layer in layers
    }
    for row in rows:
        decay = tools.weight_decay if row.objective == "total" else 0.0
        expected = reference.value(row.quantity, row.layer, decay)
        whole = abs(reference.value(row.quantity, None, decay))
        assert row.value == pytest.approx(expected, rel=FLOAT32, abs=FLOAT32 * 0.1 * whole), row
        assert row.stderr == 0.0
        assert row.num_samples == 24
