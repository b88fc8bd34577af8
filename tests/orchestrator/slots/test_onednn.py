"""oneDNN is turned on for networks that it gets right, and changes their numbers by rounding alone."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import pytest

from orchestrator.slots.slot import Slot
from workers.contract.identity import statistic_id, trial_id
from workers.contract.plan_document import PlannedStatistic
from workers.contract.planned_trials import PlannedTrial
from workers.contract.specs import TrialSpec
from workers.contract.store import Store
from workers.datasets.checked.loading import dataset_facts
from workers.datasets.digits import DigitsSpec
from workers.process import devices
from workers.statistics.losses import LossesSpec
from workers.statistics.traces import TracesSpec

RESNET = {"name": "resnet", "depth": 8}
ONEDNN = "TF_ENABLE_ONEDNN_OPTS"


def plan(model: dict[str, object]) -> PlannedTrial:
    dataset = DigitsSpec(num_train=100)
    trial = TrialSpec.model_validate(
        {
            "model": model,
            "dataset": dataset,
            "data_digest": dataset_facts(dataset, None).digest,
            "loss": "kld",
            "training": {"epochs": 2, "weight_decay": 0.001},
            "batch_size": 20,
            "learning_rate": 0.1,
            "seed": 0,
        }
    )
    return PlannedTrial(trial_id=trial_id(trial), trial=trial)


@pytest.mark.parametrize(
    ("model", "share", "is_right"),
    [
        (RESNET, 0.0, True),
        (RESNET | {"variant": "keras_example"}, 0.0, True),
        (RESNET, 0.5, False),
        ({"name": "mlp"}, 0.0, False),
        ({"name": "my.models:small"}, 0.0, False),
    ],
)
def test_a_task_tells_whether_it_may_be_turned_on(make_task, model, share, is_right):
    """For built-in residual networks on processors: of a user's own, nothing is known."""
    task = make_task(0, planned=plan(model), device_share=share)
    assert task.is_right_with_onednn is is_right


def test_a_slot_has_a_fork_server_for_each_answer(make_task, monkeypatch):
    """The variable is read while TensorFlow is imported: children of one server have it alike."""
    monkeypatch.setattr(devices, "instruction_sets", lambda: "avx avx2")
    seen = []
    with contextlib.closing(Slot()) as slot:
        for model in (RESNET, RESNET, {"name": "mlp"}):
            slot.start(make_task(0, planned=plan(model)))
            pid = slot._server._process.pid
            variables = Path(f"/proc/{pid}/environ").read_text(encoding="utf-8").split("\0")
            seen.append((pid, f"{ONEDNN}=1" in variables))
    first, again, other = seen
    assert first == again != other
    assert (first[1], other[1]) == (True, False)


def rows(store: Store, view: str, key: str) -> dict[tuple[str, ...], float]:
    names = ("quantity", "objective", "split", "layer", "index", "bn_mode")
    return {
        tuple(str(row.get(name)) for name in (*names, "epoch", "statistic_id")): row[key]
        for row in store.read(view).to_pylist()
        if row[key] is not None
    }


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["he2015", "keras_example"])
def test_numbers_change_by_rounding_alone(tmp_path, make_task, monkeypatch, variant):
    """Training, and statistics of the very same weights, by oneDNN's convolutions and by TensorFlow's own."""
    measured = [
        PlannedStatistic(statistic_id=statistic_id(item), statistic=item)
        for item in (LossesSpec(), TracesSpec())
    ]
    monkeypatch.setattr(devices, "instruction_sets", lambda: "avx avx2")
    planned = plan(RESNET | {"variant": variant})
    here = {"planned": planned, "entry": "workers.trial"}

    def work(name: str, **more: object) -> Store:
        store = Store.open(str(tmp_path / name))
        with contextlib.closing(Slot()) as slot:
            done = slot.run(make_task(0, store=store.uri, **here, **more), "-1")
        assert done.status == "done", store.read("failures").to_pylist()
        return store

    on = work("on")
    monkeypatch.setenv(ONEDNN, "0")
    off = work("off")
    shutil.copytree(tmp_path / "off", tmp_path / "off_then_on")
    work("off", is_trained=True, statistics=measured)
    monkeypatch.delenv(ONEDNN)
    then_on = work("off_then_on", is_trained=True, statistics=measured)

    switches = [
        json.loads(store.read("trials")["environment"][0].as_py())["onednn"] for store in (on, off)
    ]
    assert switches == ["1", "0"]
    losses = [rows(store, "epochs", "train_loss") for store in (on, off)]
    assert len(losses[1]) == 2
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    first, second = (rows(store, "measurements", "value") for store in (then_on, off))
    assert len(second) > 50
    assert first == pytest.approx(second, rel=1e-3, abs=1e-6)
    assert first != second
