from __future__ import annotations

import pytest
from pydantic import ValidationError

from workers.contract.plan_document import PlanDocument, PlannedStatistic, PlannedTrial
from workers.contract.specs import TrainingSpec, TrialSpec
from workers.datasets.synthetic import SyntheticSpec
from workers.models.mlp import MLPSpec
from workers.statistics.losses import LossesSpec
from workers.statistics.traces import TracesSpec


def _plan(**changes):
    trial = TrialSpec(
        model=MLPSpec(),
        dataset=SyntheticSpec(task="linear"),
        data_digest="d",
        loss="squared_error",
        training=TrainingSpec(epochs=2),
        batch_size=10,
        learning_rate=0.1 + 0.2,
        seed=0,
    )
    fields = {
        "sweep": "toy",
        "revision": "20260101T000000-ab",
        "planned_at": "2026-01-01T00:00:00+00:00",
        "spec": {"name": "toy"},
        "trials": [PlannedTrial(trial_id="t1", trial=trial)],
        "statistics": [
            PlannedStatistic(statistic_id="s1", statistic=LossesSpec()),
            PlannedStatistic(statistic_id="s2", statistic=TracesSpec(columns="exact")),
        ],
        "seeds": [0],
    }
    return PlanDocument(**(fields | changes))


def test_a_plan_survives_the_store(local_store):
    """Specs and exact floats come back equal from the JSON document."""
    plan = _plan()
    path = local_store.plan_path(plan.sweep, plan.revision)
    local_store.write_json(path, plan.model_dump(mode="json"))
    assert PlanDocument.model_validate(local_store.read_json(path)) == plan


@pytest.mark.parametrize("name", ["", "a/b", "../up", ".hidden", "with space"])
def test_names_that_cannot_be_files_are_refused(name):
    """A sweep's name becomes a folder of the store."""
    with pytest.raises(ValidationError, match="should match pattern"):
        _plan(sweep=name)
