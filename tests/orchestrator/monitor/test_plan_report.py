"""What a plan would take: time, cost, and nodes."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.console import Console

from orchestrator.monitor.plan_report import (
    hours,
    nodes_table,
    plan_document,
    plan_report,
    plan_table,
    summary_line,
)
from orchestrator.planning.estimate import START_SECONDS
from orchestrator.planning.fit import Node
from orchestrator.planning.prepare import Options, prepare
from workers.contract.records import FailureRecord, table
from workers.contract.sweep_spec import ResourcesSpec

SWEEP = """
name: toy
model: {name: mlp}
dataset: {name: digits}
loss: kld
grid: {batch_size: [32, 64], learning_rate: [0.1]}
seeds: 2
training: {epochs: 1}
measure: [losses]
"""
TRAINING, LOSSES = 3600 - START_SECONDS, 1800 - START_SECONDS


@pytest.fixture
def prepare_toy(tmp_path, monkeypatch):
    """Compare the toy sweep with its store as it is by then."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.yaml").write_text(SWEEP)
    return lambda **options: prepare("toy.yaml", Options("store", **options))


@pytest.fixture
def recorded(prepare_toy, finish_trial):
    """One of four trials is done, an hour of training and half an hour of losses."""
    first = prepare_toy()
    finish_trial(
        first.store, first.plan.trials[0], first.plan.statistics, wall_seconds=TRAINING,
        measuring_seconds=LOSSES,
    )  # fmt: skip
    return prepare_toy()


def text_of(renderable) -> str:
    stream = io.StringIO()
    Console(file=stream, width=100).print(renderable)
    return stream.getvalue()


def test_time_and_cost_in_closed_form(recorded):
    """Three trials of an hour and a half on two slots of two cores: three hours, nine core-hours."""
    sweep = recorded.sweep.model_copy(update={"resources": ResourcesSpec(gpus=0, cpus=2)})
    report = plan_report(replace(recorded, sweep=sweep), [Node("a", 4, 0)])
    assert report.slots == 2
    assert report.status.seconds_left == pytest.approx(3 * 3600)
    assert report.cost == pytest.approx(9.0)
    assert [report.cell_costs[cell] for cell in sweep.cells] == pytest.approx([3.0, 6.0])
    assert summary_line(report) == (
        "2 trials at once; about 3.0 h left, 9 core-hours, by 1 recorded trial"
    )
    rows = [line for line in text_of(plan_table(report)).splitlines() if line.startswith("│")]
    assert [part.strip() for part in rows[0].split("│")][1:-1] == [
        "32", "0.1", "1", "·", "1", "·", "1.5 h", "3",
    ]  # fmt: skip


def test_a_share_of_a_gpu_costs_its_share(recorded):
    """GPU-hours, not cores; here a stated speed, for a processor's record tells nothing of a GPU."""
    sweep = recorded.sweep.model_copy(update={"resources": ResourcesSpec(gpus=0.5, cpus=2)})
    report = plan_report(replace(recorded, sweep=sweep), [Node("a", 4, 1)])
    assert (report.unit, report.slots) == ("GPU-hours", 2)
    assert report.cost == pytest.approx(3 * 1.5 * 0.5)


def test_the_document_has_the_same_numbers(recorded):
    """Time, cost, what both rest on, nodes and trials."""
    report = plan_report(recorded, [Node("a", 2, 0), Node("b", 0, 8)])
    document = json.loads(json.dumps(plan_document(report)))
    assert document["cost"] == {"unit": "core-hours", "hours": pytest.approx(4.5)}
    assert document["estimated_by"] == {
        "source": "by 1 recorded trial",
        "num_recorded_trials": 1,
    }
    assert [cell["cost_hours"] for cell in document["cells"]] == pytest.approx([1.5, 3.0])
    ends = sorted(cell["seconds_left"] for cell in document["cells"])
    assert ends == pytest.approx([5400, 10800])  # two slots, three trials of equal length
    assert [(node["name"], node["slots"]) for node in document["nodes"]] == [("a", 2), ("b", 0)]
    assert [trial["seconds"] for trial in document["trials"]] == pytest.approx(
        [0, 5400, 5400, 5400]
    )
    assert all(trial["fits"] for trial in document["trials"])


