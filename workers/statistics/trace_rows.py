"""From sums over a split to the rows of `traces`: each quantity, group and objective."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from workers.contract.records import Measurement
from workers.contract.statistics import Objective
from workers.probes import Estimate
from workers.statistics.groups import Groups
from workers.statistics.trace_passes import Norms

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Circumstances:
    """What all rows of one split share.

    Attributes:
        split: Its name.
        bn_mode: As set.
        hessian_method: How tr H was measured.
        weight_decay: Of the objective `total`.
        cost_gradients: Of the whole statistic for this split.
        wall_seconds: Of the whole statistic for this split.
    """

    split: str
    bn_mode: str
    hessian_method: str
    weight_decay: float
    cost_gradients: float
    wall_seconds: float


class _Values(NamedTuple):
    quantity: str
    method: str
    objective: Objective
    value: Array
    stderr: Array


def rows(
    groups: Groups, norms: Norms, hessian_trace: Estimate, about: Circumstances
) -> list[Measurement]:
    """Give a row for each quantity, objective, and group: the whole model and every layer."""
    return [
        Measurement(
            quantity=each.quantity,
            value=float(each.value[place]),
            stderr=float(each.stderr[place]),
            num_samples=norms.num_examples,
            method=each.method,
            bn_mode=about.bn_mode,
            split=about.split,
            objective=each.objective,
            layer=layer,
            cost_gradients=about.cost_gradients,
            wall_seconds=about.wall_seconds,
        )
        for each in _values(groups, norms, hessian_trace, about)
        for place, layer in enumerate(groups.names)
    ]


def _values(
    groups: Groups, norms: Norms, hessian_trace: Estimate, about: Circumstances
) -> Iterator[_Values]:
    exact = np.zeros(len(groups.names))
    noise = norms.mean_squared_norm - groups.squared_norms(norms.mean_gradient)
    params = groups.squared_norms(groups.values)
    objectives: dict[Objective, float] = {"data": 0.0, "total": about.weight_decay}
    for objective, decay in objectives.items():
        gradient = groups.squared_norms(norms.mean_gradient + decay * groups.decayed_values)
        trace = hessian_trace.value + decay * groups.num_decayed
        yield _Values("gradient_noise_trace", "per_example_exact", objective, noise, exact)
        yield _Values("hessian_trace", about.hessian_method, objective, trace, hessian_trace.stderr)
        yield _Values("gradient_norm_squared", "mean_gradient", objective, gradient, exact)
        yield _Values("parameter_norm_squared", "weights", objective, params, exact)
