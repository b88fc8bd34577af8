"""From the probes and norms of a split to the rows of `noise_curvature`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from workers.contract.records import Measurement
from workers.contract.settings import Objective
from workers.numerics.probes import Estimate, exact
from workers.statistics.measuring.groups import Groups
from workers.statistics.measuring.split_rows import SplitRows
from workers.statistics.norms.example_norms import ExampleNorms

Array = npt.NDArray[np.float64]

PROBES_METHOD = "sampled_pairs"
_NO_GRADIENT = "the gradient of the mean loss vanishes, so that the scale has no finite value"


class MeasuredNoise(NamedTuple):
    """The measurements of one split.

    Attributes:
        norms: The norms of its examples.
        noise: tr(σ²H) of the data objective, by group.
        num_probes: The number of probes behind it.
        gradient_curvatures: ∇LᵀH∇L [G] by objective; includes `total` when weights decay.
    """

    norms: ExampleNorms
    noise: Estimate
    num_probes: int
    gradient_curvatures: Mapping[str, Array]


class _NoiseValues(NamedTuple):
    """The quantities of one objective, by group [G].

    Attributes:
        hessian_noise: tr(σ²H), estimated; the others are exact.
        noise: tr σ².
        gradient: ‖∇L‖².
        curvature: ∇LᵀH∇L.
    """

    hessian_noise: Estimate
    noise: Estimate
    gradient: Estimate
    curvature: Estimate


def rows(
    about: SplitRows, groups: Groups, found: MeasuredNoise, weight_decay: float
) -> list[Measurement]:
    """Return a row for each quantity, objective and group; noise scales of the whole model alone.

    Args:
        about: The split.
        groups: The groups of parameters.
        found: The measurements of the split.
        weight_decay: That of the objective `total`.
    """
    objectives: dict[Objective, float] = {"data": 0.0, "total": weight_decay}
    made: list[Measurement] = []
    for objective, decay in objectives.items():
        values = _values(groups, found, objective, decay)
        made += _quantities(about, groups, found, objective, values)
        made += _scales(about, found, objective, values)
    return made


def _values(
    groups: Groups, found: MeasuredNoise, objective: Objective, decay: float
) -> _NoiseValues:
    norms, curvatures = found.norms, found.gradient_curvatures
    mean_squares = np.array([piece @ piece for piece in groups.split(norms.mean_gradient)])
    noise_of_parameters = norms.mean_squared_norm - mean_squares
    decayed = np.array([each.has_decay for each in groups.parameters])
    hessian_noise = found.noise.value + decay * groups.sums(noise_of_parameters * decayed)
    return _NoiseValues(
        Estimate(hessian_noise, found.noise.stderr),
        exact(groups.sums(noise_of_parameters)),
        exact(groups.squared_norms(norms.mean_gradient + decay * groups.decayed_values)),
        exact(curvatures[objective if objective in curvatures else "data"]),
    )


def _quantities(
    about: SplitRows,
    groups: Groups,
    found: MeasuredNoise,
    objective: Objective,
    values: _NoiseValues,
) -> Iterator[Measurement]:
    num_examples = len(found.norms.gradient_norms)
    for quantity, method, each, num_samples in (
        ("hessian_noise_trace", PROBES_METHOD, values.hessian_noise, found.num_probes),
        ("gradient_noise_trace", "per_example_exact", values.noise, num_examples),
        ("gradient_norm_squared", "mean_gradient", values.gradient, num_examples),
        ("gradient_curvature", "hessian_vector_product", values.curvature, num_examples),
    ):
        yield from about.of_groups(
            quantity, method, each, groups, objective=objective, num_samples=num_samples
        )


def _scales(
    about: SplitRows, found: MeasuredNoise, objective: Objective, values: _NoiseValues
) -> Iterator[Measurement]:
    """Yield the ratios of the whole model, or why there are none."""
    num_examples = len(found.norms.gradient_norms)
    for quantity, method, above, below, num_samples in (
        ("simple_noise_scale", "per_example_exact", values.noise, values.gradient, num_examples),
        ("noise_scale", PROBES_METHOD, values.hessian_noise, values.curvature, found.num_probes),
    ):
        with np.errstate(divide="ignore", invalid="ignore"):
            value = above.value[0] / below.value[0]
            stderr = above.stderr[0] / np.abs(below.value[0])
        is_finite = bool(np.isfinite(value))
        yield about.row(
            quantity,
            method,
            value if is_finite else None,
            stderr if is_finite else None,
            objective=objective,
            num_samples=num_samples,
            skipped_reason=None if is_finite else _NO_GRADIENT,
        )
