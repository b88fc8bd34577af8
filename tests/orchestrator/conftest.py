"""What tests of the orchestrator share: trials that take no time, and a place for the store."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from orchestrator.slots.task import SlotTask
from workers.contract import filesystem
from workers.contract.identity import statistic_id, trial_id
from workers.contract.orders import Heartbeat
from workers.contract.plan_document import PlannedStatistic, PlannedTrial
from workers.contract.records import EpochRecord, Measurement, TrialRecord, measurement_table, table
from workers.contract.specs import TrialSpec
from workers.contract.store import Store
from workers.statistics.losses import LossesSpec
from workers.statistics.traces import TracesSpec

FAKES = Path(__file__).parent / "fakes"


@pytest.fixture
def toy_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Stand in a folder and write toy.yaml there: an MLP on the digits in one cell, with further settings."""

    def write(**settings: object) -> None:
        monkeypatch.chdir(tmp_path)
        sweep = {
            "name": "toy",
            "model": {"name": "mlp"},
            "dataset": {"name": "digits"},
            "loss": "kld",
            "grid": {"batch_size": [32], "learning_rate": [0.1]},
            "training": {"epochs": 1},
        }
        Path("toy.yaml").write_text(yaml.safe_dump(sweep | settings))

    return write


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A local folder, and object storage."""
    if request.param == "folder":
        return Store.open(str(tmp_path / "store"))
    found: Store = request.getfixturevalue("s3_store")
    return found


@pytest.fixture
def files_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files of stores that were read, in their order."""
    found: list[str] = []
    former = filesystem.read

    def noted(root: object, path: str) -> bytes | None:
        found.append(path)
        return former(root, path)

    monkeypatch.setattr(filesystem, "read", noted)
    return found


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


@pytest.fixture
def trial_record() -> Callable[[PlannedTrial], TrialRecord]:
    """Make the record of a planned trial, as its training would."""

    def make(planned: PlannedTrial, attempt_id: str = "a1", **changes: object) -> TrialRecord:
        trial = planned.trial
        time = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        fields: dict[str, object] = {
            "trial_id": planned.trial_id, "attempt_id": attempt_id, "model": trial.model.name,
            "depth": None, "dataset": trial.dataset.name, "data_digest": trial.data_digest,
            "num_train": 100, "num_params": 10, "loss": trial.loss,
            "batch_size": trial.batch_size, "learning_rate": trial.learning_rate,
            "final_learning_rate": trial.final_learning_rate, "seed": trial.seed,
            "momentum": 0.0, "weight_decay": 0.0, "epochs": 1, "outcome": "budget_spent",
            "converged_at_epoch": None, "train_loss": 0.5, "train_accuracy": 0.9,
            "validation_loss": 0.6, "validation_accuracy": 0.8, "weights_sha256": "w",
            "wall_seconds": 10.0, "device": "cpu", "device_share": 0.0, "host": "h",
            "environment_id": "e", "started_at": time, "finished_at": time, "spec": "{}",
        }  # fmt: skip
        return TrialRecord.model_validate(fields | changes)

    return make


@pytest.fixture
def finish_trial(
    trial_record: Callable[..., TrialRecord],
) -> Callable[..., None]:
    """Commit the record, epoch, model and statistics of a trial, as its attempts would."""

    def finish(
        store: Store,
        planned: PlannedTrial,
        statistics: list[PlannedStatistic],
        value: float = 1.0,
        measuring_seconds: float | None = None,
        **changes: object,
    ) -> None:
        record = trial_record(planned, **changes)
        name, attempt_id = planned.trial_id, record.attempt_id
        epoch = EpochRecord(
            trial_id=name, epoch=0, learning_rate=0.1, train_loss=0.5, train_accuracy=0.9,
            validation_loss=0.6, validation_accuracy=0.8, seconds=1.0,
        )  # fmt: skip
        store.write_bytes(Store.model_path(name, attempt_id), b"model")
        store.commit("epochs", (name,), attempt_id, table("epochs", [epoch]))
        store.commit("trials", (name,), attempt_id, table("trials", [record]))
        row = Measurement(
            quantity="mean_loss", value=value, stderr=0.0, num_samples=1, method="m",
            bn_mode="frozen", split="train", objective="data", wall_seconds=measuring_seconds,
        )  # fmt: skip
        for item in statistics:
            rows = measurement_table(name, item.statistic, item.statistic_id, [row])
            store.commit("measurements", (name, item.statistic_id), attempt_id, rows)

    return finish


@pytest.fixture
def make_beat() -> Callable[..., Heartbeat]:
    """Make a heartbeat; its attempt began `age` seconds before it, of what it has done `done` of `total`."""

    def make(trial_id: str, age: float = 100.0, **changes: object) -> Heartbeat:
        beat_at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        progress = {
            name: changes.pop(name)
            for name in ("done", "total", "epoch", "epochs", "resumed_at")
            if name in changes
        }
        fields: dict[str, object] = {
            "trial_id": trial_id, "attempt_id": "a", "statistic": None, "sweep": "toy",
            "run_id": "run", "state": "running", "host": "h", "pid": 1, "devices": "-1",
            "device_share": 0.0, "started_at": (beat_at - timedelta(seconds=age)).isoformat(),
            "beat_at": beat_at.isoformat(), "progress": {"phase": "training"} | progress,
        }  # fmt: skip
        return Heartbeat.model_validate(fields | changes)

    return make


@pytest.fixture
def dead_pid():
    """Give the number of a process that has just ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid
