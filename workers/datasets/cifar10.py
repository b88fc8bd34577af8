"""CIFAR-10: 32 × 32 colour images of ten classes, from local files or the official archive."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue

from workers.contract.dataset_facts import DatasetFacts
from workers.contract.items import CutDatasetItem
from workers.datasets import cache
from workers.datasets.cifar10_binary import fetch_archive, read_archive, read_files
from workers.datasets.cifar10_files import ARCHIVE_NAME, Source, find_source
from workers.datasets.dataset import Dataset, Split, first_examples

Real = npt.NDArray[np.float32]

_CHUNK = 1000


class Cifar10Spec(CutDatasetItem):
    """CIFAR-10: 50,000 training and 10,000 test images, the first `num_train` and `num_test` used.

    normalisation: `per_channel` (mean and standard deviation of the training pixels),
    `pixel_mean` (x/255 minus the mean training image), `unit` (x/255).
    """

    title = "CIFAR-10"
    examples = "images"
    official_facts = DatasetFacts(
        digest="",
        num_train=50_000,
        num_test=10_000,
        num_outputs=10,
        is_classification=True,
        input_shape=(32, 32, 3),
    )

    name: Literal["cifar10"] = "cifar10"
    normalisation: Literal["per_channel", "pixel_mean", "unit"] = "per_channel"

    def source_key(self, data_dir: str | None) -> JsonValue:
        """Describe what the stored data depend on, without reading them (but downloading, if need be)."""
        return _source(data_dir).key()

    def is_at_hand(self, data_dir: str | None) -> bool:
        """Return whether there are files or a downloaded archive."""
        return data_dir is not None or (_downloads() / ARCHIVE_NAME).is_file()


def load(spec: Cifar10Spec, data_dir: str | None) -> Dataset:
    """Load CIFAR-10; the normalisation is computed over the training examples used.

    Raises:
        UserError: No sound data set is found, or it has fewer examples than asked for.
    """
    source = _source(data_dir)
    train, test, digest = cache.decoded_splits(
        cache.cache_folder(), source.key(), lambda: decode(source)
    )
    train, test = first_examples(train, test, spec)
    offset, scale = normalisation(spec.normalisation, train.inputs)
    return Dataset(train, test, offset, scale, is_classification=True, digest=digest)


def _source(data_dir: str | None) -> Source:
    if data_dir is not None:
        return find_source(Path(data_dir).expanduser())
    return Source("archive", (fetch_archive(_downloads()),))


def _downloads() -> Path:
    return cache.cache_folder() / "downloads"


def decode(source: Source) -> tuple[Split, Split]:
    """Decode the training and the test split.

    Raises:
        UserError: A file is unreadable or malformed.
    """
    if source.kind == "archive":
        return read_archive(source.train[0])
    if source.kind == "binary":
        return read_files(source.train), read_files(source.test)
    from workers.datasets.cifar10_parquet import read_parquet  # here: not needed for facts at hand

    return read_parquet(source.train), read_parquet(source.test)


def normalisation(name: str, inputs: npt.NDArray[np.generic]) -> tuple[Real, Real]:
    """Return offset and scale of x = (pixel - offset) · scale from training images [N, 32, 32, 3].

    `unit`: offset 0, scale 1/255. `pixel_mean`: offset the mean image [32, 32, 3], scale 1/255.
    `per_channel`: offset the mean, scale 1/(standard deviation, with divisor N) of each colour [3].
    All sums are of integers, so the result is the same on every machine.
    """
    count = inputs.shape[0]
    if name == "unit":
        return np.zeros((), np.float32), np.array(1 / 255, np.float32)
    if name == "pixel_mean":
        total = inputs.sum(axis=0, dtype=np.int64)
        return (total / count).astype(np.float32), np.array(1 / 255, np.float32)
    moments = [_moments(counts) for counts in _pixel_counts(inputs)]
    offset = np.array([mean for mean, _ in moments], np.float32)
    return offset, np.array([1 / deviation for _, deviation in moments], np.float32)


def _pixel_counts(inputs: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
    """Count how often each colour has each value [3, 256], in small pieces of the mapped file."""
    counts = np.zeros((3, 256), np.int64)
    for start in range(0, inputs.shape[0], _CHUNK):
        pixels = inputs[start : start + _CHUNK].reshape(-1, 3)
        for colour in range(3):
            counts[colour] += np.bincount(pixels[:, colour], minlength=256)
    return counts


def _moments(counts: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Return mean and standard deviation of counted values, in whole numbers up to the last division.

    Python's integers, because the square of the sum over CIFAR-10 is above 2⁶³. The deviation of
    a constant colour is given as 1, so that its input is 0.
    """
    number = int(counts.sum())
    total = sum(value * int(count) for value, count in enumerate(counts))
    squares = sum(value**2 * int(count) for value, count in enumerate(counts))
    variance = (number * squares - total**2) / number**2
    return total / number, math.sqrt(variance) or 1.0


ITEM = Cifar10Spec
