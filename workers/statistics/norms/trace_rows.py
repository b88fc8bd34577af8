"""From sums over a split to the rows of `traces`: each quantity, group and objective."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from workers.contract.records import Measurement
from workers.contract.settings import Objective
from workers.numerics.probes import Estimate, exact
from workers.statistics.measuring.groups import Groups
from workers.statistics.measuring.split_rows import SplitRows
from workers.statistics.norms.trace_passes import Norms

Array = npt.NDArray[np.float64]


class HessianTrace(NamedTuple):
    """tr H of the data objective [G], and how it was measured."""

    method: str
    found: Estimate


class _TraceValues(NamedTuple):
    quantity: str
    method: str
    objective: Objective
    found: Estimate


def rows(
    about: SplitRows, groups: Groups, norms: Norms, trace: HessianTrace, weight_decay: float
) -> list[Measurement]:
    """Return a row for each quantity, objective, and group: the whole model and every layer.

    Args:
        about: The split.
        groups: The groups of parameters.
        norms: The norms of the split's examples.
        trace: The Hessian trace of the split.
        weight_decay: That of the objective `total`.
    """
    return [
        row
        for quantity, method, objective, found in _values(groups, norms, trace, weight_decay)
        for row in about.of_groups(
            quantity, method, found, groups, objective=objective, num_samples=norms.num_examples
        )
    ]


def _values(
    groups: Groups, norms: Norms, trace: HessianTrace, weight_decay: float
) -> Iterator[_TraceValues]:
    noise = norms.mean_squared_norm - groups.squared_norms(norms.mean_gradient)
    params = groups.squared_norms(groups.values)
    objectives: dict[Objective, float] = {"data": 0.0, "total": weight_decay}
    for objective, decay in objectives.items():
        gradient = groups.squared_norms(norms.mean_gradient + decay * groups.decayed_values)
        shifted = Estimate(trace.found.value + decay * groups.num_decayed, trace.found.stderr)
        yield _TraceValues("gradient_noise_trace", "per_example_exact", objective, exact(noise))
        yield _TraceValues("hessian_trace", trace.method, objective, shifted)
        yield _TraceValues("gradient_norm_squared", "mean_gradient", objective, exact(gradient))
        yield _TraceValues("parameter_norm_squared", "weights", objective, exact(params))
