"""Gaussian features of known covariance with linear or softmax targets: laws in closed form."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from workers.contract.frozen import Finite, NonNegative, Seed
from workers.contract.items import DatasetItem
from workers.datasets.dataset import Dataset, Split, digest_of, one_hot

Real = npt.NDArray[np.float64]

_WEIGHTS, _TRAIN, _TEST = 0, 1, 2
"""Independent random streams of one `data_seed`; each split has one for inputs, one for targets."""


class SyntheticSpec(DatasetItem):
    """Gaussian features with known covariance: linear or softmax regression.

    Feature j has variance `feature_decay`^j. `linear`: scalar target xᵀw + noise of the given
    standard deviation. `softmax`: labels drawn from softmax(Wx).
    """

    title = "synthetic data"

    name: Literal["synthetic"] = "synthetic"
    task: Literal["linear", "softmax"]
    num_train: Annotated[int, Field(ge=1, le=10_000_000)] = 1000
    num_test: Annotated[int, Field(ge=1, le=10_000_000)] = 200
    num_features: Annotated[int, Field(ge=1, le=100_000)] = 10
    num_classes: Annotated[int, Field(ge=2, le=10_000)] = 3
    feature_decay: Annotated[Finite, Field(gt=0, le=1)] = 1.0
    label_noise: NonNegative = 1.0
    data_seed: Seed = 0


def load(spec: SyntheticSpec, data_dir: str | None) -> Dataset:  # noqa: ARG001 - nothing is read
    """Draw the data set; the same spec gives the same values, and a larger one begins with them.

    Inputs [N, num_features] float32, x_j ~ N(0, feature_decay^j), independent. Targets [N, 1] or
    one-hot [N, num_classes]. Not normalised: the inputs' covariance is diag(feature_variances).
    """
    train = _draw(spec, spec.num_train, _TRAIN)
    test = _draw(spec, spec.num_test, _TEST)
    return Dataset(
        train,
        test,
        np.zeros((), np.float32),
        np.ones((), np.float32),
        is_classification=spec.task == "softmax",
        digest=digest_of(train, test),
    )


def feature_variances(spec: SyntheticSpec) -> Real:
    """Return the variance of each feature [num_features]: feature_decay^j, j from 0."""
    return spec.feature_decay ** np.arange(spec.num_features, dtype=np.float64)


def true_weights(spec: SyntheticSpec) -> Real:
    """Return W [num_outputs, num_features], standard normal: one row for `linear`."""
    num_outputs = 1 if spec.task == "linear" else spec.num_classes
    return _stream(spec, _WEIGHTS, 0).standard_normal((num_outputs, spec.num_features))


def _draw(spec: SyntheticSpec, num_examples: int, split: int) -> Split:
    normal = _stream(spec, split, 0).standard_normal((num_examples, spec.num_features))
    inputs = normal * np.sqrt(feature_variances(spec))
    scores = _scores(inputs, true_weights(spec))
    noise = _stream(spec, split, 1)
    if spec.task == "linear":
        targets = scores + spec.label_noise * noise.standard_normal((num_examples, 1))
        return Split(inputs.astype(np.float32), targets.astype(np.float32))
    return Split(inputs.astype(np.float32), one_hot(_labels(scores, noise), spec.num_classes))


def _scores(inputs: Real, weights: Real) -> Real:
    """Return inputs · Wᵀ [N, num_outputs], summed in a fixed order: BLAS rounds as the machine likes."""
    scores = np.zeros((inputs.shape[0], weights.shape[0]))
    for feature, column in zip(inputs.T, weights.T, strict=True):
        scores += feature[:, np.newaxis] * column
    return scores


def _labels(scores: Real, noise: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draw labels [N] from softmax(scores) by inverting the cumulative distribution."""
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    cumulative = np.cumsum(weights, axis=1)
    threshold = noise.random((scores.shape[0], 1)) * cumulative[:, -1:]
    labels: npt.NDArray[np.int64] = (cumulative <= threshold).sum(axis=1, dtype=np.int64)
    return labels


def _stream(spec: SyntheticSpec, split: int, part: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[spec.data_seed, 2 * split + part]))


ITEM = SyntheticSpec
