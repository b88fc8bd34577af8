from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from workers.contract.identity import trial_id
from workers.contract.plan_document import PlanDocument, PlannedStatistic
from workers.contract.planned_trials import PlannedTrial
from workers.contract.specs import PluginSpec, TrainingSpec, TrialSpec
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


def _old_form(plan):
    """Dump a plan as earlier versions did: every trial with its whole spec."""
    whole = [item.model_dump(mode="json") for item in plan.trials]
    return plan.model_dump(mode="json") | {"trials": whole}


def _planned(**changes):
    trial = _plan().trials[0].trial.model_copy(update=changes)
    return PlannedTrial(trial_id=trial_id(trial), trial=trial)


def test_what_trials_have_in_common_is_written_once():
    """Both forms of a document are read as one plan; blocks begin anew where more than the cell differs."""
    alike = [_planned(seed=seed, batch_size=10 + seed % 3) for seed in range(9)]
    plan = _plan(trials=[*alike, _planned(loss="kld"), *(_planned(seed=s) for s in (20, 21))])
    document = plan.model_dump(mode="json")
    assert [len(block["trial_id"]) for block in document["trials"]] == [9, 1, 2]
    assert PlanDocument.model_validate(json.loads(json.dumps(document))) == plan
    assert PlanDocument.model_validate(json.loads(json.dumps(_old_form(plan)))) == plan


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": [0]}, "its columns hold .* values"),
        ({"seed": [5, 1]}, "its first trial is not that of its columns"),
        ({"seed": [0, -1]}, "greater than or equal to 0"),
        ({"seed": [0, True]}, "valid integer"),
        ({"learning_rate": [0.1 + 0.2, float("inf")]}, "finite"),
        ({"batch_size": [10, 0]}, "greater than or equal to 1"),
        ({"trial_id": ["a", "a"]}, "trials holds a twice"),
        ({"trial_id": ["a", "../b"]}, "should match pattern"),
        ({"trial_id": []}, "at least 1 item"),
        ({"more": []}, "Extra inputs"),
        ({"first": {}}, "Field required"),
    ],
)
def test_a_damaged_block_is_refused(changes, message):
    """Whatever is wrong with a column, or between columns."""
    document = _plan(trials=[_planned(seed=0), _planned(seed=1)]).model_dump(mode="json")
    document["trials"][0] |= changes
    with pytest.raises(ValidationError, match=message):
        PlanDocument.model_validate(document)


def test_settings_that_only_look_equal_are_kept_apart():
    """1, 1.0 and true make different identities, so no block joins them."""
    values = (1, 1.0, True)
    models = [PluginSpec(name="a.b:c", settings={"n": value}) for value in values]
    plan = _plan(trials=[_planned(model=model) for model in models])
    document = plan.model_dump(mode="json")
    assert len(document["trials"]) == 3
    again = PlanDocument.model_validate(document)
    assert [type(item.trial.model.settings["n"]) for item in again.trials] == [int, float, bool]