def test_the_document_tells_what_diverged_and_what_failed(prepare_toy, finish_trial):
    """As that of `status` does, of the same store."""
    first = prepare_toy()
    done, failed, *_ = first.plan.trials
    finish_trial(first.store, done, first.plan.statistics, outcome="diverged")
    row = FailureRecord(
        trial_id=failed.trial_id, statistic_id=None, attempt_id="f1", failure_class="user_error",
        signature="ValueError", message="no", log_path="l", host="h",
        failed_at=datetime(2026, 1, 2, tzinfo=UTC),
    )  # fmt: skip
    first.store.commit("failures", (failed.trial_id, "f1"), "f1", table("failures", [row]))
    document = plan_document(plan_report(prepare_toy(), [Node("a", 2, 0)]))
    assert [cell["diverged"] for cell in document["cells"]] == [1, 0]
    assert [cell["failed"] for cell in document["cells"]] == [1, 0]
    assert [(group["signature"], group["count"]) for group in document["failures"]] == [
        ("ValueError", 1)
    ]


def test_where_no_node_fits_the_cost_is_told_all_the_same(recorded):
    """And the nodes, each with a no; a time there is none."""
    sweep = recorded.sweep.model_copy(update={"resources": ResourcesSpec(gpus=0, cpus=8)})
    report = plan_report(replace(recorded, sweep=sweep), [Node("a", 4, 0)])
    document = plan_document(report)
    assert (document["fits"], document["seconds_left"]) == (False, None)
    assert summary_line(report).startswith("36 core-hours, by ")
    (row,) = [line for line in text_of(nodes_table(report)).splitlines() if line.startswith("│")]
    assert [part.strip() for part in row.split("│")][1:-1] == ["a", "4", "0", "0", "no"]


def test_memory_and_kind_are_shown_where_a_trial_asks_for_them(recorded):
    """Each node with what it has of them."""
    resources = ResourcesSpec(gpus=1, cpus=1, memory=2**32, accelerator="H100")
    sweep = recorded.sweep.model_copy(update={"resources": resources})
    nodes = [
        Node("a", 4, 2, memory=2**35, accelerators=("H100",)),
        Node("b", 4, 2, memory=2**35, accelerators=("T4",)),
    ]
    report = plan_report(replace(recorded, sweep=sweep), nodes)
    shown = text_of(nodes_table(report))
    assert "a trial holds 1 CPUs, 1 GPUs of kind H100 and 4 GiB of memory" in shown
    rows = [line for line in shown.splitlines() if line.startswith("│")]
    assert [[part.strip() for part in row.split("│")][1:-1] for row in rows] == [
        ["a", "4", "2", "H100", "32 GiB", "2", "yes"],
        ["b", "4", "2", "T4", "32 GiB", "0", "no"],
    ]
    (first, _) = plan_document(report)["nodes"]
    assert (first["memory_bytes"], first["accelerators"]) == (2**35, ["H100"])


def test_an_unknown_cost_is_said(prepare_toy):
    """As of a plugin never run."""
    prepared = prepare_toy()
    unknown = replace(prepared.estimator, multiply_adds=float("nan"))
    report = plan_report(replace(prepared, estimator=unknown), [Node("a", 2, 0)])
    assert summary_line(report) == (
        "2 trials at once; time left unknown, cost unknown, by a stated speed"
    )
    assert plan_document(report)["cost"] == {"unit": "core-hours", "hours": None}
    assert "unknown" in text_of(plan_table(report))


def test_hours_with_two_digits():
    """Or all before the point."""
    assert [hours(value) for value in (0.01234, 1.25, 9.96, 12.3, 1234.5)] == [
        "0.012", "1.2", "10", "12", "1234",
    ]  # fmt: skip
