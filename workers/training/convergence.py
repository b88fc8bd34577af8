"""Whether training has ended, and how: pure rules over the epochs so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from workers.contract.records import EpochRecord, Outcome
from workers.contract.specs import ConvergenceSpec

DIVERGED_ABOVE = 10.0
"""An epoch's training loss above this multiple of the first step's loss is a divergence.

A choice of ours: an untrained network has about the first step's loss, and one that overshoots at a
high learning rate and recovers stays within a few times of it.
"""


@dataclass(frozen=True)
class Ending:
    """The outcome of training, and the first epoch from which the rule held to the end."""

    outcome: Outcome
    converged_at_epoch: int | None


def rule_holds(values: Sequence[float], epoch: int, rule: ConvergenceSpec) -> bool:
    """Return whether the rule of `ConvergenceSpec` holds at an epoch counted from 0.

    best(≤ epoch - patience) - best(last patience epochs) < relative_change · best(≤ epoch -
    patience); no improvement at all satisfies it too, as at a loss of exactly 0. A value that is
    not finite does not count: before the first finite one the rule does not hold.
    """
    split = epoch + 1 - rule.patience_epochs
    if split < 1:
        return False
    comparable = [value if math.isfinite(value) else math.inf for value in values[: epoch + 1]]
    before, recent = min(comparable[:split]), min(comparable[split:])
    if not math.isfinite(before):
        return False
    return recent >= before or before - recent < rule.relative_change * abs(before)


def converged_at(values: Sequence[float], rule: ConvergenceSpec) -> int | None:
    """Return the first epoch from which the rule holds to the end; None if it fails at the end."""
    found = None
    for epoch in reversed(range(len(values))):
        if not rule_holds(values, epoch, rule):
            break
        found = epoch
    return found


def ending(
    records: Sequence[EpochRecord],
    rule: ConvergenceSpec,
    *,
    num_epochs: int,
    initial_loss: float,
    weights_are_finite: bool,
) -> Ending | None:
    """Return how training ended after this epoch; None when it continues.

    A validation loss that is not finite ends nothing: after a few steps batch norm's moving averages
    are still so far from the activations that a very deep network in inference mode overflows.

    Args:
        records: The epochs so far, at least one.
        rule: When training has converged; it ends training only with `stop`.
        num_epochs: Epochs asked for.
        initial_loss: Mean training loss of the first step, before any update.
        weights_are_finite: Whether every weight is a finite number now.
    """
    last = records[-1]
    if not (weights_are_finite and math.isfinite(last.train_loss)):
        return Ending("nonfinite", None)
    if last.train_loss > DIVERGED_ABOVE * initial_loss:
        return Ending("diverged", None)
    converged = converged_at([getattr(record, rule.metric) for record in records], rule)
    if len(records) < num_epochs and not (rule.stop and converged is not None):
        return None
    return Ending("budget_spent" if converged is None else "converged", converged)
