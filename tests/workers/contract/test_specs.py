"""Specs: what is accepted, what is refused, and the schedule they define."""

import json

import pytest
from pydantic import TypeAdapter, ValidationError

from workers.contract.specs import (
    ConvergenceSpec,
    DatasetSpec,
    ModelSpec,
    PluginSpec,
    TrainingSpec,
    TrialSpec,
)
from workers.datasets.cifar10 import Cifar10Spec
from workers.datasets.digits import DigitsSpec
from workers.datasets.synthetic import SyntheticSpec
from workers.models.mlp import MLPSpec
from workers.models.resnet import ResNetSpec

_MODEL: TypeAdapter = TypeAdapter(ModelSpec)
_DATASET: TypeAdapter = TypeAdapter(DatasetSpec)


@pytest.mark.parametrize(
    ("document", "spec"),
    [
        ({"name": "resnet", "depth": 56}, ResNetSpec(depth=56)),
        ({"name": "mlp", "hidden_units": [3, 4]}, MLPSpec(hidden_units=[3, 4])),
        ({"name": "my_nets:build"}, PluginSpec(name="my_nets:build")),
    ],
)
def test_models(document, spec):
    """Chosen by name; through JSON and back they stay the same."""
    assert _MODEL.validate_python(document) == spec
    assert _MODEL.validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("document", "spec"),
    [
        ({"name": "cifar10", "num_train": None}, Cifar10Spec()),
        ({"name": "digits", "num_train": 5}, DigitsSpec(num_train=5)),
        ({"name": "synthetic", "task": "linear"}, SyntheticSpec(task="linear")),
        (
            {"name": "a.b:load", "settings": {"x": 1}},
            PluginSpec(name="a.b:load", settings={"x": 1}),
        ),
    ],
)
def test_data_sets(document, spec):
    """Chosen by name; through JSON and back they stay the same."""
    assert _DATASET.validate_python(document) == spec
    assert _DATASET.validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize("depth", [8, 14, 20, 32, 44, 56, 110, 1202])
def test_depths_of_cifar_resnets(depth):
    """6n+2."""
    assert ResNetSpec(depth=depth).depth == depth


@pytest.mark.parametrize("depth", [2, 7, 9, 18, 34, 101, 1208])
def test_other_depths_are_refused(depth):
    """ImageNet's depths among them."""
    with pytest.raises(ValidationError):
        ResNetSpec(depth=depth)


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 0},
        {"epochs": 5.0},
        {"epochs": True},
        {"epochs": "5"},
        {"milestones": [4, 2]},
        {"milestones": [10]},
        {"milestones": [0]},
        {"decay": 0.0},
        {"decay": 1.5},
        {"momentum": 1.0},
        {"momentum": -0.1},
        {"weight_decay": -1e-4},
        {"weight_decay": float("nan")},
        {"convergence": {"relative_change": 0.0}},
        {"convergence": {"patience_epochs": 0}},
        {"precision": "float16"},
    ],
)
def test_training_out_of_range_is_refused(change):
    """Nothing is converted silently, and nothing is not finite."""
    with pytest.raises(ValidationError):
        TrainingSpec.model_validate({"epochs": 10} | change)


def test_defaults_are_those_released():
    """They stand for themselves in every identity, so they never change."""
    assert TrainingSpec(epochs=1).model_dump() == {
        "epochs": 1,
        "milestones": [],
        "decay": 0.1,
        "momentum": 0.0,
        "weight_decay": 0.0,
        "augmentation": "none",
        "sampler": "shuffle",
        "ragged_batch": "drop",
        "precision": "float32",
        "convergence": {
            "metric": "train_loss",
            "relative_change": 0.01,
            "patience_epochs": 5,
            "stop": False,
        },
    }
    assert ConvergenceSpec().model_dump() == TrainingSpec(epochs=1).model_dump()["convergence"]
    assert ResNetSpec(depth=8).variant == "he2015"
    assert MLPSpec().hidden_units == []
    assert Cifar10Spec().model_dump() == {
        "name": "cifar10",
        "num_train": None,
        "num_test": None,
        "normalisation": "per_channel",
    }
    assert DigitsSpec().num_train is None
    assert SyntheticSpec(task="linear").model_dump() == {
        "name": "synthetic",
        "task": "linear",
        "num_train": 1000,
        "num_test": 200,
        "num_features": 10,
        "num_classes": 3,
        "feature_decay": 1.0,
        "label_noise": 1.0,
        "data_seed": 0,
    }


def test_the_rate_falls_from_each_milestone_on():
    """η · decay^(milestones ≤ epoch), epochs counted from 0: the paper's 125 epochs at 0.1."""
    training = TrainingSpec(epochs=125, milestones=[60, 100], decay=0.5)
    rates = [training.learning_rate_at(epoch, 8.0) for epoch in (0, 59, 60, 99, 100, 124)]
    assert rates == [8.0, 8.0, 4.0, 4.0, 2.0, 2.0]


def test_a_trial_through_json_is_the_same_trial():
    """The way it reaches a worker; its last rate is that of the last epoch."""
    trial = TrialSpec(
        model=ResNetSpec(depth=8),
        dataset=DigitsSpec(),
        data_digest="d",
        loss="kld",
        training=TrainingSpec(epochs=3, milestones=[1, 2], decay=0.5),
        batch_size=10,
        learning_rate=0.4,
        seed=3,
    )
    assert TrialSpec.model_validate_json(trial.model_dump_json()) == trial
    assert TrialSpec.model_validate(json.loads(trial.model_dump_json())) == trial
    assert trial.final_learning_rate == 0.1


@pytest.mark.parametrize(
    "change",
    [
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"learning_rate": float("inf")},
        {"seed": -1},
        {"seed": 2**31},
        {"resources": {"gpus": 1}},
    ],
)
def test_a_trial_out_of_range_is_refused(change):
    """Resources are no part of it: they decide no weight."""
    sound = {
        "model": {"name": "mlp"},
        "dataset": {"name": "digits"},
        "data_digest": "d",
        "loss": "kld",
        "training": {"epochs": 1},
        "batch_size": 1,
        "learning_rate": 0.1,
        "seed": 0,
    }
    TrialSpec.model_validate(sound)
    with pytest.raises(ValidationError):
        TrialSpec.model_validate(sound | change)


def test_specs_are_frozen():
    """What has an identity does not change."""
    with pytest.raises(ValidationError, match="frozen"):
        DigitsSpec().num_train = 5
