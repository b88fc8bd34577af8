"""One file is all that a built-in loss, model, data set or statistic takes; shown on a copy of the packages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ITEMS = {
    "workers/losses/log_cosh.py": '''
from workers.contract.items import LossItem

class LogCosh(LossItem):
    """The sum of log cosh(z - y) over outputs."""

    name = "log_cosh"
    is_convex_in_outputs = True

    def per_example(self, outputs, targets):
        import tensorflow as tf

        distance = outputs - tf.cast(targets, outputs.dtype)
        return tf.reduce_sum(tf.math.log(tf.math.cosh(distance)), -1)

    def output_hessian(self, outputs, targets):
        import tensorflow as tf

        distance = outputs - tf.cast(targets, outputs.dtype)
        return tf.linalg.diag(1 - tf.square(tf.tanh(distance)))

ITEM = LogCosh
''',
    "workers/models/narrow.py": '''
from typing import Literal
from workers.contract.items import ModelItem

class NarrowSpec(ModelItem):
    """One hidden layer of tanh units."""

    name: Literal["narrow"] = "narrow"
    width: int = 3

    def multiply_adds(self, input_shape, num_outputs):
        return float(self.width * (input_shape[0] + num_outputs))

def build(spec, input_shape, num_outputs, seed):
    import keras

    start = keras.initializers.GlorotUniform(seed)
    inputs = keras.Input(input_shape)
    values = keras.layers.Dense(spec.width, "tanh", kernel_initializer=start)(inputs)
    return keras.Model(inputs, keras.layers.Dense(num_outputs)(values))

ITEM = NarrowSpec
''',
    "workers/datasets/sine.py": '''
from typing import Literal
import numpy as np
from workers.contract.items import DatasetItem
from workers.datasets.dataset import Dataset, Split, digest_of

class SineSpec(DatasetItem):
    """Points on a sine."""

    name: Literal["sine"] = "sine"
    num_train: int = 60

def load(spec, data_dir):
    inputs = np.linspace(-3, 3, spec.num_train + 20, dtype=np.float32)[:, None]
    train, test = (Split(each, np.sin(each)) for each in (inputs[20:], inputs[:20]))
    zero, one = np.zeros(1, np.float32), np.ones(1, np.float32)
    return Dataset(train, test, zero, one, is_classification=False, digest=digest_of(train, test))

ITEM = SineSpec
''',
    "workers/statistics/largest_weight.py": '''
from typing import Literal
from workers.contract.items import StatisticItem
from workers.contract.quantity import Quantity

class LargestWeightSpec(StatisticItem):
    """The largest absolute weight, times a factor."""

    numerics_version = 1
    quantities = (
        Quantity("largest_weight", "max|θ|", "parameter", "Largest absolute weight."),
        "parameter_norm_squared",
    )
    needs_spread = False
    name: Literal["largest_weight"] = "largest_weight"
    factor: float = 1.0

def measure(context, settings):
    import numpy as np
    from workers.contract.records import Measurement

    params = np.concatenate([each.ravel() for each in context.model.get_weights()])
    values = {"largest_weight": settings.factor * abs(params).max(),
              "parameter_norm_squared": params @ params}
    return [Measurement(quantity=name, value=float(value), stderr=0.0, num_samples=1,
                        method="exact", bn_mode="frozen", split="train", objective="data")
            for name, value in values.items()]

ITEM = LargestWeightSpec
''',
}
SWEEP = """
name: sine
model: {name: narrow, width: 4}
dataset: {name: sine}
loss: log_cosh
grid: {batch_size: [20], learning_rate: [0.05]}
seeds: 1
training: {epochs: 2}
measure: [{name: largest_weight, factor: 2.0}]
"""
SAID = """
import json, sys
from workers.contract.quantities import GLOSSARY
from workers.contract.columns import column_facts
facts = column_facts("cells", "largest_weight_mean")
print(json.dumps([GLOSSARY["largest_weight"].meaning, facts.unit, facts.meaning,
                  sorted({"tensorflow", "keras", "ray"} & set(sys.modules))]))
