"""From a spec to a data set or its facts, and what a plugin must return."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from workers.contract.errors import UserError
from workers.contract.specs import PluginSpec
from workers.datasets import cifar10, synthetic
from workers.datasets.checked.loading import dataset_facts, load_dataset
from workers.datasets.cifar10 import Cifar10Spec
from workers.datasets.digits import DigitsSpec
from workers.datasets.synthetic import SyntheticSpec

ROOT = Path(__file__).parents[4]

PLUGIN = '''
"""Two spirals."""
import numpy as np
from workers.contract.errors import user_error
from workers.datasets.dataset import Dataset, Split, digest_of, one_hot


def load(settings, data_dir):
    """A user's data set: settings and folder come from the sweep and the command line."""
    count = settings["count"]
    turn = np.linspace(0, 6, count, dtype=np.float32)
    points = np.stack([turn * np.cos(turn), turn * np.sin(turn)], axis=1)
    split = Split(np.concatenate([points, -points]), one_hot(np.repeat([0, 1], count), 2))
    return Dataset(split, split, np.zeros((), np.float32), np.ones((), np.float32),
                   is_classification=True, digest=digest_of(split, split))


def wrong(settings, data_dir):
    return [1, 2, 3]


def broken(settings, data_dir):
    raise RuntimeError("a mistake in the plugin")


def without():
    pass


def told(settings, data_dir):
    raise user_error("no spirals", where="here", mend="draw some")


number = 3
'''


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Put a module of the user's own on the import path."""
    (tmp_path / "my_spirals.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    yield "my_spirals"
    sys.modules.pop("my_spirals", None)


@pytest.mark.parametrize(
    "spec", [DigitsSpec(), SyntheticSpec(task="linear"), SyntheticSpec(task="softmax")]
)
def test_facts_are_those_of_the_loaded_data_set(spec):
    """First from the data, then from the cache, both times the same."""
    dataset = load_dataset(spec, None)
    for _ in range(2):
        facts = dataset_facts(spec, None)
        assert facts.digest == dataset.digest
        assert (facts.num_train, facts.num_test) == (len(dataset.train), len(dataset.test))
        assert facts.num_outputs == dataset.num_outputs
        assert facts.is_classification == dataset.is_classification
        assert facts.input_shape == dataset.input_shape


def test_a_second_plan_decodes_nothing(small_cifar10, tmp_path, monkeypatch):
    """Facts of CIFAR-10 are kept by path, size and time; num_train is applied afterwards."""
    small_cifar10.write_binary(tmp_path)
    first = dataset_facts(Cifar10Spec(), str(tmp_path))
    monkeypatch.setattr(cifar10, "decode", None)
    monkeypatch.setattr(cifar10.cache, "decoded_splits", None)
    assert dataset_facts(Cifar10Spec(), str(tmp_path)) == first
    cut = dataset_facts(Cifar10Spec(num_train=3), str(tmp_path))
    assert cut == first.model_copy(update={"num_train": 3})


def test_facts_of_digits_need_no_scikit_learn_the_second_time(cache):
    """A fresh process that finds the facts imports neither scikit-learn nor TensorFlow nor Pillow."""
    dataset_facts(DigitsSpec(), None)
    code = (
        "import sys; from workers.datasets.checked.loading import dataset_facts\n"
        "from workers.datasets.digits import DigitsSpec\n"
        "dataset_facts(DigitsSpec(), None)\n"
        "print([name for name in ('sklearn', 'tensorflow', 'PIL', 'pandas') if name in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MINIMA_CACHE": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"digest": 1}'])
def test_damaged_facts_are_made_anew(content, cache):
    """Nothing is believed that does not fit."""
    facts = dataset_facts(DigitsSpec(), None)
    (path,) = (cache / "facts").iterdir()
    path.write_text(content)
    assert dataset_facts(DigitsSpec(), None) == facts
    assert json.loads(path.read_text())["digest"] == facts.digest


def test_too_large_a_num_train_is_a_fault_of_the_plan():
    """A planner hears of it before anything starts."""
    with pytest.raises(UserError, match="num_train is 2,000, but the data set has 1,437"):
        dataset_facts(DigitsSpec(num_train=2000), None)


def test_a_plugin_gives_a_data_set_of_the_users_own(plugin):
    """It is called with its settings and the folder, and its facts follow from what it returns."""
    spec = PluginSpec(name=f"{plugin}:load", settings={"count": 5})
    assert len(load_dataset(spec, None).train) == 10
    facts = dataset_facts(spec, None)
    assert (facts.num_train, facts.num_outputs, facts.input_shape) == (10, 2, (2,))


@pytest.mark.parametrize(
    ("attribute", "fault"),
    [("wrong", "returned list, not a Dataset"), ("number", "is int, not a function")],
)
def test_a_plugin_of_another_kind_is_a_fault(attribute, fault, plugin):
    """The message names the class to return and the arguments to take."""
    with pytest.raises(UserError) as caught:
        load_dataset(PluginSpec(name=f"{plugin}:{attribute}"), None)
    assert str(caught.value) == (
        f"the data set '{plugin}:{attribute}' {fault}\n"
        "  where: dataset.name\n"
        "  mend:  return a workers.datasets.dataset.Dataset from a function of (settings, data_dir)"
    )


@pytest.mark.parametrize(
    ("attribute", "cause"),
    [
        ("broken", "RuntimeError: a mistake in the plugin"),
        ("load", "KeyError: 'count'"),
        ("without", "TypeError: without() takes 0 positional arguments but 2 were given"),
    ],
)
def test_a_mistake_inside_a_plugin_is_told_with_its_cause(attribute, cause, plugin):
    """Whatever it raises, or when it does not take the two arguments."""
    with pytest.raises(UserError) as caught:
        load_dataset(PluginSpec(name=f"{plugin}:{attribute}"), None)
    assert str(caught.value) == (
        f"the data set '{plugin}:{attribute}' cannot be loaded: {cause}\n"
        "  where: dataset.name\n"
        "  mend:  mend the function, which is called with (settings, data_dir)"
    )


def test_a_plugin_may_tell_a_fault_itself(plugin):
    """Its own UserError passes as it is."""
    with pytest.raises(UserError) as caught:
        load_dataset(PluginSpec(name=f"{plugin}:told"), None)
    assert str(caught.value) == "no spirals\n  where: here\n  mend:  draw some"


def test_data_larger_than_memory_are_a_fault(monkeypatch):
    """Of a built-in data set too, with NumPy's words."""

    def fail(spec, data_dir):
        raise MemoryError("Unable to allocate 7 TiB")

    monkeypatch.setattr(synthetic, "load", fail)
    with pytest.raises(UserError) as caught:
        load_dataset(SyntheticSpec(task="linear"), None)
    assert str(caught.value) == (
        "the data set 'synthetic' cannot be loaded: MemoryError: Unable to allocate 7 TiB\n"
        "  where: dataset.name\n"
        "  mend:  give a smaller data set"
    )


def test_a_plugin_that_is_not_installed_is_a_fault():
    """The cure is to install it."""
    with pytest.raises(
        UserError,
        match="cannot be imported: ModuleNotFoundError: No module named 'no_such_package'",
    ):
        load_dataset(PluginSpec(name="no_such_package:load"), None)
