"""A data set as arrays: stored inputs, an affine normalisation, targets, and their digest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workers.contract.errors import Fault, UserError
from workers.contract.items import CutDatasetItem


@dataclass(frozen=True)
class Split:
    """Examples in a fixed order.

    Attributes:
        inputs: [N, …], uint8 pixels or float32 features, not yet normalised.
        targets: [N, C] float32: one-hot labels, or regression targets.
    """

    inputs: npt.NDArray[np.uint8] | npt.NDArray[np.float32]
    targets: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return int(self.inputs.shape[0])

    def first(self, num_examples: int | None) -> Split:
        """Keep the first examples; all when None."""
        return Split(self.inputs[:num_examples], self.targets[:num_examples])


@dataclass(frozen=True)
class Dataset:
    """Two splits and how their inputs are normalised: x = (stored - offset) · scale.

    Attributes:
        train: Training examples, already cut to `num_train`.
        test: Test examples.
        offset: float32, broadcastable to one example.
        scale: float32, broadcastable to one example.
        is_classification: Targets are one-hot labels, so accuracy means something.
        digest: Of the stored inputs, targets and order of both whole splits, before any cut.
    """

    train: Split
    test: Split
    offset: npt.NDArray[np.float32]
    scale: npt.NDArray[np.float32]
    is_classification: bool
    digest: str

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return tuple(int(size) for size in self.train.inputs.shape[1:])

    @property
    def num_outputs(self) -> int:
        """C, the number of classes or of regression targets."""
        return int(self.train.targets.shape[1])


def first_examples(train: Split, test: Split, spec: CutDatasetItem) -> tuple[Split, Split]:
    """Keep the first `num_train` and `num_test` examples; all where None.

    Raises:
        UserError: There are fewer.
    """
    faults = too_few_examples(spec, len(train), len(test))
    if faults:
        raise UserError(faults)
    return train.first(spec.num_train), test.first(spec.num_test)


def too_few_examples(spec: CutDatasetItem, num_train: int, num_test: int) -> list[Fault]:
    """List what asks for more examples than the whole data set has."""
    asked = (
        ("num_train", spec.num_train, num_train, "training"),
        ("num_test", spec.num_test, num_test, "test"),
    )
    return [
        Fault(
            f"{key} is {wanted:,}, but the data set has {found:,} {split} examples",
            f"dataset.{key}",
            f"give at most {found}, or null to use all",
        )
        for key, wanted, found, split in asked
        if wanted is not None and wanted > found
    ]


def too_few_for_spread(statistic: str, split: str) -> Fault:
    """Build the fault of a statistic that compares examples where there is one."""
    return Fault(
        f"{statistic} measures how examples differ, and the {split} split has only one",
        "measure",
        f"give at least two examples, or leave {statistic} out",
    )


def one_hot(labels: npt.NDArray[np.int64], num_classes: int) -> npt.NDArray[np.float32]:
    """Turn labels [N] into one-hot rows [N, C]."""
    return np.eye(num_classes, dtype=np.float32)[labels]


def digest_of(train: Split, test: Split) -> str:
    """Digest the content and order of both splits: shapes, types, and every value."""
    running = hashlib.sha256()
    for array in (train.inputs, train.targets, test.inputs, test.targets):
        running.update(f"{array.dtype.str}{array.shape}".encode())
        running.update(np.ascontiguousarray(array).data)
    return running.hexdigest()[:32]
