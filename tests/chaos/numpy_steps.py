"""The arithmetic of the numpy trial: a chain in which every step changes every bit that follows.

A step that is left out, done twice, or done on a torn state gives other final weights, so equal
digests say that each step was done once, in order, from a whole state.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workers.contract.specs import TrialSpec

NUM_VALUES = 64
NUM_BATCHES = 12
"""Of one measurement."""


@dataclass(frozen=True)
class State:
    """The weights, the digest of all that was done to them, and the loss after each epoch."""

    step: int
    values: npt.NDArray[np.float64]
    chain: bytes
    losses: tuple[float, ...] = ()


def steps_per_epoch(trial: TrialSpec) -> int:
    """Count the steps of an epoch."""
    return int(trial.dataset.num_train) // trial.batch_size


def num_steps(trial: TrialSpec) -> int:
    """Count the steps of the whole training."""
    return trial.training.epochs * steps_per_epoch(trial)


def first_state(trial_id: str, trial: TrialSpec) -> State:
    """Give the state before the first step."""
    chain = hashlib.sha256(f"{trial_id} {trial.seed}".encode()).digest()
    return State(
        0, np.random.Generator(np.random.Philox(trial.seed)).normal(size=NUM_VALUES), chain
    )


def do_step(trial: TrialSpec, state: State) -> State:
    """Do one step; the one that ends an epoch also notes the loss."""
    noise = np.random.Generator(np.random.Philox([trial.seed, state.step])).normal(size=NUM_VALUES)
    curvature = np.linspace(0.1, 1.0, NUM_VALUES)
    gradient = curvature * state.values + noise / np.sqrt(trial.batch_size)
    values = state.values - trial.learning_rate * gradient
    step = state.step + 1
    chain = hashlib.sha256(state.chain + step.to_bytes(8, "little") + values.tobytes()).digest()
    ends_epoch = step % steps_per_epoch(trial) == 0
    losses = (*state.losses, float(np.mean(values**2))) if ends_epoch else state.losses
    return State(step, values, chain, losses)


def weights_sha256(state: State) -> str:
    """Hash the weights and all that led to them."""
    return hashlib.sha256(state.values.tobytes() + state.chain).hexdigest()


def add_batch(values: npt.NDArray[np.float64], statistic: str, batch: int, total: float) -> float:
    """Add one batch of a measurement of some weights to a running total; the order matters."""
    seed = int.from_bytes(hashlib.sha256(statistic.encode()).digest()[:4], "little")
    probe = np.random.Generator(np.random.Philox([seed, batch])).normal(size=NUM_VALUES)
    return float(total * 1.0000001 + np.dot(values, probe) ** 2)


@dataclass(frozen=True)
class Expected:
    """What an undisturbed trial comes to."""

    weights_sha256: str
    losses: tuple[float, ...]
    measured: dict[str, float]


def expected(trial_id: str, trial: TrialSpec, statistics: list[str]) -> Expected:
    """Compute a trial's results here and now, without any orchestration."""
    state = first_state(trial_id, trial)
    for _ in range(num_steps(trial)):
        state = do_step(trial, state)
    measured = {}
    for name in statistics:
        total = 0.0
        for batch in range(NUM_BATCHES):
            total = add_batch(state.values, name, batch, total)
        measured[name] = total
    return Expected(weights_sha256(state), state.losses, measured)
