"""How an epoch's order of examples is cut into batches, and the batches into chunks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from workers.contract.errors import user_error
from workers.contract.specs import TrialSpec


def steps_per_epoch(trial: TrialSpec, num_train: int) -> int:
    """Count the batches of an epoch; a ragged last one counts where it is kept.

    Raises:
        UserError: There is not even one batch.
    """
    full, rest = divmod(num_train, trial.batch_size)
    steps = full + int(is_ragged(trial, num_train))
    if steps == 0:
        raise user_error(
            f"batch size {trial.batch_size} is larger than the {rest} training examples",
            where="grid.batch_size",
            mend="choose a smaller batch size, more training examples, or ragged_batch: keep",
        )
    return steps


def is_ragged(trial: TrialSpec, num_train: int) -> bool:
    """Return whether each epoch ends with a smaller batch."""
    return trial.training.ragged_batch == "keep" and num_train % trial.batch_size > 0


def next_batches(
    order: npt.NDArray[np.int32], batch_size: int, position: int, max_steps: int
) -> npt.NDArray[np.int32]:
    """Return the next batches [S, B] of an epoch from its order; a ragged batch comes alone.

    Args:
        order: Examples of the epoch [N].
        batch_size: B.
        position: Batches of this epoch already done.
        max_steps: Largest S.
    """
    num_full = len(order) // batch_size
    start = position * batch_size
    if position >= num_full:
        return order[None, start:]
    num_steps = min(max_steps, num_full - position)
    return order[start : start + num_steps * batch_size].reshape(num_steps, batch_size)
