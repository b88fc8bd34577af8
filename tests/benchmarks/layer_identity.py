"""Hold tr H by Hessian-vector products against tr H by first derivatives, layer by layer, on a trained ResNet.

    python tests/benchmarks/layer_identity.py [--model kept.keras] [--num-images 100] [--seeds 20]

With batch norm frozen and rectifiers, every layer's tr H is tr(JᵀAJ): `traces` gives it exactly from all
columns, without a second derivative. Against it stands Hutchinson's estimate, with a fresh probe for each
small batch in every sweep over the images: for each seed a mean of sweeps and its own stated error.
Under the identity the z-scores of all seeds and layers have mean square U'/(U' - 2) with U' = sweeps - 1.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
from exact_noise_curvature import Subject
from measurement_cost import NoPartials, images
from short_training import short_trial, trained_resnet

from workers.losses.kld import KullbackLeibler
from workers.numerics.estimators import rademacher_signs
from workers.numerics.probes import Estimate, mean_of_probes
from workers.process.environment import prepare
from workers.statistics import traces
from workers.statistics.measuring.context import MeasurementContext
from workers.statistics.traces import TracesSpec

LOW, HIGH = 0.8, 1.25
"""Of the mean square of z."""

BAR = 4.5
"""Of the largest |z|."""


def main() -> None:
    """Print z by layer, and the verdict."""
    options = _options()
    prepare(options.threads, uses_gpu=False)
    dataset, source = images(options.num_images)
    model = trained_resnet(dataset, depth=options.depth, epochs=options.epochs, kept=options.model)
    subject = Subject.frozen(model, dataset, batch_size=options.batch_size)
    print(
        f"ResNet-{options.depth}, N = {len(dataset.train)} {source}, their own statistics;", end=""
    )
    print(f" mean loss {subject.risk.loss(subject.batches):.4g}", flush=True)
    trial = short_trial(dataset, depth=options.depth, epochs=options.epochs)
    context = MeasurementContext(model, dataset, KullbackLeibler(), trial, NoPartials())
    exact = {
        row.layer: row.value
        for row in traces.measure(context, TracesSpec(columns="exact"))
        if (row.quantity, row.objective) == ("hessian_trace", "data")
    }
    truth = np.array([exact[name] for name in subject.groups.names])
    print(f"  tr H = {truth[0]:.6g} by all columns", flush=True)
    estimates = [_estimate(subject, seed, options.sweeps) for seed in range(options.seeds)]
    _print_table(subject.groups.names, truth, estimates)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="a kept network; trained and kept if not there")
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--num-images", type=int, default=100, help="N")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--sweeps", type=int, default=32, help="over all images, for each seed")
    parser.add_argument(
        "--batch-size", type=int, default=25, help="of the images that share a probe"
    )
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def _estimate(subject: Subject, seed: int, num_sweeps: int) -> Estimate:
    started = time.perf_counter()
    found = mean_of_probes(np.array([_sweep(subject, seed, each) for each in range(num_sweeps)]))
    seconds = time.perf_counter() - started
    print(
        f"  seed {seed:2d}: {found.value[0]:.6g} ± {found.stderr[0]:.2g}, {seconds:.0f} s",
        flush=True,
    )
    return found


def _sweep(subject: Subject, seed: int, number: int) -> np.ndarray:
    """Give (1/N) Σ_b v_bᵀ(Σ_{i ∈ b} H_i)v_b [G], a fresh v_b for each batch."""
    units = np.arange(len(subject.batches))
    signs = rademacher_signs(seed, number, units, (subject.risk.num_params,)).astype(np.float64)
    products = [
        subject.groups.inner_products(v, subject.risk.batch_hessian_vector_product(*batch, v))
        for v, batch in zip(signs, subject.batches, strict=True)
    ]
    return np.sum(products, axis=0) / sum(len(x) for x, _ in subject.batches)


def _print_table(names: list[str | None], truth: np.ndarray, estimates: list[Estimate]) -> None:
    values, stderrs = (np.array(each) for each in zip(*estimates, strict=True))
    scores = (values - truth) / stderrs
    pooled = (values.mean(0) - truth) / (values.std(0, ddof=1) / np.sqrt(len(values)))
    print(
        f"\n{'':28s} {'exact':>11s} {'mean':>11s} {'stderr':>9s} {'z pooled':>9s} {'mean z²':>8s}"
    )
    for place, name in enumerate(names):
        print(
            f"{name or 'whole model':28s} {truth[place]:11.5g} {values[:, place].mean():11.5g}",
            end="",
        )
        error = values[:, place].std(ddof=1) / np.sqrt(len(values))
        print(f" {error:9.2g} {pooled[place]:9.2f} {np.mean(scores[:, place] ** 2):8.2f}")
    of_layers = scores[:, 1:]
    mean_square, largest = np.mean(of_layers**2), np.abs(of_layers).max()
    print(f"{of_layers.size} z-scores of {len(values)} seeds and {len(names) - 1} layers: ", end="")
    print(f"mean {of_layers.mean():.3f}, mean square {mean_square:.3f}, largest |z| {largest:.2f}")
    is_met = LOW <= mean_square <= HIGH and largest <= BAR
    print(f"bars of {LOW}-{HIGH} and {BAR}: {'met' if is_met else 'MISSED'}")


if __name__ == "__main__":
    main()
