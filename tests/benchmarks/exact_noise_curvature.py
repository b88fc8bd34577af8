"""Hold `noise_curvature` against tr(σ²H) of a trained ResNet, summed direction by direction.

    python tests/benchmarks/exact_noise_curvature.py [--model kept.keras] [--num-images 500]

With C [N, P] the centred gradients of single examples, C = Σ_k s_k u_k w_kᵀ its singular value
decomposition and H the Hessian of all N examples, batch norm frozen at their statistics,

    tr(σ²H) = (1/N) Σ_i c_iᵀHc_i = (1/N) Σ_k s_k² w_kᵀHw_k,

one product of the whole Hessian for each of the N - 1 directions, from the largest s_k on. Every gradient
is taken on its own by plain differentiation, every product by reverse over reverse: nothing is
sampled, and nothing of `workers.per_example` is used. It may stop early, when the directions left, with
|wᵀHw| at most |λ|max, the largest Ritz value of Lanczos on H in magnitude, are below `--rest` of the sum.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[2]))

import keras
import numpy as np
import tensorflow as tf
from measurement_cost import NoPartials, images
from short_training import short_trial, trained_resnet

from workers.datasets.dataset import Dataset
from workers.losses.kld import KullbackLeibler
from workers.network.batch_norm import copy_network, freeze
from workers.network.resident import make_resident
from workers.network.risk import Risk
from workers.numerics import lanczos
from workers.process.built import Built
from workers.process.environment import prepare
from workers.resumable.keeping import SharedInMemory
from workers.resumable.passes import Passes
from workers.statistics import noise_curvature
from workers.statistics.measuring.context import MeasurementContext
from workers.statistics.measuring.groups import Groups, groups_of
from workers.statistics.noise_curvature import NoiseCurvatureSpec

BAR = 3.0
"""Of |z|, the whole model's."""

BATCH_SIZE = 100


def main() -> None:
    """Print the statistic beside the sum."""
    options = _options()
    prepare(options.threads, uses_gpu=False)
    dataset, source = images(options.num_images)
    model = trained_resnet(dataset, depth=options.depth, epochs=options.epochs, kept=options.model)
    print(f"ResNet-{options.depth}, N = {len(dataset.train)} {source}, their own statistics")
    subject = Subject.frozen(model, dataset)
    print(f"  mean loss {subject.risk.loss(subject.batches):.4g}")
    started = time.perf_counter()
    found = measured(model, dataset, options)
    seconds = time.perf_counter() - started
    print(f"  noise_curvature, {options.probes} probes: {seconds:.0f} s", flush=True)
    exact = exact_shares(subject, options.rest)
    print_table(subject.groups, exact, found)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="a kept network; trained and kept if not there")
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--num-images", type=int, default=500, help="N")
    parser.add_argument("--probes", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0, help="of the probes")
    parser.add_argument("--rest", type=float, default=0.001, help="0 for every direction")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


@dataclass(frozen=True)
class Subject:
    """The frozen network and its data."""

    risk: Risk
    groups: Groups
    batches: list[tuple[tf.Tensor, tf.Tensor]]

    @classmethod
    def frozen(
        cls, model: keras.Model, dataset: Dataset, *, batch_size: int = BATCH_SIZE
    ) -> Subject:
        """Take the statistics of batch norm over all examples."""
        network, train = copy_network(model), make_resident(dataset.train, dataset)
        freeze(
            network,
            "frozen",
            lambda: train,
            Passes(NoPartials(), 0),
            SharedInMemory(),
            built=Built(),
        )
        groups = groups_of(network)
        risk = Risk(network, KullbackLeibler(), [each.variable for each in groups.parameters])
        cuts = np.split(np.arange(len(train)), range(batch_size, len(train), batch_size))
        return cls(risk, groups, [train.batch(tf.constant(cut)) for cut in cuts])

    def product(self, vector: np.ndarray, _: int = 0) -> np.ndarray:
        """Give Hv [P]."""
        return self.risk.hessian_vector_product(self.batches, vector)

    def centred_gradients(self) -> np.ndarray:
        """Give C [N, P]."""
        singles = (
            (x[place : place + 1], y[place : place + 1])
            for x, y in self.batches
            for place in range(len(x))
        )
        gradients = np.array([self.risk.gradient([single]) for single in singles])
        return gradients - gradients.mean(axis=0)


