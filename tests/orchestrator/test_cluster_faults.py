"""What Ray raises is told by what it means: a cluster that cannot be joined, or one that is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from ray.exceptions import AuthenticationError

from orchestrator import tune_driver
from orchestrator.driving import Around
from orchestrator.fit import Node
from orchestrator.head import ClusterLost
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

    monkeypatch.setattr(tune_driver, "_start_or_join", refuse)
    with pytest.raises(UserError, match=r"no Ray cluster answers: ."):
        tune_driver._connect("127.0.0.1:6379", tmp_path)


def drive_into_a_fault(make_task, scratch: Path) -> None:
    around = Around(lambda _: None, lambda *_: None, lambda: False, scratch, head_seconds=1.5)
    tune_driver.drive([make_task(0)], [NODE], around)


def test_what_tune_raises_over_a_lost_head_is_a_lost_cluster(make_task, monkeypatch, tmp_path):
    """Whatever it raises, and though that comes before the head has been silent for long."""

    def fail(*_: object) -> None:
        raise RuntimeError("failed to connect to GCS")

    monkeypatch.setattr(tune_driver, "_fit", fail)
    monkeypatch.setattr(tune_driver, "_nodes", fail)
    with pytest.raises(ClusterLost):
        drive_into_a_fault(make_task, tmp_path)


def test_what_tune_raises_while_the_head_answers_is_a_fault_of_ours(
    make_task, monkeypatch, tmp_path
):
    """It is not hidden."""

    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(tune_driver, "_fit", fail)
    monkeypatch.setattr(tune_driver, "_nodes", lambda: [NODE])
    with pytest.raises(RuntimeError, match="a bug"):
        drive_into_a_fault(make_task, tmp_path)
