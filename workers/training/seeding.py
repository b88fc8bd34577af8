"""Randomness as a pure function: of (seed, epoch) or (seed, step) in training, else of the trial.

No generator carries state from one step to the next, so that work resumed anywhere draws what
uninterrupted work would have drawn.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from workers.contract.identity import trial_id
from workers.contract.settings import Sampler
from workers.contract.specs import TrialSpec

_NEVER_OF_TRAINING = 1 << 63


def epoch_order(
    seed: int, epoch: int, *, num_train: int, sampler: Sampler
) -> npt.NDArray[np.int32]:
    """Draw the examples of one epoch [N] in the order they are visited.

    `shuffle` visits each example once; `replacement` draws each visit independently and uniformly.
    """
    generator = np.random.Generator(np.random.Philox(key=np.array([seed, epoch], np.uint64)))
    if sampler == "shuffle":
        return generator.permutation(num_train).astype(np.int32)
    return generator.integers(0, num_train, size=num_train, dtype=np.int32)


def measuring_seed(trial: TrialSpec, seed: int, stream: str = "") -> int:
    """Return the seed of all draws that measure a trial, a number of 64 bits.

    It mixes the trial's identity, so that the trials of a cell, which differ by their seed, draw
    independently of one another: the spread over seeds then includes the errors of measuring too.
    Its highest bit is set, so that it is never a seed of training.

    Args:
        trial: The trial that is measured.
        seed: The statistic's own, `probe_seed` or `stream_seed`.
        stream: Distinguishes streams of one statistic.
    """
    text = f"{trial_id(trial)}/{seed}/{stream}"
    word = hashlib.sha256(text.encode()).digest()[:8]
    return int.from_bytes(word, "little") | _NEVER_OF_TRAINING
