"""Hold the cost of our tr σ² and tr H against PyHessian, curvlinops, BackPACK and nngeometry.

    python tests/benchmarks/peer_cost.py [--weights kept.keras] [--num-images 3000] [--threads 1]

Needs the extra `oracles` and CIFAR-10. One run, one network with the same weights in Keras and in
PyTorch, the same images, machine and threads: a ResNet-20 trained briefly on them, population
statistics of batch norm in evaluation mode. Our pass with one column an example is run with several seeds
against the exact value (all columns), which gives its true error; every peer is charged what it needs
for tr H alone at that error. Hutchinson's error falls as products^-1/2; that of XTrace and Hutch++ is
taken to fall as 1/products, the fastest their theory promises, in their favour. Times alternate, batch
by batch, and are medians for an image, taken times N; what a peer needs in all is extrapolated from
them and from the spread of its estimates, marked ≈. Costs in gradients count in the fastest gradient
of the peer's own framework.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path.insert(0, str(Path(__file__).parents[2]))

import keras
import numpy as np
import tensorflow as tf
import torch
from measurement_cost import REPLICATE_SHARE, NoPartials, batch_moments, fastest_gradient, images
from peer_calls import (
    PeerCall,
    RecordedHessian,
    Spread,
    make_twin_factory,
    peer_calls,
    peer_spreads,
)
from short_training import trained_resnet

from workers.losses.kld import KullbackLeibler
from workers.network.batch_norm import copy_network, freeze
from workers.network.resident import ResidentSplit, make_resident
from workers.network.risk import Risk
from workers.per_example.compiled import CompiledNorms
from workers.per_example.dissection import dissect
from workers.process.built import Built
from workers.process.environment import prepare
from workers.resumable.keeping import SharedInMemory
from workers.resumable.passes import Passes
from workers.statistics.measuring.groups import Groups
from workers.statistics.norms.trace_passes import NormsPass

RATES = {"Hutchinson": 0.5, "XTrace": 1.0, "Hutch++": 1.0}


def main() -> None:
    """Print the table."""
    options = _options()
    prepare(options.threads, uses_gpu=False)
    torch.set_num_threads(options.threads)
    dataset, source = images(options.num_images)
    model = trained_resnet(
        dataset, depth=options.depth, epochs=options.epochs, kept=options.weights
    )
    train = make_resident(dataset.train, dataset)
    network = copy_network(model)
    freeze(
        network, "frozen", lambda: train, Passes(NoPartials(), 0), SharedInMemory(), built=Built()
    )
    print(f"ResNet-{options.depth}, N = {len(train)} {source}, {options.threads} thread(s)")
    ours = _our_error(network, train, options.seeds)
    probed = dataset.train.first(options.num_probe_images)
    spreads = _peer_errors(network, make_resident(probed, dataset), options)
    seconds = _seconds_per_image(network, model, train, options)
    _print_table(ours, spreads, seconds, len(train))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, help="file to keep the trained network in")
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--num-images", type=int, default=3000, help="N")
    parser.add_argument("--num-probe-images", type=int, default=1000, help="for the peers' spreads")
    parser.add_argument("--seeds", type=int, default=4, help="of our columns")
    parser.add_argument("--products", type=int, default=12, help="of each XTrace and Hutch++")
    parser.add_argument("--repeats", type=int, default=2, help="of each XTrace and Hutch++")
    parser.add_argument("--rounds", type=int, default=5, help="of alternating times")
    parser.add_argument("--batch-size", type=int, default=100, help="of all that is timed")
    parser.add_argument(
        "--diagonal-batch-size", type=int, default=25, help="of the exact diagonals"
    )
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


@dataclass(frozen=True)
class OurError:
    """Relative errors of one pass with one column an example; true over seeds, and as stated."""

    true: float
    stated: float
    num_seeds: int


def _norms_pass(
    network: keras.Model, split: ResidentSplit, seed: int, num_columns: int | None
) -> NormsPass:
    dissection = dissect(network)
    norms = CompiledNorms(dissection, KullbackLeibler(), num_columns)
    return NormsPass("train", norms, Groups(dissection.parameters), split, seed)


def _exact_trace(network: keras.Model, split: ResidentSplit) -> float:
    found = _norms_pass(network, split, 0, None).run(Passes(NoPartials(), len(split)))
    return float(found.curvatures[:, 0].mean())


def _our_error(network: keras.Model, train: ResidentSplit, num_seeds: int) -> OurError:
    exact = _exact_trace(network, train)
    num_replicates = round(REPLICATE_SHARE * len(train))
    first = _norms_pass(network, train, 0, 1)
    estimates = []
    for seed in range(num_seeds):
        norms_pass = NormsPass(first.name, first.norms, first.groups, train, seed)
        passes = Passes(NoPartials(), len(train))
        estimates.append(norms_pass.replicate(passes, norms_pass.run(passes), num_replicates))
    values = np.array([each.value[0] for each in estimates])
    stated = np.mean([each.stderr[0] for each in estimates]) / exact
    true = float(np.sqrt(np.mean(np.square(values / exact - 1))))
    print(f"tr H = {exact:.5g} exactly; one column, {num_seeds} seeds: {np.round(values, 2)}")
    print(f"  true error {true:.2%} (root mean square), stated {stated:.2%}")
    return OurError(true, float(stated), num_seeds)


def _peer_errors(
    network: keras.Model, probed: ResidentSplit, options: argparse.Namespace
) -> dict[str, Spread]:
    size = options.batch_size
    cuts = [
        tf.range(start, min(start + size, len(probed))) for start in range(0, len(probed), size)
    ]
    operator = RecordedHessian(
        Risk(network, KullbackLeibler()), [probed.batch(cut) for cut in cuts]
    )
    exact = _exact_trace(network, probed)
    spreads = peer_spreads(operator, exact, num_products=options.products, repeats=options.repeats)
    print(f"peers' spreads on the first {len(probed)} images, where tr H = {exact:.5g}:")
    for name, spread in spreads.items():
        print(f"  {name}: {spread.error:.1%} at {spread.num_products}, {spread.num_estimates} runs")
    return spreads


def _seconds_per_image(
    network: keras.Model, model: keras.Model, train: ResidentSplit, options: argparse.Namespace
) -> dict[str, float]:
    """Time everything on the same batch, in turn; medians over the rounds."""
    size = options.batch_size
    x, y = train.batch(tf.range(size))
    _, gradient = fastest_gradient(network, dissect(network).network, (x, y))
    one, all_columns = (_norms_pass(network, train, 0, number).norms for number in (1, None))
    signs = np.ones((size, *one.signs_shape), np.float32)
    none = np.zeros((size, *all_columns.signs_shape), np.float32)
    moments = batch_moments(copy_network(model))
    calls = {
        "our gradient": PeerCall(
            lambda: [each.numpy() for each in keras.tree.flatten(gradient(x, y))], size
        ),
        "our pass": PeerCall(lambda: one(x, y, signs), size),
        "our exact pass": PeerCall(lambda: all_columns(x, y, none), size),
        "our batch norm": PeerCall(lambda: moments(x, y), size),
    }
    inputs = torch.tensor(np.ascontiguousarray(x.numpy().transpose(0, 3, 1, 2)))
    labels = torch.tensor(y.numpy().argmax(axis=1))
    few = options.diagonal_batch_size
    calls |= peer_calls(make_twin_factory(network), inputs, labels, few)
    for each in calls.values():
        each.call()
    rounds = [[each.seconds_per_image() for each in calls.values()] for _ in range(options.rounds)]
    return dict(zip(calls, np.median(rounds, axis=0), strict=True))


def _print_table(
    ours: OurError, spreads: dict[str, Spread], seconds: dict[str, float], num_images: int
) -> None:
    gradient = min(seconds["gradient"], seconds["gradient, channels last"])
    product = min(seconds["curvlinops product"], seconds["curvlinops products at once"])
    our_pass = (1 + REPLICATE_SHARE) * seconds["our pass"] + seconds["our batch norm"]
    needed = {name: spread.products_for(ours.true, RATES[name]) for name, spread in spreads.items()}
    print(f"\ngradient: {seconds['our gradient'] * 1e3:.2f} ms an image in TensorFlow, ", end="")
    print(f"{gradient * 1e3:.2f} ms in PyTorch; ratios are to our pass with one column")
    print(f"{'':47s} {'error':>6s} {'products':>9s} {'gradients':>10s} {'seconds':>9s}", end="")
    print(f" {'× grad.':>8s} {'× time':>8s}")
    our_gradients = our_pass / seconds["our gradient"]

    def row(name: str, error: float, products: float, per_image: float, unit: float) -> None:
        about = "≈" if products else " "
        count = f"{products:.0f}" if products else "-"
        gradients = per_image / unit
        print(
            f"{name:47s} {error:6.1%} {about}{count:>8s} {about}{gradients:9.1f}"
            f" {about}{per_image * num_images:8.1f} {gradients / our_gradients:8.1f}"
            f" {per_image / our_pass:8.1f}"
        )

    row("ours: tr σ² exact and tr H, one column", ours.true, 0, our_pass, seconds["our gradient"])
    exact = seconds["our exact pass"] + seconds["our batch norm"]
    row("ours: both exact, all columns", 0.0, 0, exact, seconds["our gradient"])
    for name, tool in (("Hutchinson", "PyHessian"), *((each, "curvlinops") for each in RATES)):
        each = seconds["PyHessian product"] if tool == "PyHessian" else product
        cost = needed[name] * each
        row(f"{tool}: tr H, {name}", ours.true, needed[name], cost, gradient)
    for tool in ("BackPACK", "nngeometry"):
        row(f"{tool}: tr H, exact diagonal", 0.0, 0, seconds[f"{tool} diagonal"], gradient)
    row("BackPACK: tr σ², per-example norms", 0.0, 0, seconds["BackPACK norms"], gradient)
    print("seconds: medians for an image, times N")
    for name, spread in spreads.items():
        spent = f"{spread.num_estimates} estimates of {spread.num_products} products"
        print(f"≈ {name}: extrapolated from {spent}, as products^-{RATES[name]}")


if __name__ == "__main__":
    main()
