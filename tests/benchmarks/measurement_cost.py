"""Time `traces` with one column against the fastest compiled gradient of the same batches.

    python tests/benchmarks/measurement_cost.py [--num-images 2000] [--depth 56] [--batch-size 100]
        [--peers …]

Prints what the statistic costs in gradients, and the standard error of tr H it reached. The bar is 3
gradients for the whole: the fused pass over all examples, and second columns for as many of them as by
default at the paper's size. On a line of its own stand batch norm's statistics, which a trial takes
once for all its statistics, where the activations of all stages fit in memory (1 GiB); else each stage
goes through the network from its inputs. The gradient is that of a network with frozen batch norm, in the
fastest of four compiled forms: as Keras runs it, or with batch norm folded into the convolutions, each
with and without XLA. Timings alternate, batch by batch; ratios are medians over batches.

With `--peers`, which takes the options of `peer_cost.py` after it, the table of that script follows: what
tr σ² and tr H cost at equal error with PyHessian, curvlinops, BackPACK and nngeometry.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[2]))

import keras
import numpy as np
import tensorflow as tf

from workers.datasets import cifar10
from workers.datasets.cifar10 import Cifar10Spec
from workers.datasets.dataset import Dataset, Split, one_hot
from workers.losses.kld import KullbackLeibler
from workers.models.resnet import ResNetSpec, build
from workers.network.batch_norm import copy_network, freeze
from workers.network.batch_norm_stages import StageMoments, stages_of
from workers.network.graph import graph_of
from workers.network.resident import make_resident
from workers.per_example.compiled import CompiledNorms
from workers.per_example.dissection import dissect
from workers.process.built import Built
from workers.resumable.keeping import Partial, SharedInMemory
from workers.resumable.passes import Passes
from workers.statistics.measuring.groups import Groups
from workers.statistics.norms.trace_passes import NormsPass

BAR = 3.0
REPLICATE_SHARE = 2000 / 50_000
"""Second columns for 2,000 examples of 50,000: the default, at the size of the paper's training set."""

Function = Callable[[tf.Tensor, tf.Tensor], object]


class NoPartials:
    """Keeps nothing; the passes run through."""

    def restore(self, key: str) -> Partial | None:
        return None

    def advance(self, key: str, partial: Partial, done: int, total: int) -> None:
        pass


def main() -> None:
    """Print the table."""
    options = _options()
    dataset, source = images(options.num_images)
    print(f"ResNet-{options.depth}, {len(dataset.train)} {source}, batches of {options.batch_size}")
    model = build(ResNetSpec(depth=options.depth), (32, 32, 3), 10, seed=0)
    train = make_resident(dataset.train, dataset)
    network = copy_network(model)
    freeze(
        network, "frozen", lambda: train, Passes(NoPartials(), 0), SharedInMemory(), built=Built()
    )
    dissection = dissect(network)
    norms = CompiledNorms(dissection, KullbackLeibler(), num_columns=1)
    batches = [
        train.batch(tf.range(start, start + options.batch_size))
        for start in range(0, len(train), options.batch_size)
    ]
    name, gradient = fastest_gradient(network, dissection.network, batches[0])
    signs = np.ones((options.batch_size, *norms.signs_shape), np.float32)
    seconds = alternate(
        {
            "gradient": gradient,
            "fused": lambda x, y: norms(x, y, signs),
            "batch norm": batch_moments(copy_network(model)),
        },
        batches,
    )
    _print_costs(name, seconds)
    norms_pass = NormsPass("train", norms, Groups(dissection.parameters), train, probe_seed=0)
    _print_error(norms_pass, len(train))
    if options.peers is not None:
        script = str(Path(__file__).with_name("peer_cost.py"))
        subprocess.run([sys.executable, "-u", script, *options.peers], check=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--num-images", type=int, default=2000)
    parser.add_argument("--depth", type=int, default=56)
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--peers", nargs=argparse.REMAINDER, help="options of peer_cost.py")
    return parser.parse_args()


def images(num_images: int) -> tuple[Dataset, str]:
    folder = os.environ.get("MINIMA_CIFAR10_DIR")
    folder = folder or str(Path(__file__).parents[3] / "shared" / "data" / "cifar10")
    if Path(folder).is_dir():
        return cifar10.load(Cifar10Spec(num_train=num_images), folder), "CIFAR-10 images"
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (num_images, 32, 32, 3)).astype(np.uint8)
    split = Split(pixels, one_hot(generator.integers(0, 10, num_images), 10))
    offset, scale = np.full(3, 128, np.float32), np.full(3, 1 / 64, np.float32)
    return Dataset(split, split, offset, scale, is_classification=True, digest=""), "random images"


