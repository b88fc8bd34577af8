"""What a node may do when it is asked; and a data set that is another one where OTHER_DATA is set."""

import os
import time

import numpy as np

from workers.datasets.dataset import Dataset, Split, digest_of


def answer(question: str) -> str:
    """Answer, fail, die, or keep silent, as the question says."""
    if question == "fail":
        raise ValueError("no")
    if question == "die":
        os._exit(1)
    if question == "sleep":
        time.sleep(600)
    return f"GPUs: {os.environ['CUDA_VISIBLE_DEVICES']}"


def load(_settings: object, _data_dir: str | None) -> Dataset:
    """Forty examples of two classes."""
    seed = 1 if os.environ.get("OTHER_DATA") else 0
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(40, 4)).astype(np.float32)
    targets = np.eye(2, dtype=np.float32)[np.arange(40) % 2]
    train, test = Split(inputs[:30], targets[:30]), Split(inputs[30:], targets[30:])
    zero, one = np.zeros((), np.float32), np.ones((), np.float32)
    digest = digest_of(train, test)
    return Dataset(train, test, zero, one, is_classification=True, digest=digest)
