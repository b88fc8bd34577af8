"""A trial of two threads takes two operations at a time, and its bits do not depend on which is done first."""

from __future__ import annotations

import contextlib
import json

import pytest

from orchestrator.slots.slot import Slot
from workers.contract.identity import statistic_id, trial_id
from workers.contract.plan_document import PlannedStatistic
from workers.contract.planned_trials import PlannedTrial
from workers.contract.specs import TrialSpec
from workers.contract.store import Store
from workers.datasets.checked.loading import dataset_facts
from workers.datasets.digits import DigitsSpec
from workers.statistics.hessian import HessianSpec
from workers.statistics.losses import LossesSpec
from workers.statistics.traces import TracesSpec

DATASET = DigitsSpec(num_train=400)
STATISTICS = [
    PlannedStatistic(statistic_id=statistic_id(item), statistic=item)
    for item in (
        LossesSpec(),
        TracesSpec(),
        HessianSpec(num_probes=64, num_eigenpairs=1, max_lanczos_steps=3),
    )
]


@pytest.fixture
def planned() -> PlannedTrial:
    document = {
        "model": {"name": "resnet", "depth": 8},
        "dataset": DATASET,
        "data_digest": dataset_facts(DATASET, None).digest,
        "loss": "kld",
        "training": {"epochs": 3, "momentum": 0.9, "weight_decay": 1e-3},
        "batch_size": 20,
        "learning_rate": 0.05,
        "seed": 0,
    }
    trial = TrialSpec.model_validate(document)
    return PlannedTrial(trial_id=trial_id(trial), trial=trial)


def rows_of(store: Store) -> list[dict[str, object]]:
    """Everything that was computed, without names of attempts and times."""
    timed = {"seconds", "wall_seconds", "started_at", "finished_at", "attempt_id"}
    return [
        {name: value for name, value in row.items() if name not in timed}
        for view in ("trials", "epochs", "measurements")
        for row in store.read(view).to_pylist()
    ]


@pytest.mark.slow
def test_bits_do_not_depend_on_the_order_of_operations(tmp_path, make_task, planned, monkeypatch):
    """Twice straight through, and once killed again and again: weights, epochs and statistics are the same."""
    monkeypatch.setattr("orchestrator.slots.slot.wait_before_retry", lambda _: 0.0)

    def work(name: str) -> tuple[Store, str]:
        store = Store.open(str(tmp_path / name))
        task = make_task(
            0,
            planned=planned,
            statistics=STATISTICS,
            store=store.uri,
            earlier_failures=store.read("failures")["attempt_id"].to_pylist(),
            entry="workers.trial",
            num_threads=2,
            checkpoint_seconds=1e-3,
        )
        with contextlib.closing(Slot()) as slot:
            return store, slot.run(task, "-1").status

    (first, status), (second, other) = work("first"), work("second")
    assert (status, other) == ("done", "done")
    monkeypatch.setenv("MINIMA_FAULT", "training_chunk:2")
    killed, status = work("killed")
    assert status == "failed"
    monkeypatch.delenv("MINIMA_FAULT")
    again, status = work("killed")
    assert status == "done"
    assert len(killed.read("failures")) >= 2
    environment = json.loads(again.read("trials")["environment"][0].as_py())
    assert (environment["intra_op_threads"], environment["inter_op_threads"]) == (2, 2)
    wanted = rows_of(first)
    assert len(wanted) > 50
    assert rows_of(second) == wanted
    assert rows_of(again) == wanted
