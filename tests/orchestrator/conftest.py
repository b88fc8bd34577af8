"""What tests of the orchestrator share: trials that take no time, and a place for the store."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.task import SlotTask
from workers.contract.identity import statistic_id, trial_id
from workers.contract.plan_document import PlannedStatistic, PlannedTrial
from workers.contract.specs import TrialSpec
from workers.contract.statistics import LossesSpec, TracesSpec

FAKES = Path(__file__).parent / "fakes"


@pytest.fixture
def make_trial() -> Callable[[int], PlannedTrial]:
    """Make a planned trial of a seed; the fake trial behaves by it."""

    def make(seed: int, batch_size: int = 32) -> PlannedTrial:
        trial = TrialSpec.model_validate(
            {
                "model": {"name": "mlp"},
                "dataset": {"name": "digits"},
                "data_digest": "0",
                "loss": "kld",
                "training": {"epochs": 1},
                "batch_size": batch_size,
                "learning_rate": 0.1,
                "seed": seed,
            }
        )
        return PlannedTrial(trial_id=trial_id(trial), trial=trial)

    return make


@pytest.fixture
def statistics() -> list[PlannedStatistic]:
    """Both built-in statistics."""
    return [
        PlannedStatistic(statistic_id=statistic_id(item), statistic=item)
        for item in (LossesSpec(), TracesSpec())
    ]


@pytest.fixture
def make_task(
    tmp_path: Path, make_trial: Callable[[int], PlannedTrial], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., SlotTask]:
    """Make a task for the fake trial of a seed, in a store below tmp_path."""
    former = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{FAKES}{os.pathsep}{former}")

    def make(seed: int, **changes: object) -> SlotTask:
        settings = {
            "sweep": "toy",
            "run_id": "run",
            "planned": make_trial(seed),
            "is_trained": False,
            "statistics": [],
            "store": str(tmp_path / "store"),
            "data_dir": None,
            "num_threads": 1,
            "device_share": 0.0,
            "entry": "fake_trial",
        }
        return SlotTask.model_validate(settings | changes)

    return make
