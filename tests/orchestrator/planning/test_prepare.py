"""A sweep compared with its store and the machines at hand; nothing is written."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest

from orchestrator.planning.fit import Node
from orchestrator.planning.plan import publish_plan
from orchestrator.planning.prepare import Options, misfit_cure, prepare, refuse_misfit
from orchestrator.running.run import RunResult
from orchestrator.running.tasks import make_tasks
from workers.contract.errors import UserError

SWEEP = """
name: toy
model: {name: mlp}
dataset: {name: digits}
loss: kld
grid: {batch_size: [32], learning_rate: [0.1, 0.2]}
seeds: 2
training: {epochs: 1}
measure: [losses, traces]
resources: {gpus: 0.5, cpus: 3}
"""


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.yaml").write_text(SWEEP)


def prepared_with(*overrides: str):
    return prepare("toy.yaml", Options("store", overrides=overrides))


def test_an_empty_store_misses_everything(tmp_path):
    """And is still not there afterwards."""
    prepared = prepared_with()
    assert len(prepared.missing) == len(prepared.open_work) == 4
    assert 0 < prepared.seconds_left(4) < prepared.seconds_left(1) < math.inf
    assert [path.name for path in tmp_path.iterdir()] == ["toy.yaml"]


def test_open_work_is_what_is_missing_longest_first(finish_trial):
    """A done trial is none of it, and a trained one comes after one to train."""
    prepared = prepared_with()
    first, second, *others = prepared.plan.trials
    finish_trial(prepared.store, first, prepared.plan.statistics)
    finish_trial(prepared.store, second, prepared.plan.statistics[:1], wall_seconds=100.0)
    left = [item.planned for item in prepared_with().open_work]
    assert left == [*others, second]


def test_a_plan_that_is_in_the_store_keeps_its_revision():
    """However often it is prepared; another one has its own."""
    plan = publish_plan(prepared_with().store, prepared_with().plan)
    assert prepared_with().plan == plan
    assert prepared_with("seeds=3").plan.revision != plan.revision


def test_faults_of_sweep_and_store_come_together(tmp_path):
    """All at once."""
    with pytest.raises(UserError) as error:
        prepare("toy.yaml", Options("toy.yaml/store", overrides=("colour=1", "seeds=0")))
    told = [fault.what for fault in error.value.faults]
    assert len(told) == 3
    assert "unknown key 'colour'" in told
    assert any("toy.yaml is not a folder" in what for what in told)


def test_a_trial_that_fits_nowhere_is_refused_with_the_way_out():
    """Without GPUs, on as many threads as the largest node has, and how long that would take."""
    nodes = [Node("a", 2, 0), Node("b", 4, 0)]
    with pytest.raises(UserError) as error:
        refuse_misfit(prepared_with(), nodes)
    mend = error.value.faults[0].mend
    assert "--set resources.gpus=0 --set resources.cpus=3: about " in mend
    assert re.search(r"about \d+ (s|min) on what is here", mend)
    assert "resources.cpus=2:" in misfit_cure(prepared_with(), [Node("a", 2, 0)])
    refuse_misfit(prepared_with(), [*nodes, Node("c", 8, 1)])


def test_the_way_out_tells_no_time_where_it_is_not_known():
    """As of a model that tells no multiply-adds; nor where nothing is left to do."""
    prepared, node = prepared_with(), Node("a", 2, 0)
    unknown = replace(prepared.estimator, multiply_adds=math.nan)
    for each in (replace(prepared, estimator=unknown), replace(prepared, missing=[])):
        assert misfit_cure(each, [node]) == (
            "run it on a cluster whose nodes have them (--address), or on CPUs alone with "
            "--set resources.gpus=0 --set resources.cpus=2"
        )


def test_the_way_out_asks_for_no_more_memory_than_there_is():
    """Nor for a kind of GPU, where none is used."""
    overrides = "resources={gpus: 1, cpus: 2, memory: 64GiB, accelerator: H100}"
    node = Node("a", 2, 1, memory=2**33, accelerators=("T4",))
    head = Node("head", 0, 0, memory=2**35)  # of memory where no trial can be nothing is told
    told = misfit_cure(prepared_with(overrides), [head, node])
    assert (
        "--set resources.gpus=0 --set resources.cpus=2 --set resources.memory=8192MiB "
        "--set resources.accelerator=null: about "
    ) in told


def test_a_task_holds_the_memory_and_the_kind_of_gpu_that_the_sweep_asks_for():
    """Its identity does not depend on them."""
    overrides = "resources={gpus: 1, memory: 4GiB, accelerator: H100, mixed_devices: true}"
    asking, plain = prepared_with(overrides), prepared_with()
    (task, *_) = make_tasks(asking, Options("store"), "run7", asking.open_work)
    demand = task.demand
    assert (demand.gpus, demand.memory, demand.accelerator) == (1.0, 2**32, "H100")
    ids = [{item.trial_id for item in each.plan.trials} for each in (asking, plain)]
    assert ids[0] == ids[1]


def test_a_task_holds_what_a_slot_must_know():
    """The missing work of each open trial, with the sweep's resources and the command's options."""
    options = Options("store", data_dir="/data", checkpoint_seconds=7.0)
    prepared = prepared_with()
    tasks = make_tasks(prepared, options, "run7", prepared.open_work)
    assert len(tasks) == 4
    task = tasks[0]
    assert (task.sweep, task.run_id, task.is_trained) == ("toy", "run7", False)
    assert [item.statistic.name for item in task.statistics] == ["losses", "traces"]
    assert (task.num_threads, task.device_share) == (3, 0.5)
    assert (task.data_dir, task.checkpoint_seconds) == ("/data", 7.0)
    assert task.store == prepared_with().store.uri
    assert type(task).model_validate_json(task.model_dump_json()) == task


@pytest.mark.parametrize(
    ("statuses", "cluster_lost", "code"),
    [
        ([], "", 0),
        (["done", "done"], "", 0),
        (["done", "failed"], "", 1),
        (["failed", "drained"], "", 3),
        (["done", "elsewhere"], "", 3),
        (["done"], "no head", 3),
        (["failed"], "no head", 3),
    ],
)
def test_exit_code_of_a_run(statuses, cluster_lost, code):
    """What was interrupted or lost outweighs what failed: the same command goes on."""
    by_trial = {str(number): status for number, status in enumerate(statuses)}
    assert RunResult(by_trial, cluster_lost).exit_code == code