class Directions(NamedTuple):
    """s_k w_k / √N, from the largest on, each computed when asked for."""

    masses: np.ndarray
    vectors: Iterator[np.ndarray]


def directions_of(centred: np.ndarray) -> Directions:
    """Decompose CCᵀ/N; with its eigenvectors u_k, s_k w_k = Cᵀu_k."""
    num_examples = len(centred)
    masses, left = np.linalg.eigh(centred @ centred.T / num_examples)
    masses, left = masses[:0:-1], left[:, :0:-1]  # the smallest is 0: the gradients are centred
    vectors = (each @ centred / np.sqrt(num_examples) for each in left.T)
    return Directions(masses, vectors)


def exact_shares(subject: Subject, rest: float) -> np.ndarray:
    """Give tr(σ²H) [G] by group, the whole model first."""
    largest = largest_magnitude(subject) if rest else np.inf
    found = directions_of(subject.centred_gradients())
    left = found.masses.sum() - np.cumsum(found.masses)
    total, started = np.zeros(len(subject.groups.names)), time.perf_counter()
    for number, vector in enumerate(found.vectors):
        total += subject.groups.inner_products(vector, subject.product(vector))
        bound = (
            largest * left[number] / abs(total[0]) if rest else left[number] / found.masses.sum()
        )
        if number % 20 == 0:
            seconds = time.perf_counter() - started
            print(f"  {number + 1:4d} products, {seconds:5.0f} s: {total[0]:.6g}", end="")
            print(f"; left at most {bound:.2g}", flush=True)
        if rest and bound < rest:
            break
    print(
        f"  tr σ² = {found.masses.sum():.6g}; {number + 1} of {len(found.masses)} directions,",
        end="",
    )
    print(f" {1 - left[number] / found.masses.sum():.4%} of it", end="")
    print(f"; the others add at most {bound:.2%} of tr(σ²H)" if rest else "")
    return total


def largest_magnitude(subject: Subject, num_steps: int = 20) -> float:
    """Give |λ|max as Lanczos sees it, with its last off-diagonal entry added."""
    start = np.random.default_rng(0).normal(size=subject.risk.num_params)
    space = lanczos.begin(start)
    for _ in range(num_steps):
        space = lanczos.advance(space, subject.product)
    values = lanczos.largest(space, num_steps)
    place = int(np.abs(values.values).argmax())
    found = float(abs(values.values[place]) + values.residual_norms[place])
    print(f"  |λ|max = {found:.5g}, its residual norm {values.residual_norms[place]:.1g} in it")
    return found


def measured(
    model: keras.Model, dataset: Dataset, options: argparse.Namespace
) -> dict[str | None, tuple[float, float]]:
    """Give value and error of the statistic by layer."""
    trial = short_trial(dataset, depth=options.depth, epochs=options.epochs)
    context = MeasurementContext(model, dataset, KullbackLeibler(), trial, NoPartials())
    settings = NoiseCurvatureSpec(num_probes=options.probes, probe_seed=options.seed)
    rows = noise_curvature.measure(context, settings)
    return {
        row.layer: (row.value, row.stderr)
        for row in rows
        if (row.quantity, row.objective) == ("hessian_noise_trace", "data")
    }


def print_table(
    groups: Groups, exact: np.ndarray, found: dict[str | None, tuple[float, float]]
) -> None:
    """Print z by layer, and the verdict on the whole model's."""
    print(f"\n{'':28s} {'exact':>11s} {'measured':>11s} {'stderr':>9s} {'z':>6s}")
    scores = {}
    for layer, value in zip(groups.names, exact, strict=True):
        estimate, stderr = found[layer]
        scores[layer] = (estimate - value) / stderr
        name = layer or "whole model"
        print(f"{name:28s} {value:11.5g} {estimate:11.5g} {stderr:9.2g} {scores[layer]:6.2f}")
    of_layers = np.array([score for layer, score in scores.items() if layer])
    print(f"{len(of_layers)} layers: mean square of z {np.mean(of_layers**2):.2f}", end="")
    print(f", largest |z| {np.abs(of_layers).max():.2f}")
    verdict = "met" if abs(scores[None]) <= BAR else "MISSED"
    print(f"bar of |z| <= {BAR:.0f} for the whole model: {verdict} with {scores[None]:.2f}")


if __name__ == "__main__":
    main()
