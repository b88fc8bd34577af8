"""scikit-learn's digits: 1,797 images of 8 × 8 pixels in ten classes, shipped with the library."""

from __future__ import annotations

from importlib.metadata import version
from typing import Literal

import numpy as np
from pydantic import JsonValue

from workers.contract.items import CutDatasetItem
from workers.datasets.dataset import Dataset, Split, digest_of, first_examples, one_hot

_OFFSET, _SCALE = 5.0, 1 / 6
"""Pixels 0 … 16 have mean 4.9 and standard deviation 6.0, so inputs have nearly 0 and 1."""


class DigitsSpec(CutDatasetItem):
    """scikit-learn's 1,797 digits of 8 × 8 pixels; rows with index divisible by 5 are the test split."""

    examples = "images"

    name: Literal["digits"] = "digits"

    def source_key(self, data_dir: str | None) -> JsonValue:  # noqa: ARG002 - embedded in a library
        """Describe what the stored data depend on, without importing scikit-learn."""
        return {"scikit-learn": version("scikit-learn")}


def load(spec: DigitsSpec, data_dir: str | None) -> Dataset:  # noqa: ARG001 - embedded in a library
    """Load the digits: inputs [N, 8, 8, 1] of values 0 … 16; rows 0, 5, 10 … are the test split.

    Raises:
        UserError: More is asked for than the 1,437 training and 360 test examples.
    """
    from sklearn.datasets import load_digits  # here: takes a second to import

    bunch = load_digits()
    inputs = bunch.images.astype(np.uint8)[..., np.newaxis]
    targets = one_hot(bunch.target.astype(np.int64), 10)
    is_test = np.arange(len(inputs)) % 5 == 0
    train = Split(inputs[~is_test], targets[~is_test])
    test = Split(inputs[is_test], targets[is_test])
    used, held_out = first_examples(train, test, spec)
    return Dataset(
        used,
        held_out,
        np.array(_OFFSET, np.float32),
        np.array(_SCALE, np.float32),
        is_classification=True,
        digest=digest_of(train, test),
    )


ITEM = DigitsSpec
