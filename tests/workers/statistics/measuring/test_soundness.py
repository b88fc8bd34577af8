"""What every statistic refuses, whichever it is, before it starts."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest

from workers.contract.errors import UserError
from workers.contract.statistics import PluginStatisticSpec
from workers.datasets.dataset import Split
from workers.statistics.batch_noise import BatchNoiseSpec
from workers.statistics.hessian import HessianSpec
from workers.statistics.losses import LossesSpec
from workers.statistics.measuring.soundness import refuse_unsound
from workers.statistics.noise_curvature import NoiseCurvatureSpec
from workers.statistics.spectrum import SpectrumSpec
from workers.statistics.traces import TracesSpec

PLUGIN = PluginStatisticSpec(name="own.sharpness:measure")
STATISTICS = [
    LossesSpec(),
    TracesSpec(),
    HessianSpec(),
    NoiseCurvatureSpec(),
    SpectrumSpec(),
    BatchNoiseSpec(),
    PLUGIN,
]


@pytest.fixture
def case(tools):
    """A network and its data."""
    return tools.make_case("kld")


def faults_of(case, statistic=STATISTICS[0]) -> list[tuple[str, str, str]]:
    with pytest.raises(UserError) as caught:
        refuse_unsound(case.context, statistic)
    return [(fault.what, fault.where, fault.mend) for fault in caught.value.faults]


@pytest.mark.parametrize("statistic", STATISTICS, ids=lambda each: each.name)
def test_a_sound_context_passes(case, statistic):
    """And nothing of it is changed."""
    before = [weight.copy() for weight in case.model.get_weights()]
    refuse_unsound(case.context, statistic)
    for old, new in zip(before, case.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("statistic", STATISTICS, ids=lambda each: each.name)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused_for_every_statistic(case, statistic, value):
    """By the name of the first; a diverged model has no minimum to measure."""
    for weight in case.model.trainable_variables[:2]:
        weight.assign(np.full(weight.shape, value))
    path = case.model.trainable_variables[0].path
    assert faults_of(case, statistic) == [
        (
            f"the model {case.model.name!r} holds weights that are not finite numbers: {path} and 1 more",
            "the kept model",
            "measure a trial that did not diverge",
        )
    ]


def test_moving_statistics_that_are_not_finite_are_refused_too(case):
    """They decide the outputs as the trained weights do."""
    norm = case.model.get_layer("stem_norm")
    norm.moving_variance.assign(np.full(3, np.inf))
    [(what, _, _)] = faults_of(case)
    assert what.endswith("not finite numbers: stem_norm/moving_variance")


def test_a_network_of_other_data_is_refused(case):
    """Examples of another shape, and another number of classes."""
    inputs = np.zeros((6, 5, 5, 2), np.uint8)
    split = Split(inputs, np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 0, 1]])
    case.dataset = dataclasses.replace(case.dataset, train=split, test=split)
    name = case.model.name
    assert [what for what, _, _ in faults_of(case)] == [
        f"the model {name!r} takes examples of shape (6, 6, 2), and the data have (5, 5, 2)",
        f"the model {name!r} gives outputs (None, 3), not (None, 4)",
    ]


def test_a_batch_norm_in_training_mode_is_refused_for_a_plugin_too(case):
    """A statistic of the user's own need not know of it."""
    inputs = keras.Input((6, 6, 2))
    x = keras.layers.BatchNormalization(name="norm")(inputs, training=True)
    case.model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x)), name="own")
    [(what, where, _)] = faults_of(case, PLUGIN)
    assert what == "the layer 'norm' is called with training=True, which is overridden"
    assert where == "model, layer 'norm'"


def cut(case, num_train: int, num_test: int):
    train, test = case.dataset.train.first(num_train), case.dataset.test.first(num_test)
    case.dataset = dataclasses.replace(
        case.dataset, train=train, test=test, is_classification=False
    )
    return case


@pytest.mark.parametrize(
    ("sizes", "splits", "split"),
    [((1, 9), ["train"], "train"), ((9, 1), ["train", "test"], "test")],
)
def test_a_spread_over_one_example_is_refused(case, sizes, splits, split):
    """Of the split that is measured."""
    assert faults_of(cut(case, *sizes), TracesSpec(splits=splits)) == [
        (
            f"traces measures how examples differ, and the {split} split has only one",
            "measure",
            "give at least two examples, or leave traces out",
        )
    ]


def test_one_example_is_enough_where_no_spread_is_measured(case, tools):
    """A mean loss is one, and a split that is not measured does not count."""
    refuse_unsound(cut(case, 1, 1).context, LossesSpec())
    refuse_unsound(cut(tools.make_case("kld"), 2, 1).context, TracesSpec())


def test_data_and_network_are_told_at_once(case):
    """One class, one example, and weights that are no numbers."""
    case.dataset = dataclasses.replace(case.dataset, train=case.dataset.train.first(1))
    case.model.trainable_variables[0].assign(np.full((3, 3, 2, 3), np.nan))
    found = [what for what, _, _ in faults_of(case, TracesSpec())]
    assert len(found) == 3
    assert found[0].startswith("all 1 training examples are of class ")
