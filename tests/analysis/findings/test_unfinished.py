"""Which seeds are not finished, and what they lack."""

from __future__ import annotations

from analysis.findings.unfinished import unfinished
from analysis.records.load import load_sweep
from workers.statistics.losses import LossesSpec


def test_seeds_are_named_with_what_they_lack(store, synthetic_sweep):
    """Missing, failed, half measured and diverged: each seed stands once, seeds alike together."""
    sweep = synthetic_sweep(pairs=[(100, 0.1)], seeds=[0, 1, 2, 3, 4, 5, 6])
    sweep.plan()
    whole, failed, half, lost, open_, *_ = sweep.trials()
    sweep.train(whole)
    sweep.measure(whole)
    sweep.fail(failed)
    sweep.train(lost, outcome="diverged")
    sweep.measure(lost, skipped_reason="diverged: the loss ran away")
    sweep.train(open_, outcome="nonfinite")
    sweep.train(half)
    planned, sweep.statistics = sweep.statistics, [LossesSpec()]
    sweep.measure(half)
    sweep.statistics = planned
    found = [(each.seeds, each.state, each.lacks) for each in unfinished(load_sweep(store, "toy"))]
    everything = ("training", "losses", "traces")
    assert found == [
        ((3,), "diverged", ()),
        ((4,), "diverged", ("losses", "traces")),
        ((1,), "failed", everything),
        ((5, 6), "missing", everything),
        ((2,), "missing", ("training", "traces")),  # no model is kept of these records
    ]
    assert [each.is_open for each in unfinished(load_sweep(store, "toy"))] == [
        False, True, True, True, True,
    ]  # fmt: skip


def test_a_whole_sweep_has_nothing_unfinished(store, synthetic_sweep):
    synthetic_sweep().fill()
    assert unfinished(load_sweep(store, "toy")) == []
