"""An order that follows others of its kind in one process: built once, and the bits of a process of its own."""

from __future__ import annotations

import pytest

from workers import trial as entry
from workers.contract.orders import Answer
from workers.contract.store import Store
from workers.models.resnet import ResNetSpec
from workers.per_example.compiled import CompiledNorms
from workers.process.built import Built
from workers.statistics.fork import ForkSpec
from workers.statistics.hessian import HessianSpec
from workers.statistics.losses import LossesSpec
from workers.statistics.noise_curvature import NoiseCurvatureSpec
from workers.statistics.traces import TracesSpec
from workers.training.steps.evaluation import CompiledEvaluation
from workers.training.steps.sgd import CompiledSGD

TRAINING = {
    "model": ResNetSpec(depth=8),
    "epochs": 2,
    "momentum": 0.9,
    "weight_decay": 1e-3,
    "augmentation": "pad_crop_flip",
    "ragged_batch": "keep",
    "batch_size": 30,
}
FEW_STEPS = {"learning_rate": 1e-3, "num_directions": 1, "max_lanczos_steps": 4}
STATISTICS = [
    LossesSpec(),
    TracesSpec(splits=["train", "test"], replicate_examples=1000),
    TracesSpec(columns="exact", bn_mode="moving_average"),
    NoiseCurvatureSpec(num_probes=64),
    HessianSpec(num_probes=64, num_eigenpairs=1, max_lanczos_steps=3),
    ForkSpec(num_streams=32, num_steps=4, num_windows=1, **FEW_STEPS),
]


def never():
    return False


@pytest.fixture
def do(make_order, monkeypatch):
    """Train and measure a trial in what this process has built; return what the store then holds of it."""

    def run(built, store, statistics, **changes):
        monkeypatch.setattr(entry, "_BUILT", built)
        name = f"{store.uri}{sorted(changes.items())}"
        for number, statistic in enumerate([None, *statistics]):
            order = make_order(
                attempt_id=f"{abs(hash(name))}-{number}",
                statistic=statistic,
                order_options={"store": store.uri},
                **TRAINING | changes,
            )
            assert entry.run_order(order, never) == Answer(status="committed")
        return rows_of(store, order.trial_id)

    return run


def rows_of(store, trial_id):
    timed = {"seconds", "wall_seconds", "started_at", "finished_at", "attempt_id"}
    return [
        {name: value for name, value in row.items() if name not in timed}
        for view in ("trials", "epochs", "measurements", "spectra")
        for row in store.read(view).to_pylist()
        if row["trial_id"] == trial_id
    ]


@pytest.mark.slow
def test_its_numbers_have_the_bits_of_a_process_of_its_own(do, tmp_path):
    """Weights, epochs and statistics of another seed and rate, after a trial that took all of them but one."""
    alone, following = (Store.open(str(tmp_path / name)) for name in ("alone", "following"))
    first, *others = STATISTICS
    wanted = do(Built(), alone, [*others, first], seed=1, learning_rate=0.02)
    built = Built()
    do(built, following, others, seed=0, learning_rate=0.1)
    found = do(built, following, [*others, first], seed=1, learning_rate=0.02)
    assert len(wanted) > 100
    assert found == wanted


@pytest.mark.slow
def test_nothing_is_traced_again(do, tmp_path, monkeypatch):
    """Steps, evaluation and norms of a second seed and rate; those of another batch size are."""
    traced = []
    for kind, name in (
        (CompiledSGD, "_chunk"),
        (CompiledEvaluation, "_chunk"),
        (CompiledNorms, "_norms"),
    ):
        trace = getattr(kind, name)

        def tracing(self, *arguments, kind=kind, trace=trace):
            traced.append(kind)
            return trace(self, *arguments)

        monkeypatch.setattr(kind, name, tracing)
    built, store = Built(), Store.open(str(tmp_path / "store"))
    counts = []
    for changes in ({"seed": 0}, {"seed": 1, "learning_rate": 0.02}, {"batch_size": 50}):
        traced.clear()
        do(built, store, [TracesSpec()], **{"model": ResNetSpec(depth=8), "epochs": 1, **changes})
        counts.append(
            {kind: traced.count(kind) for kind in (CompiledSGD, CompiledEvaluation, CompiledNorms)}
        )
    first, second, third = counts
    assert min(first.values()) >= 1
    assert set(second.values()) == {0}
    assert (third[CompiledSGD] > 0, third[CompiledNorms]) == (True, 0)


def test_of_too_many_things_the_one_not_used_for_longest_goes(monkeypatch):
    """What was asked for last stays."""
    monkeypatch.setattr("workers.process.built._MOST", 2)
    built, made = Built(), []

    def get(key):
        return built.get(key, lambda: made.append(key) or key.upper())

    assert [get(key) for key in "abacab"] == ["A", "B", "A", "C", "A", "B"]
    assert made == ["a", "b", "c", "b"]