def fastest_gradient(
    network: keras.Model,
    folded: keras.Model,
    batch: tuple[tf.Tensor, tf.Tensor],
    *,
    tries_xla: bool = True,
) -> tuple[str, Function]:
    """Choose by the best of three runs each."""
    loss = KullbackLeibler()

    def compiled(model: keras.Model, *, is_folded: bool, uses_xla: bool) -> Function:
        params = [variable.value for variable in model.trainable_variables]

        def gradient(x: tf.Tensor, y: tf.Tensor) -> list[tf.Tensor]:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(params)
                outputs = model(x, training=False)
                mean = tf.reduce_mean(loss.per_example(outputs[0] if is_folded else outputs, y))
            return tape.gradient(mean, params)

        return tf.function(gradient, jit_compile=uses_xla, autograph=False)

    found = {}
    for uses_xla in (False, True)[: 1 + tries_xla]:
        for is_folded, model in ((False, network), (True, folded)):
            name = f"{'folded' if is_folded else 'keras'}{', XLA' if uses_xla else ''}"
            function = compiled(model, is_folded=is_folded, uses_xla=uses_xla)
            function(*batch)
            best = min(_time(function, batch) for _ in range(3))
            print(f"  gradient, {name:12s} {best * 1e3:8.1f} ms")
            found[name] = (best, function)
    name = min(found, key=lambda each: found[each][0])
    return name, found[name][1]


def batch_moments(network: keras.Model) -> Function:
    """Take the moments of one batch stage by stage, its activations kept in between."""
    stages = stages_of(graph_of(network, opens_nested=True))
    moments = StageMoments(stages)
    return lambda inputs, _: [moments.of(number, 0, inputs) for number in range(len(stages))]


def _time(function: Function, batch: tuple[tf.Tensor, tf.Tensor]) -> float:
    started = time.perf_counter()
    keras.tree.map_structure(np.asarray, function(*batch))  # waits for the results
    return time.perf_counter() - started


def alternate(
    functions: dict[str, Function], batches: list[tuple[tf.Tensor, tf.Tensor]]
) -> dict[str, np.ndarray]:
    for function in functions.values():
        function(*batches[0])
    rows = [[_time(function, batch) for function in functions.values()] for batch in batches]
    return dict(zip(functions, np.transpose(rows), strict=True))


def _print_costs(name: str, seconds: dict[str, np.ndarray]) -> None:
    gradient = seconds["gradient"]
    print(f"  the fastest is: {name}, median {np.median(gradient) * 1e3:.1f} ms a batch")
    fused = seconds["fused"] / gradient
    whole = fused * (1 + REPLICATE_SHARE)
    verdict = "met" if np.median(whole) <= BAR else "MISSED"
    print("  cost in gradients: median (quartiles)")
    _print_cost(fused, "fused pass")
    second = f"second columns for {REPLICATE_SHARE:.0%} of the examples"
    _print_cost(whole, f"whole `traces`, with {second}: bar of {BAR} {verdict}")
    _print_cost(seconds["batch norm"] / gradient, "once a trial: statistics of batch norm")


def _print_cost(ratios: np.ndarray, part: str) -> None:
    low, middle, high = np.percentile(ratios, [25, 50, 75])
    print(f"    {middle:5.2f} ({low:.2f}-{high:.2f})  {part}")


def _print_error(norms_pass: NormsPass, num_examples: int) -> None:
    passes = Passes(NoPartials(), num_examples)
    for size in (round(REPLICATE_SHARE * num_examples), num_examples):
        estimate = norms_pass.replicate(passes, norms_pass.run(passes), size)
        value, stderr = estimate.value[0], estimate.stderr[0]
        print(f"  tr H = {value:.4g} ± {stderr / value:.2%}, second columns for {size} examples")


if __name__ == "__main__":
    main()
