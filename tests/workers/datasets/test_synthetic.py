"""Synthetic data: deterministic, of the stated covariance, with targets of the stated law."""

import numpy as np
import pytest

from workers.datasets.synthetic import SyntheticSpec, feature_variances, load, true_weights

MANY = 40_000


def test_the_same_spec_gives_the_same_values_and_another_seed_others():
    """The data are a function of the spec."""
    spec = SyntheticSpec(task="softmax")
    assert load(spec, None).digest == load(spec, None).digest
    assert load(spec, None).digest != load(spec.model_copy(update={"data_seed": 1}), None).digest


@pytest.mark.parametrize("task", ["linear", "softmax"])
def test_a_larger_data_set_begins_with_the_smaller(task):
    """Examples do not depend on how many are drawn, nor the test split on the training split."""
    small = load(SyntheticSpec(task=task, num_train=50), None)
    large = load(SyntheticSpec(task=task, num_train=80), None)
    np.testing.assert_array_equal(large.train.inputs[:50], small.train.inputs)
    np.testing.assert_array_equal(large.train.targets[:50], small.train.targets)
    np.testing.assert_array_equal(large.test.inputs, small.test.inputs)


def test_features_have_the_stated_covariance():
    """diag(1, d, d², …), within five standard errors of the sample covariance."""
    spec = SyntheticSpec(task="linear", num_train=MANY, num_features=4, feature_decay=0.5)
    variances = feature_variances(spec)
    assert variances.tolist() == [1.0, 0.5, 0.25, 0.125]
    inputs = load(spec, None).train.inputs.astype(np.float64)
    expected = np.diag(variances)
    # Var of a sample covariance of Gaussians: (v_i v_j + δ_ij v_i²)/N
    stderr = np.sqrt((np.outer(variances, variances) + expected**2) / MANY)
    assert (np.abs(inputs.T @ inputs / MANY - expected) < 5 * stderr).all()


def test_linear_targets_are_the_line_plus_noise_of_the_stated_deviation():
    """The residual y - xᵀw is N(0, label_noise²), and none without label noise."""
    spec = SyntheticSpec(task="linear", num_train=MANY, label_noise=0.3, feature_decay=0.8)
    residual = linear_residual(spec)
    assert abs(residual.mean()) < 5 * 0.3 / np.sqrt(MANY)
    assert abs(residual.std() - 0.3) < 5 * 0.3 / np.sqrt(2 * MANY)
    exact = linear_residual(spec.model_copy(update={"label_noise": 0.0}))
    np.testing.assert_allclose(exact, 0, atol=1e-5)  # ten float32 products of size up to ten
    assert not load(spec, None).is_classification


def linear_residual(spec: SyntheticSpec) -> np.ndarray:
    train = load(spec, None).train
    return train.targets[:, 0] - train.inputs.astype(np.float64) @ true_weights(spec)[0]


def test_softmax_labels_have_the_stated_probabilities():
    """Mean label and mean label × input match those under softmax(Wx), within five errors."""
    spec = SyntheticSpec(task="softmax", num_train=MANY, num_features=3, num_classes=4)
    train = load(spec, None).train
    inputs = train.inputs.astype(np.float64)
    scores = np.exp(inputs @ true_weights(spec).T)
    surprise = train.targets - scores / scores.sum(axis=1, keepdims=True)
    for weight in (np.ones(MANY), *inputs.T):
        terms = surprise * weight[:, np.newaxis]
        stderr = terms.std(axis=0) / np.sqrt(MANY)
        assert (np.abs(terms.mean(axis=0)) < 5 * stderr).all()
    assert train.targets.sum(axis=1).tolist() == [1.0] * MANY


def test_shapes_and_types():
    """Inputs are float32 and not normalised; targets are [N, 1] or one-hot [N, C]."""
    linear = load(SyntheticSpec(task="linear", num_train=5, num_test=3), None)
    softmax = load(SyntheticSpec(task="softmax", num_train=5, num_classes=7), None)
    assert linear.train.inputs.dtype == linear.train.targets.dtype == np.float32
    assert (linear.train.targets.shape, softmax.train.targets.shape) == ((5, 1), (5, 7))
    assert (len(linear.test), linear.offset, linear.scale) == (3, 0.0, 1.0)
