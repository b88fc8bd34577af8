"""What Ray raises is told by what it means: no cluster, a lost one, a lost slot and what lost it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ray._private import services
from ray.core.generated.common_pb2 import ActorDiedErrorContext, NodeDeathInfo
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    AuthenticationError,
    RayTaskError,
)
from ray.train._internal import storage
from ray.tune.experiment import Trial

from orchestrator.driver import callbacks, cluster, drive
from orchestrator.planning.fit import Node
from orchestrator.running.driver import ClusterLost, Hooks
from orchestrator.slots.leaving import NodeLeaves
from workers.contract.errors import UserError

NODE = Node("n", cpus=2, gpus=0)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch):
    monkeypatch.setenv("TUNE_MAX_PENDING_TRIALS_PG", "1")  # a drive sets it


@pytest.mark.parametrize(
    "error", [AuthenticationError("no token"), TimeoutError(), OSError("gone")]
)
def test_a_cluster_that_cannot_be_joined_is_the_users_to_mend(monkeypatch, tmp_path, error):
    """A token that is missing too; also where Ray gives no reason."""

    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(cluster, "_start_or_join", refuse)
    with pytest.raises(UserError, match=r"no Ray cluster answers: ."):
        cluster._connect("127.0.0.1:6379", tmp_path)
    with pytest.raises(UserError, match=r"Ray does not start: .") as told:
        cluster._connect(None, tmp_path)
    assert "mend:  make room in memory" in str(told.value)


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="elsewhere Ray's reaper ends our group"
)
def test_a_signal_to_our_group_does_not_reach_rays_processes():
    """As of `timeout`, or a shell's `kill %1`: what we start for a cluster of our own has a session of its own."""
    former = services.ConsolePopen
    with cluster._ray_apart():
        started = services.start_ray_process(["sleep", "600"], "test", fate_share=True).process
    try:
        assert os.getsid(started.pid) == os.getpgid(started.pid) == started.pid
    finally:
        started.kill()
        started.wait()
    assert services.ConsolePopen is former


LOSE_THE_CLUSTER_AND_FAIL = """
import sys
from pathlib import Path
from orchestrator import cli
from orchestrator.commands import plan_command
from orchestrator.driver import cluster
from orchestrator.running.driver import ClusterLost
from workers.contract.errors import StoreError

cluster._start_or_join, cluster._nodes = (lambda *_: None), (lambda: [])

def lose_and_fail(*_, **__):
    try:
        with cluster.cluster(None, Path("scratch")):
            raise ClusterLost("gone")
    except ClusterLost:
        raise {2: StoreError("full"), 4: ZeroDivisionError(), 3: KeyboardInterrupt()}[code]

code = int(sys.argv[1])
plan_command.plan = lose_and_fail
sys.argv = ["minima", "plan", "toy.yaml"]
cli.main()
"""


@pytest.mark.parametrize("code", [2, 3, 4])
def test_a_command_that_fails_after_it_lost_the_cluster_leaves_with_its_own_code(tmp_path, code):
    """As where the store is full when the run is averaged: bad input and a fault of ours are not to be resumed."""
    left = subprocess.run(
        [sys.executable, "-c", LOSE_THE_CLUSTER_AND_FAIL, str(code)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert left.returncode == code, left.stderr


def drive_into_a_fault(make_task, scratch: Path) -> None:
    hooks = Hooks(lambda _: None, lambda *_: None, lambda: False, scratch, head_seconds=1.5)
    drive.drive([make_task(0)], [NODE], hooks)


def test_what_tune_raises_over_a_lost_head_is_a_lost_cluster(make_task, monkeypatch, tmp_path):
    """Whatever it raises, and though that comes before the head has been silent for long."""

    def fail(*_: object) -> None:
        raise RuntimeError("failed to connect to GCS")

    monkeypatch.setattr(drive, "_fit", fail)
    monkeypatch.setattr(cluster, "_nodes", fail)
    with pytest.raises(ClusterLost):
        drive_into_a_fault(make_task, tmp_path)


def test_what_tune_raises_while_the_head_answers_is_a_fault_of_ours(
    make_task, monkeypatch, tmp_path
):
    """It is not hidden."""

    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(drive, "_fit", fail)
    monkeypatch.setattr(cluster, "_nodes", lambda: [NODE])
    with pytest.raises(RuntimeError, match="a bug"):
        drive_into_a_fault(make_task, tmp_path)


@pytest.fixture
def trial(make_task, tmp_path, monkeypatch):
    """Give a trial as Tune keeps it, with its own folder."""
    # without Ray there is no folder of a session
    monkeypatch.setattr(storage, "_get_ray_train_session_dir", lambda: str(tmp_path / "session"))
    place = storage.StorageContext(str(tmp_path / "stored"), "tune", trial_dir_name="trial")
    config = {"task": make_task(0).model_dump_json()}
    made = Trial("slot", stub=True, config=config, storage=place)
    made.init_local_path()
    return made


def dead(actor: int, message: str, reason: int | None = None) -> ActorDiedError:
    """Make what Ray raises of a lost actor."""
    cause = ActorDiedErrorContext(actor_id=bytes([actor]) * 16, error_message=message)
    if reason is not None:
        cause.node_death_info.reason = reason
    return ActorDiedError(cause=cause)


@pytest.fixture
def heard() -> list[str]:
    """The classes of the losses that were told."""
    return []


@pytest.fixture
def trials(heard):
    return callbacks.SlotListener(lambda _, loss: heard.append(loss.failure_class))


@pytest.mark.parametrize(
    ("error", "failure_class"),
    [
        (dead(1, "The actor is dead because its worker process has died."), "worker_lost"),
        (dead(1, "The actor died because its node has died."), "node_lost"),
        (
            dead(1, "its node has died", NodeDeathInfo.AUTOSCALER_DRAIN_PREEMPTED),
            "preempted",
        ),
        (dead(1, "Task was killed due to the node running low on memory."), "host_out_of_memory"),
        (dead(1, ""), "worker_lost"),
        (ActorUnavailableError("Socket closed", bytes(16)), "node_lost"),
        (RuntimeError("no room for an actor"), "worker_lost"),
    ],
)
def test_a_lost_slot_is_told_by_what_lost_it(trial, trials, heard, error, failure_class):
    """Though Tune stores what Ray raised only when the whole experiment is over."""
    trial.handle_error(error)
    trials.on_trial_recover(trial=trial)
    assert heard == [failure_class]


def test_a_slot_lost_between_two_trials_is_told_once(trial, trials, heard):
    """Tune tells of it twice, first that it tries again, then that it does not."""
    for tell in (trials.on_trial_recover, trials.on_trial_error):
        trial.handle_error(dead(1, "its node has died"))
        tell(trial=trial)
    assert heard == ["node_lost"]
    assert len(trials.given_up) == 1


def test_a_slot_that_left_its_node_on_notice_is_not_lost(trial, trials, heard):
    """It has recorded why itself."""
    cause = NodeLeaves("node n is to end")
    trial.handle_error(RayTaskError("train", "", cause).as_instanceof_cause())
    trials.on_trial_recover(trial=trial)
    assert heard == []


def test_each_slot_lost_counts(trial, trials, heard):
    """Another actor is another loss, and so is one that Ray says nothing of."""
    for error in [dead(1, "its node has died"), dead(2, ""), RuntimeError(), RuntimeError()]:
        trial.handle_error(error)
        trials.on_trial_recover(trial=trial)
    assert heard == ["node_lost", "worker_lost", "worker_lost", "worker_lost"]
