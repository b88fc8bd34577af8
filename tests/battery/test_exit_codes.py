"""The command on bad and good inputs: 2 with the sentence for a person, 0 with the plan, never a traceback."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestrator import cli

SWEEP = (Path(__file__).parent / "small.yaml").read_text()
CIFAR10 = ("--set", "dataset={name: cifar10}")


@pytest.fixture
def minima(tmp_path, monkeypatch, capfd):
    """Run the command in a folder with a sweep and three folders of data: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINIMA_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    (tmp_path / "a.yaml").write_text(SWEEP)
    for folder, names in {
        "one": ("train.parquet", "test-0-of-1.parquet"),
        "twice": ("train.parquet", "train-00000-of-00001.parquet", "test.parquet"),
        "stray": ("train.parquet", "train (copy).parquet", "test.parquet"),
    }.items():
        (tmp_path / folder).mkdir()
        for name in names:
            write(tmp_path / folder / name)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["minima", *arguments])
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        assert not (tmp_path / "minima-store").exists()
        return left.value.code, out, err

    return call


def write(path) -> None:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path.with_suffix(".png"))
    image = path.with_suffix(".png").read_bytes()
    labels = [0] * 40 + [1] * 20
    pq.write_table(pa.table({"image": pa.array([image] * 60), "label": labels}), path)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--set", "resources.gpus=1:2"], "gpus is 1:2"),
        (["--set", "loss={name: kld}"], "mend:  write loss: kld"),
        (["--set", "grid.learning_rate=[0.1, 0.10000000000000002]"], "which tables show alike"),
        (["--set", "grid.learning_rate=[{{ lr }}]"], "mend:  a template was left in"),
        (["--set", "seeds=" + "9" * 5000], "a number of 5,000 characters"),
        (["--set", "seeds=10000", "--set", "grid.learning_rate=[.1, .2, .3, .4, .5, .6, .7, .8, .9, 1, 2]"], "110,000 trials"),
        ([*CIFAR10, "--data-dir", "twice"], "holds files of 2 namings for the train split"),
        ([*CIFAR10, "--data-dir", "stray"], "holds train (copy).parquet, which belongs to no split"),
        ([*CIFAR10, "--data-dir", "one", "--set", "dataset.num_train=40"], "all 40 training examples are of class 0"),
        ([*CIFAR10, "--data-dir", "one", "--set", "dataset.num_train=61"], "num_train is 61, but the data set has 60"),
        ([*CIFAR10, "--data-dir", "/dev/zero"], "/dev/zero is not a folder"),
        ([*CIFAR10, "--data-dir", "a.yaml"], "a.yaml is not a folder"),
        ([*CIFAR10, "--data-dir", "."], "holds more than one data set of Parquet files"),
    ],
)  # fmt: skip
def test_bad_input_leaves_2_with_the_sentence(arguments, told, minima):
    """On standard error; the store is not made."""
    code, out, err = minima("plan", "a.yaml", *arguments)
    assert (code, out) == (2, "")
    assert told in err


@pytest.mark.parametrize(
    ("arguments", "sizes", "line"),
    [
        ([], (100, 50), "data: 100 training and 50 test examples of digits\n"),
        (["--set", "grid.batch_size=[016]"], (100, 50), " 16 "),
        (["--set", "name=2024-01-01"], (100, 50), "2024-01-01: 0 of 1 trials done"),
        (
            [*CIFAR10, "--data-dir", "one", "--set", "dataset.num_train=50"], (50, 60),
            "data: 50 training and 60 test examples of cifar10; not the whole of cifar10: "
            "its files hold 60 and 60 examples, not 50,000 and 10,000\n",
        ),
    ],
)  # fmt: skip
def test_a_plan_shows_how_many_examples_there_are(arguments, sizes, line, minima):
    """For a person and in the JSON document; a CIFAR-10 that is not the whole is told as such."""
    code, out, _ = minima("plan", "a.yaml", *arguments)
    assert code == 0
    assert line in out
    code, out, _ = minima("plan", "a.yaml", *arguments, "--json")
    document = json.loads(out)
    assert (document["num_train"], document["num_test"]) == sizes
