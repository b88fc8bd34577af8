"""The example package of the README: each piece against a computation of its own, and the whole road."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

from workers.attempts.kept_model import build_model, from_bytes, to_bytes
from workers.contract.specs import PluginSpec, TrainingSpec, TrialSpec
from workers.datasets.checked import dataset_faults
from workers.datasets.checked.loading import load_dataset
from workers.losses import loss_faults
from workers.network.graph import is_piecewise_linear
from workers.network.weights import digest_of_weights
from workers.statistics.measuring.context import MeasurementContext

HERE = Path(__file__).resolve().parent
HOME = HERE.parents[1]
MODEL = PluginSpec(name="my_package.nets:build", settings={"width": 3})
DATA = PluginSpec(name="my_package.data:load", settings={"num_classes": 3})


@pytest.fixture(autouse=True)
def _package(monkeypatch):
    """As if the package were installed."""
    monkeypatch.syspath_prepend(str(HERE))


@pytest.fixture
def dataset():
    """The digits 0, 1 and 2, loaded as a worker does."""
    return load_dataset(DATA, None)


def piece(module: str, name: str):
    return getattr(importlib.import_module(f"my_package.{module}"), name)


def make_trial(seed: int = 0, model=MODEL) -> TrialSpec:
    return TrialSpec(
        model=model, dataset=DATA, data_digest="d", loss="my_package.losses:SmoothedCrossEntropy",
        training=TrainingSpec(epochs=1), batch_size=10, learning_rate=0.1, seed=seed,
    )  # fmt: skip


def test_the_network_is_the_seeds_alone_and_can_be_kept(dataset):
    """Same seed, same weights, read back too; another seed, others; softplus is smooth."""
    first, again, other = (build_model(make_trial(seed), dataset, "float32") for seed in (0, 0, 1))
    assert digest_of_weights(first) == digest_of_weights(again) != digest_of_weights(other)
    assert digest_of_weights(from_bytes(to_bytes(first), make_trial())) == digest_of_weights(first)
    assert not is_piecewise_linear(first)


def test_the_network_computes_what_it_says(dataset):
    """A convolution written out, normalised by its initial moving statistics 0 and 1."""
    model = build_model(make_trial(), dataset, "float32")
    kernel, gamma, beta, mean, variance, matrix, bias = model.get_weights()
    image = np.random.default_rng(0).normal(size=(8, 8, 1)).astype(np.float32)
    patches = np.lib.stride_tricks.sliding_window_view(image[..., 0], (3, 3))
    values = np.einsum("xyij,ijc->xyc", patches, kernel[:, :, 0])
    values = gamma * (values - mean) / np.sqrt(variance + 1e-3) + beta
    expected = np.log1p(np.exp(values)).mean(axis=(0, 1)) @ matrix + bias
    found = model(image[None], training=False)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_the_data_are_the_digits_that_were_asked_for(dataset):
    """Every fourth for testing, in their order, without a fault; other settings, another digest."""
    assert dataset_faults.faults_of(dataset) == []
    bunch = load_digits()
    images = bunch.images[bunch.target < 3]
    np.testing.assert_array_equal(dataset.test.inputs[..., 0], images[3::4])
    assert len(dataset.train) + len(dataset.test) == len(images)
    labels = bunch.target[bunch.target < 3]
    np.testing.assert_array_equal(dataset.test.targets.argmax(axis=1), labels[3::4])
    others = load_dataset(DATA.model_copy(update={"settings": {"num_classes": 4}}), None)
    assert others.digest != dataset.digest


def test_the_loss_is_that_of_keras(dataset):
    """Cross-entropy of raw outputs with a label smoothing of 0.1."""
    loss = piece("losses", "SmoothedCrossEntropy")()
    targets = dataset.train.targets[:20]
    outputs = np.random.default_rng(0).normal(0, 3, targets.shape).astype(np.float32)
    keras_loss = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=0.1, reduction=None
    )
    found = loss.per_example(tf.constant(outputs), tf.constant(targets))
    np.testing.assert_allclose(found, keras_loss(targets, outputs), rtol=1e-5)


def test_the_loss_hessian_is_that_of_central_differences():
    """In float64, and no fault is found in it."""
    loss = piece("losses", "SmoothedCrossEntropy")()
    targets = np.eye(3)[[0, 1, 2, 1]]
    outputs = np.random.default_rng(0).normal(size=targets.shape)
    step = 1e-4

    def value(shift: np.ndarray) -> np.ndarray:
        return loss.per_example(tf.constant(outputs + shift), tf.constant(targets)).numpy()

    steps = step * np.eye(3)
    differences = [
        [value(a + b) - value(a - b) - value(b - a) + value(-a - b) for b in steps] for a in steps
    ]
    expected = np.moveaxis(np.array(differences), -1, 0) / (4 * step**2)
    found = loss.output_hessian(tf.constant(outputs), tf.constant(targets))
    np.testing.assert_allclose(found, expected, atol=1e-6)  # rounding 1e-16 / step² is 1e-8
    assert loss_faults.faults_of(loss, "own", targets.astype(np.float32)) == []


class NoPartials:
    """Keeps nothing."""

    def restore(self, key):
        return None

    def advance(self, key, partial, done, total):
        assert done <= total


def measured(dataset, split: str) -> list:
    model = build_model(make_trial(), dataset, "float32")
    loss = piece("losses", "SmoothedCrossEntropy")()
    context = MeasurementContext(model, dataset, loss, make_trial(), NoPartials())
    return model, piece("measures", "measure")(context, {"split": split})


def test_the_statistic_is_the_brier_score_of_each_class(dataset):
    """Of one batch that is the whole training set: frozen statistics are those of training mode."""
    few = dataset.__class__(
        dataset.train.first(200), dataset.test, dataset.offset, dataset.scale,
        is_classification=True, digest=dataset.digest,
    )  # fmt: skip
    model, rows = measured(few, "train")
    inputs = (few.train.inputs.astype(np.float32) - 5) / 6
    exponentials = np.exp(np.asarray(model(inputs, training=True), np.float64))
    shares = exponentials / exponentials.sum(axis=1, keepdims=True)
    scores = np.square(shares - few.train.targets).sum(axis=1)
    labels = few.train.targets.argmax(axis=1)
    for index, row in enumerate(rows):
        assert row.value == pytest.approx(scores[labels == index].mean(), rel=1e-5)
        assert (row.index, row.stderr, row.split) == (index, 0.0, "train")
        assert row.num_samples == (labels == index).sum()


def test_a_class_without_examples_is_told(dataset):
    """No value, and the reason."""
    test = dataset.test.first(1)
    few = dataset.__class__(
        dataset.train, test, dataset.offset, dataset.scale,
        is_classification=True, digest=dataset.digest,
    )  # fmt: skip
    _, rows = measured(few, "test")
    present = int(test.targets.argmax())
    for row in rows:
        is_there = row.index == present
        assert (row.value is not None) == is_there
        reason = None if is_there else f"no example of class {row.index} in the split"
        assert row.skipped_reason == reason


def minima(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Run the command where the example package can be imported."""
    path = os.pathsep.join([str(HOME), str(HERE)])
    environment = os.environ | {"PYTHONPATH": path, "COLUMNS": "200"}
    environment.pop("RAY_ADDRESS", None)
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "orchestrator", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    return ended.returncode, ended.stdout, ended.stderr