"""


class Copy:
    """The three packages and four files more; the command runs from them."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        for name, text in ITEMS.items():
            (home / name).write_text(text)
        (folder / "sine.yaml").write_text(SWEEP)
        self.environment = os.environ | {
            "PYTHONPATH": str(home),
            "MINIMA_CACHE": str(folder / "cache"),
            "COLUMNS": "200",
        }

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Python where only the copy is found."""
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def minima(self, *arguments: str) -> str:
        """Return what the command prints; it must succeed."""
        done = self.python("-m", "orchestrator", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory, copy_packages) -> Copy:
    folder = tmp_path_factory.mktemp("one-file")
    return Copy(folder, copy_packages(folder / "copy"))


@pytest.mark.slow
def test_a_file_each_is_trained_measured_and_shown(copy):
    """It is planned with its cost, the store has the values, `cells` its column with unit and meaning."""

    def planned(sweep: str) -> dict[str, object]:
        return json.loads(copy.minima("plan", sweep, "--json"))

    before = planned("sine.yaml")
    assert before["cells"][0]["to_train"] == 1
    assert before["seconds_left"] == pytest.approx(8, abs=0.1)  # two attempts, and some nothing
    copy.minima(
        "trial", "sine.yaml", "--batch-size", "20", "--learning-rate", "0.05", "--seed", "0"
    )
    copy.minima("aggregate", "sine.yaml")

    (copy.folder / "twice.yaml").write_text(SWEEP.replace("factor: 2.0", "factor: 3.0"))
    assert planned("sine.yaml")["num_done"] == 1
    assert planned("twice.yaml")["cells"][0]["to_measure"] == 1  # its settings are in its identity

    def query(sql: str) -> list[dict[str, object]]:
        return json.loads(copy.minima("query", sql, "--format", "json"))

    (trial,) = query("SELECT model, dataset, loss, num_params FROM trials")
    assert trial == {"model": "narrow", "dataset": "sine", "loss": "log_cosh", "num_params": 13}
    rows = query("SELECT quantity, value, unit, statistic FROM measurements ORDER BY quantity")
    assert [(row["quantity"], row["unit"]) for row in rows] == [
        ("largest_weight", "parameter"),
        ("parameter_norm_squared", "parameter²"),
    ]
    assert {row["statistic"] for row in rows} == {"largest_weight"}
    (cell,) = query("SELECT largest_weight_mean, parameter_norm_squared_mean FROM cells")
    assert list(cell.values()) == [row["value"] for row in rows]
    said = copy.python("-c", SAID)
    assert json.loads(said.stdout) == [
        "Largest absolute weight.",
        "parameter",
        "Mean over seeds of max|θ|: Largest absolute weight.",
        [],
    ], said.stderr


@pytest.mark.slow
def test_a_misspelt_name_is_answered_with_the_new_ones(copy):
    """Of every kind, all at once; and settings are checked as those of any item."""
    text = SWEEP.replace("narrow", "narow").replace("{name: sine}", "{name: sines}")
    text = text.replace("log_cosh", "log_cos").replace(
        "largest_weight, factor", "bigest_weight, factor"
    )
    (copy.folder / "misspelt.yaml").write_text(text)
    done = copy.python("-m", "orchestrator", "plan", "misspelt.yaml")
    assert done.returncode == 2
    for mend in (
        "did you mean 'narrow'? Known: mlp, narrow, resnet.",
        "did you mean 'sine'? Known: cifar10, digits, sine, synthetic.",
        "did you mean 'log_cosh'? Known: gradlog_l1, gradlog_l2, kld, log_cosh, squared_error.",
        "did you mean 'largest_weight'? Known: batch_noise, fork, hessian, largest_weight, losses,",
    ):
        assert mend in done.stderr
    (copy.folder / "wrong.yaml").write_text(SWEEP.replace("width: 4", "width: wide"))
    done = copy.python("-m", "orchestrator", "plan", "wrong.yaml")
    assert done.stderr.endswith(
        "width is 'wide', not a whole number\n  where: wrong.yaml, model.width\n"
        "  mend:  give a whole number\n"
    )
