"""Which orders are carried out by one process in turn, and which have one of their own."""

from __future__ import annotations

import contextlib
import json

from orchestrator.slots.slot import Slot
from workers.contract.identity import statistic_id
from workers.contract.plan_document import PlannedStatistic
from workers.contract.statistics import PluginStatisticSpec
from workers.statistics.losses import LossesSpec
from workers.statistics.traces import TracesSpec


def plan(statistic):
    return PlannedStatistic(statistic_id=statistic_id(statistic), statistic=statistic)


BUILT_IN = [plan(LossesSpec()), plan(TracesSpec())]
OWN = PlannedStatistic(
    statistic_id="own", statistic=PluginStatisticSpec(name="my.statistics:norm", settings={})
)


def processes(tasks, tmp_path):
    """Do tasks in one slot; the process ids in the order in which they worked."""
    with contextlib.closing(Slot()) as slot:
        for task in tasks:
            assert slot.run(task, "-1").status == "done"
    notes = [json.loads(path.read_text()) for path in (tmp_path / "store/seen").iterdir()]
    return [note["pid"] for note in sorted(notes, key=lambda note: note["began"])]


def test_the_work_of_one_trial_after_the_other_is_done_by_one_process(
    make_task, tmp_path, make_trial
):
    """Training, two statistics, and those of the next trial."""
    planned = [make_trial(0, batch_size=size) for size in (16, 32)]
    tasks = [make_task(0, planned=each, statistics=BUILT_IN) for each in planned]
    found = processes(tasks, tmp_path)
    assert (len(found), len(set(found))) == (6, 1)


def test_a_users_own_code_has_a_process_of_its_own(make_task, tmp_path):
    """Nothing that it leaves behind there meets other work."""
    task = make_task(0, statistics=[BUILT_IN[0], OWN, BUILT_IN[1]])
    training, losses, own, traces = processes([task], tmp_path)
    assert training == losses
    assert len({losses, own, traces}) == 3


def test_a_trial_of_a_users_own_model_has_processes_of_its_own(make_task, make_trial, tmp_path):
    """Each of its orders."""
    planned = make_trial(0)
    trial = planned.trial.model_copy(update={"plugin_digests": {"my.models:small": "0"}})
    own = planned.model_copy(update={"trial": trial})
    found = processes([make_task(0, planned=own, statistics=BUILT_IN)], tmp_path)
    assert (len(found), len(set(found))) == (3, 3)


def test_on_a_gpu_each_order_has_a_process_of_its_own(make_task, tmp_path):
    """The memory that it took there ends with it."""
    found = processes([make_task(0, device_share=0.5, statistics=BUILT_IN)], tmp_path)
    assert (len(found), len(set(found))) == (3, 3)