@pytest.mark.slow
def test_the_whole_road_with_all_four(tmp_path):
    """Trained, measured and asked for by SQL; the same command again does nothing."""
    sweep = str(HERE / "smooth.yaml")
    code, out, err = minima(tmp_path, "run", sweep)
    assert code == 0, err
    assert "2 of 2 trials done" in out
    sql = (
        'SELECT "index", num_seeds, mean, stderr FROM cell_measurements '
        "WHERE quantity = 'brier_score' ORDER BY 1"
    )
    code, out, err = minima(tmp_path, "query", sql, "--json")
    assert code == 0, err
    rows = json.loads(out)
    assert [row["index"] for row in rows] == [0, 1, 2, 3]
    for row in rows:
        assert row["num_seeds"] == 2
        assert 0 < row["mean"] < 2
        assert row["stderr"] > 0
    # classes of nearly one size: on average better than four equal shares, (3/4)² + 3/16
    assert sum(row["mean"] for row in rows) / 4 < 0.75
    sql = (
        "SELECT DISTINCT method FROM measurements "
        "WHERE quantity = 'hessian_trace' AND value > 0 AND stderr > 0"
    )
    code, out, err = minima(tmp_path, "query", sql, "--json")
    assert json.loads(out) == [{"method": "hessian_vector_rademacher_1"}]

    attempts = sorted((tmp_path / "minima-store" / "attempts").iterdir())
    code, out, err = minima(tmp_path, "run", sweep)
    assert code == 0, err
    assert "2 of 2 trials done" in out
    assert sorted((tmp_path / "minima-store" / "attempts").iterdir()) == attempts
