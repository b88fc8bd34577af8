"""When a training has ended, and how."""

from __future__ import annotations

import math

import pytest

from workers.contract.records import EpochRecord
from workers.contract.specs import ConvergenceSpec
from workers.training.convergence import DIVERGED_ABOVE, Ending, converged_at, ending, rule_holds

RULE = ConvergenceSpec(relative_change=0.1, patience_epochs=2)


def records(train_losses, validation_loss=1.0):
    return [
        EpochRecord(
            trial_id="trial",
            epoch=epoch,
            learning_rate=0.1,
            train_loss=loss,
            train_accuracy=None,
            validation_loss=validation_loss,
            validation_accuracy=None,
            seconds=1.0,
        )
        for epoch, loss in enumerate(train_losses)
    ]


def end(train_losses, rule=RULE, *, finite=True, **options):
    return ending(
        records(train_losses, **options),
        rule,
        num_epochs=4,
        initial_loss=1.0,
        weights_are_finite=finite,
    )


def test_the_rule_compares_the_best_before_with_the_best_of_the_last_epochs():
    """Lower by less than 10 % of the best two epochs ago."""
    assert rule_holds([1.0, 0.95, 0.91], 2, RULE)
    assert not rule_holds([1.0, 0.95, 0.89], 2, RULE)
    assert rule_holds([1.0, 0.5, 2.0, 0.46], 3, RULE)  # 0.46 against 0.5, the middle does not count


def test_the_rule_needs_an_epoch_before_the_last_ones():
    """With patience 2 it cannot hold at the first two epochs."""
    assert not rule_holds([1.0], 0, RULE)
    assert not rule_holds([1.0, 1.0], 1, RULE)


def test_a_loss_that_rises_or_stays_at_zero_has_converged():
    """No improvement is less than any."""
    assert rule_holds([0.0, 0.0, 0.0], 2, RULE)
    assert rule_holds([1.0, 3.0, 2.0], 2, RULE)


def test_convergence_counts_from_where_the_rule_holds_until_the_end():
    """A plateau before a drop of the learning rate does not count."""
    assert converged_at([1.0, 1.0, 1.0, 0.2, 0.2, 0.2, 0.2], RULE) == 5
    assert converged_at([1.0, 1.0, 1.0, 0.2], RULE) is None


def test_a_budget_is_spent_or_converged():
    """All epochs trained: the outcome is whether the rule holds then."""
    assert end([1.0, 1.0, 0.99, 0.98]) == Ending("converged", 2)
    assert end([1.0, 0.8, 0.6, 0.4]) == Ending("budget_spent", None)


def test_convergence_ends_training_only_when_asked():
    """`stop` is off by default."""
    assert end([1.0, 1.0, 1.0]) is None
    stopping = RULE.model_copy(update={"stop": True})
    assert end([1.0, 1.0, 1.0], stopping) == Ending("converged", 2)
    assert end([1.0, 0.5, 0.2], stopping) is None


def test_the_metric_may_be_the_validation_loss():
    """Here it never changes, while the training loss does."""
    rule = RULE.model_copy(update={"metric": "validation_loss"})
    assert end([1.0, 0.8, 0.6, 0.4], rule) == Ending("converged", 2)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_ends_training(bad):
    """A training loss or a weight."""
    assert end([1.0, bad]) == Ending("nonfinite", None)
    assert end([1.0], finite=False) == Ending("nonfinite", None)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_validation_loss_that_is_not_finite_ends_nothing(bad):
    """Moving averages after a few steps may overflow; as the metric it is passed over."""
    assert end([1.0], validation_loss=bad) is None
    assert not rule_holds([bad, bad, bad], 2, RULE)
    assert not rule_holds([bad, bad, 1.0], 2, RULE)
    assert rule_holds([1.0, bad, bad], 2, RULE)
    assert rule_holds([bad, 1.0, bad, 0.95], 3, RULE)


def test_far_above_the_initial_loss_is_divergence():
    """Above, not at, the multiple."""
    assert end([DIVERGED_ABOVE]) is None
    assert end([DIVERGED_ABOVE * 1.01]) == Ending("diverged", None)
