"""From the probes and norms of a split to the rows of `noise_curvature`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from workers.contract.records import Measurement
from workers.contract.statistics import Objective
from workers.probes import Estimate
from workers.statistics.example_norms import ExampleNorms
from workers.statistics.groups import Groups

Array = npt.NDArray[np.float64]

PROBES_METHOD = "sampled_pairs"
_NO_GRADIENT = "the gradient of the mean loss vanishes, so that the scale has no finite value"


@dataclass(frozen=True)
class Circumstances:
    """What the rows of one split share.

    Attributes:
        split: Its name.
        bn_mode: As set.
        weight_decay: Of the objective `total`.
        num_examples: N.
        num_probes: Behind the estimate.
        cost_gradients: Of the whole statistic for this split.
        wall_seconds: Of the whole statistic for this split.
    """

    split: str
    bn_mode: str
    weight_decay: float
    num_examples: int
    num_probes: int
    cost_gradients: float
    wall_seconds: float


class Found(NamedTuple):
    """What was measured of one split.

    Attributes:
        norms: Of its examples.
        noise: tr(σ²H) of the data objective, by group.
        gradient_curvatures: ∇LᵀH∇L [G] by objective; `total` is there when weights decay.
    """

    norms: ExampleNorms
    noise: Estimate
    gradient_curvatures: Mapping[str, Array]


class _Values(NamedTuple):
    quantity: str
    method: str
    value: Array
    stderr: Array


def rows(groups: Groups, found: Found, about: Circumstances) -> list[Measurement]:
    """Give a row for each quantity, objective and group; noise scales of the whole model alone."""
    objectives: tuple[Objective, ...] = ("data", "total")
    return [
        _row(each, place, layer, objective, about)
        for objective in objectives
        for each in _values(groups, found, objective, about)
        for place, layer in enumerate(groups.names[: len(each.value)])
    ]


def _row(
    each: _Values, place: int, layer: str | None, objective: Objective, about: Circumstances
) -> Measurement:
    value = float(each.value[place])
    is_there = bool(np.isfinite(value)) or each.quantity not in _SCALES
    return Measurement(
        quantity=each.quantity,
        value=value if is_there else None,
        stderr=float(each.stderr[place]) if is_there else None,
        num_samples=about.num_probes if each.method == PROBES_METHOD else about.num_examples,
        method=each.method,
        bn_mode=about.bn_mode,
        split=about.split,
        objective=objective,
        layer=layer,
        cost_gradients=about.cost_gradients,
        wall_seconds=about.wall_seconds,
        skipped_reason=None if is_there else _NO_GRADIENT,
    )


_SCALES = ("simple_noise_scale", "noise_scale")


def _values(
    groups: Groups, found: Found, objective: Objective, about: Circumstances
) -> Iterator[_Values]:
    decay = about.weight_decay if objective == "total" else 0.0
    norms = found.norms
    exact = np.zeros(len(groups.names))
    mean_squares = np.array([piece @ piece for piece in groups.split(norms.mean_gradient)])
    noise_of_parameters = norms.mean_squared_norm - mean_squares
    decayed = np.array([each.has_decay for each in groups.parameters])
    noise_trace = groups.sums(noise_of_parameters)
    hessian_noise = found.noise.value + decay * groups.sums(noise_of_parameters * decayed)
    gradient = groups.squared_norms(norms.mean_gradient + decay * groups.decayed_values)
    curvatures = found.gradient_curvatures
    curvature = curvatures[objective if objective in curvatures else "data"]
    yield _Values("hessian_noise_trace", PROBES_METHOD, hessian_noise, found.noise.stderr)
    yield _Values("gradient_noise_trace", "per_example_exact", noise_trace, exact)
    yield _Values("gradient_norm_squared", "mean_gradient", gradient, exact)
    yield _Values("gradient_curvature", "hessian_vector_product", curvature, exact)
    with np.errstate(divide="ignore", invalid="ignore"):
        simple = noise_trace[:1] / gradient[:1]
        scale = hessian_noise[:1] / curvature[:1]
        scale_stderr = found.noise.stderr[:1] / np.abs(curvature[:1])
    yield _Values("simple_noise_scale", "per_example_exact", simple, exact[:1])
    yield _Values("noise_scale", PROBES_METHOD, scale, scale_stderr)
