"""`spectrum`: spectral measures of H by Lanczos quadrature, of Rademacher and of gradient-noise vectors."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from workers.contract.records import Measurement, SpectrumNode
from workers.contract.settings import SpectrumKind
from workers.numerics import lanczos
from workers.numerics.estimators import rademacher_signs
from workers.numerics.lanczos import Quadrature, Tridiagonal
from workers.numerics.probes import StoppingRule, mean_of_probes
from workers.resumable.passes import Passes, State
from workers.statistics.measuring.context import MeasurementContext
from workers.statistics.measuring.curvature import Curvature
from workers.statistics.measuring.frozen_network import FrozenNetwork
from workers.statistics.measuring.groups import groups_of
from workers.statistics.measuring.split_rows import SplitRows
from workers.statistics.measuring.subset import Subset
from workers.statistics.noise.noise_vectors import NoiseVectors

if TYPE_CHECKING:
    from workers.statistics.spectrum import SpectrumSpec

Array = npt.NDArray[np.float64]
Spectra = dict[SpectrumKind, list[Quadrature]]
"""The draws of each kind."""

LEAST_DRAWS_FOR_ERROR = 64
"""Below, Student's interval covers less than it says, so no standard error is given."""

_STARTS = 0x51C9
"""Stream of the signs: other than those of the other statistics, which share the default seed."""


def measure(
    context: MeasurementContext, settings: SpectrumSpec
) -> list[Measurement | SpectrumNode]:
    """Measure nodes λ and weights ω of each draw, and the moments of their mean over draws.

    H = ∇²L of the objective, over the split or a random subset of it, batch norm frozen. Each draw
    is `num_steps` of Lanczos from a start w, so Σ ω f(λ) = wᵀf(H)w, exactly for polynomials up to
    degree 2·num_steps - 1.

    Kind `hessian`: w Rademacher, ‖w‖² = P, E[wwᵀ] = I: the mean over draws estimates tr f(H), and
    gives `hessian_trace` = E Σ ω λ and `hessian_frobenius_squared` = E Σ ω λ².
    Kind `noise`: w = N^(-1/2) Σ ε_i (g_i - ḡ) over the whole split, ε Rademacher, E[wwᵀ] = σ²: it
    estimates tr(σ² f(H)), and gives `gradient_noise_trace` = E Σ ω = E‖w‖² and
    `hessian_noise_trace` = E Σ ω λ. Weight decay has no part in σ².

    All unbiased over the draws. `num_samples` counts draws; a `stderr` is given from 64 draws on, as
    fewer are too few to tell. `cost_gradients` counts 3 for a product (over a subset its share of
    the split), 1 for ḡ and for each noise vector. The population statistics of batch norm are taken
    once a trial, not counted. Resumable after each batch; the basis takes memory, see `lanczos.Tridiagonal`.

    Raises:
        UserError: The network cannot be measured, or the subset is larger than the split.
        Drained: A stop was asked for; what was done has been saved.
    """
    subset, [name] = Subset.of(context, settings), settings.splits
    num_params = groups_of(context.model).num_params
    passes = Passes(context.partials, _num_examples(settings, subset, num_params))
    frozen = FrozenNetwork.of(context, settings.bn_mode, settings.splits, passes)
    started = time.perf_counter()
    groups, split = groups_of(frozen.network), frozen.splits[name]
    risk = frozen.risk(context.loss)
    decay = context.weight_decay(settings.objective) * groups.is_decayed
    curvature = Curvature(risk, split, subset.places(name), decay, passes)
    seed = context.seed(settings.probe_seed)
    noise = NoiseVectors(risk, split, seed, passes)
    run = _SpectrumRun(settings, seed, curvature, noise, passes)
    spectra: Spectra = {kind: run.draws(place) for place, kind in enumerate(settings.kinds)}
    cost = _cost_gradients(settings, subset, spectra)
    about = SplitRows(name, settings.bn_mode, cost, time.perf_counter() - started)
    return [*_nodes(spectra), *_rows(about, settings, subset, spectra)]


