"""A data set of the user's own is refused, with the cure, where its arrays cannot be trained on."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from workers.contract.errors import UserError
from workers.contract.specs import PluginSpec
from workers.datasets.checked.dataset_faults import faults_of
from workers.datasets.checked.loading import load_dataset
from workers.datasets.dataset import Dataset, Split, one_hot
from workers.datasets.digits import DigitsSpec


def sound(num_train: int = 6) -> Dataset:
    """Six training and three test examples of two features in three classes."""
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(num_train + 3, 2)).astype(np.float32)
    targets = one_hot(np.arange(num_train + 3) % 3, 3)
    return Dataset(
        Split(inputs[:num_train], targets[:num_train]),
        Split(inputs[num_train:], targets[num_train:]),
        np.zeros(2, np.float32),
        np.ones(2, np.float32),
        is_classification=True,
        digest="d",
    )


def with_train(**arrays) -> Dataset:
    """The sound data with other training arrays."""
    dataset = sound()
    return dataclasses.replace(dataset, train=dataclasses.replace(dataset.train, **arrays))


def changed(array: np.ndarray, place: tuple[int, int], value: float) -> np.ndarray:
    """A copy with one value changed."""
    copy = array.copy()
    copy[place] = value
    return copy


INPUTS, TARGETS = sound().train.inputs, sound().train.targets
BROKEN = {
    "float64": (
        with_train(inputs=INPUTS.astype(np.float64)),
        "the training inputs are float64 of shape (6, 2), not uint8 or float32 [examples, …]",
        "convert them, such as with inputs.astype(np.float32)",
    ),
    "no arrays": (
        with_train(inputs=[[1.0, 2.0]] * 6),
        "the training inputs are list, not uint8 or float32 [examples, …]",
        "convert them, such as with inputs.astype(np.float32)",
    ),
    "labels": (
        with_train(targets=np.arange(6)),
        "the training targets are int64 of shape (6,), not float32 [examples, outputs]",
        "give one-hot labels (workers.datasets.dataset.one_hot), or regression targets",
    ),
    "lengths": (
        with_train(targets=TARGETS[:5]),
        "the training split has 6 inputs and 5 targets",
        "give at least one example, and a target for each",
    ),
    "no split": (
        dataclasses.replace(sound(), test=None),
        "the test split is NoneType, not a Split",
        "give workers.datasets.dataset.Split(inputs, targets)",
    ),
    "empty": (
        dataclasses.replace(sound(), test=Split(INPUTS[:0], TARGETS[:0])),
        "the test split has 0 inputs and 0 targets",
        "give at least one example, and a target for each",
    ),
    "shapes": (
        dataclasses.replace(sound(), test=Split(INPUTS[:, :1], TARGETS)),
        "training inputs have the shape (2,), test inputs (1,)",
        "give both splits examples of one shape",
    ),
    "offset": (
        dataclasses.replace(sound(), offset=np.zeros(3, np.float32)),
        "offset is float32 of shape (3,), which does not normalise (2,)",
        "give a float32 array that broadcasts to one example, such as [channels]",
    ),
    "scale": (
        dataclasses.replace(sound(), scale=np.float32([1, np.inf])),
        "scale holds values that are not finite numbers",
        "a feature that never varies has no deviation: scale it by 1",
    ),
    "digest": (
        dataclasses.replace(sound(), digest=None),
        "the digest is None, not text",
        "give workers.datasets.dataset.digest_of(train, test)",
    ),
    "classification": (
        dataclasses.replace(sound(), is_classification="yes"),
        "is_classification is 'yes', not True or False",
        "say True where targets are one-hot labels",
    ),
    "NaN": (
        with_train(inputs=changed(INPUTS, (4, 1), np.nan)),
        "inputs of 1 of 6 training examples (the first is number 4) are not finite numbers",
        "remove these examples, or fill their gaps",
    ),
    "infinite targets": (
        with_train(targets=changed(TARGETS, (0, 0), np.inf)),
        "targets of 1 of 6 training examples (the first is number 0) are not finite numbers",
        "remove these examples, or fill their gaps",
    ),
    "smoothed": (
        with_train(targets=TARGETS * np.float32(0.9) + np.float32(1 / 30)),
        "targets of 6 of 6 training examples (the first is number 0) are not one-hot labels",
        "give rows with a single 1 (workers.datasets.dataset.one_hot), or say is_classification=False",
    ),
    "two labels": (
        with_train(targets=changed(TARGETS, (3, 1), 1.0)),
        "targets of 1 of 6 training examples (the first is number 3) are not one-hot labels",
        "give rows with a single 1 (workers.datasets.dataset.one_hot), or say is_classification=False",
    ),
    "one class": (
        with_train(targets=one_hot(np.full(6, 2), 3)),
        "all 6 training examples are of class 2",
        "use more of the data, or shuffle them before they are cut",
    ),
}


@pytest.mark.parametrize(("dataset", "what", "mend"), BROKEN.values(), ids=BROKEN)
def test_each_fault_is_told_with_its_cure(dataset, what, mend):
    """One fault, one message, with the value seen."""
    [fault] = faults_of(dataset)
    assert (fault.what, fault.where, fault.mend) == (what, "dataset", mend)


def test_sound_data_have_none():
    """Pixels and features, labels and regression targets, one example to train on."""
    assert faults_of(sound()) == []
    pixels = Split(INPUTS.astype(np.uint8), TARGETS)
    assert faults_of(dataclasses.replace(sound(), train=pixels)) == []
    distances = dataclasses.replace(with_train(targets=TARGETS * 3), is_classification=False)
    assert faults_of(distances) == []


def test_both_splits_faults_are_told_at_once():
    """Not the first alone."""
    gaps = Split(changed(INPUTS, (0, 0), np.nan), TARGETS)
    found = faults_of(dataclasses.replace(sound(), train=gaps, test=gaps))
    assert [fault.what.split()[5] for fault in found] == ["training", "test"]


PLUGIN = """
import numpy as np
from workers.datasets.dataset import Dataset, Split

def load(settings, data_dir):
    split = Split(np.full((4, 2), np.nan, np.float32), np.eye(4, 2, dtype=np.float32))
    return Dataset(split, split, np.float32(0), np.float32(1), True, "d")
"""


def test_loading_refuses_them(tmp_path, monkeypatch):
    """A plugin's data and built-in ones cut to one class alike, on the planner and on every worker."""
    (tmp_path / "data_with_gaps.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UserError, match="inputs of 4 of 4 training examples"):
        load_dataset(PluginSpec(name="data_with_gaps:load"), None)
    with pytest.raises(UserError, match="all 1 training examples are of class 1"):
        load_dataset(DigitsSpec(num_train=1), None)