@dataclass(frozen=True)
class _SpectrumRun:
    """The draws over one split.

    Attributes:
        settings: Of the statistic.
        seed: Of the draws.
        curvature: H.
        noise: Draws noise vectors.
        passes: Runs products and draws.
    """

    settings: SpectrumSpec
    seed: int
    curvature: Curvature
    noise: NoiseVectors
    passes: Passes

    def draws(self, place: int) -> list[Quadrature]:
        """Draw all quadratures of the kind at a place in the settings."""
        kind, num_draws = self.settings.kinds[place], self.settings.num_draws
        if kind == "noise":
            self.noise.mean_gradient()

        def draw(number: int) -> Array:
            start = self.noise.draw(number) if kind == "noise" else self._signs(number)
            return _padded(self._quadrature(start, place * num_draws + number), self._num_steps)

        rule = StoppingRule(num_draws, None, num_draws)
        per_draw = self._num_steps * self.curvature.num_examples
        per_draw += self.noise.num_examples if kind == "noise" else 0
        return [_unpadded(row) for row in self.passes.probe(f"{kind}_draws", draw, rule, per_draw)]

    @property
    def _num_steps(self) -> int:
        return _num_steps(self.settings, self.curvature.num_params)

    def _signs(self, number: int) -> Array:
        shape = (self.curvature.num_params,)
        signs = rademacher_signs(self.seed, _STARTS, np.array([number]), shape)
        start: Array = signs[0].astype(np.float64)
        return start

    def _quadrature(self, start: Array, repetition: int) -> Quadrature:
        """Take Lanczos steps from one start; a start of 0 has the measure 0."""
        squared_norm = float(start @ start)
        if not squared_norm:
            return Quadrature(np.zeros(1), np.zeros(1))
        first_repetition = repetition * self._num_steps

        def product(vector: Array, number: int) -> Array:
            return self.curvature.product(vector, first_repetition + number)

        def step(state: State) -> State:
            return lanczos.advance(Tridiagonal(**state), product)._asdict()

        def is_done(state: State) -> bool:
            space = Tridiagonal(**state)
            return space.num_steps == self._num_steps or space.is_invariant

        begun = lanczos.begin(start)._asdict()
        num_examples = self.curvature.num_examples
        found = self.passes.iterate(
            "lanczos", step, begun, is_done, num_examples, repetition=repetition
        )
        return lanczos.quadrature(Tridiagonal(**found), squared_norm)


def _num_steps(settings: SpectrumSpec, num_params: int) -> int:
    return min(settings.num_steps, num_params)


def _num_examples(settings: SpectrumSpec, subset: Subset, num_params: int) -> int:
    """Count the examples of all passes, for the progress."""
    [split] = settings.splits
    num_products = len(settings.kinds) * settings.num_draws * _num_steps(settings, num_params)
    products = num_products * subset.num_examples(split)
    return products + _num_gradients(settings) * subset.split_sizes[split]


def _num_gradients(settings: SpectrumSpec) -> int:
    """Count the passes for ḡ and the noise vectors."""
    return 1 + settings.num_draws if "noise" in settings.kinds else 0


def _cost_gradients(settings: SpectrumSpec, subset: Subset, spectra: Spectra) -> float:
    num_products = sum(len(found.nodes) for draws in spectra.values() for found in draws)
    return subset.cost_gradients(settings.splits[0], num_products) + _num_gradients(settings)


def _padded(found: Quadrature, num_nodes: int) -> Array:
    """Return nodes, then weights [2 M]; those that a smaller space does not have are not numbers."""
    missing = (0, num_nodes - len(found.nodes))
    return np.concatenate([np.pad(each, missing, constant_values=np.nan) for each in found])


def _unpadded(row: Array) -> Quadrature:
    nodes, weights = np.split(row, 2)
    there = ~np.isnan(nodes)
    return Quadrature(nodes[there], weights[there])


def _nodes(spectra: Spectra) -> Iterator[SpectrumNode]:
    for kind, draws in spectra.items():
        for number, found in enumerate(draws):
            for node, weight in zip(*found, strict=True):
                yield SpectrumNode(kind=kind, draw=number, node=float(node), weight=float(weight))


_MOMENTS: dict[SpectrumKind, dict[str, int]] = {
    "hessian": {"hessian_trace": 1, "hessian_frobenius_squared": 2},
    "noise": {"gradient_noise_trace": 0, "hessian_noise_trace": 1},
}
"""Degree of the moment that each quantity is."""


def _rows(
    about: SplitRows, settings: SpectrumSpec, subset: Subset, spectra: Spectra
) -> Iterator[Measurement]:
    method, objective = subset.method("lanczos_quadrature"), settings.objective
    for kind, draws in spectra.items():
        for quantity, degree in _MOMENTS[kind].items():
            value, stderr = _mean_moment(draws, degree)
            yield about.row(
                quantity, method, value, stderr, objective=objective, num_samples=len(draws)
            )


def _mean_moment(draws: list[Quadrature], degree: int) -> tuple[float, float | None]:
    moments = np.array([found.weights @ found.nodes**degree for found in draws])
    if len(moments) < LEAST_DRAWS_FOR_ERROR:
        return float(moments.mean()), None
    found = mean_of_probes(moments[:, None])
    return float(found.value[0]), float(found.stderr[0])
