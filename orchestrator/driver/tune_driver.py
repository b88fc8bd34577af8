"""Ray Tune schedules the tasks on slots, and only that; this file alone imports ray.

One Tune trial per task; a slot is a reused actor that owns a fork server. Nothing Tune writes is
read back: the store is the only truth. Import it after `prepare_environment`.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import logging
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn, Protocol

import ray
from ray import tune
from ray._private import utils as ray_utils
from ray.tune.execution import class_cache
from ray.tune.experiment import Trial
from ray.tune.search import Searcher
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.driver.driving import Around, DriveResult
from orchestrator.driver.head import ClusterLost, Head, knock
from orchestrator.driver.node_call import call_without_gpus
from orchestrator.liveness.run_control import (
    EXIT_INTERRUPTED,
    INTERRUPTED,
    interrupted_afterwards,
    with_handlers_kept,
)
from orchestrator.machine.console import errors_for_humans
from orchestrator.machine.guardian import guarded
from orchestrator.machine.scratch import quiet_stdout
from orchestrator.planning.fit import Node, this_machine
from orchestrator.running.preflight import Reply
from orchestrator.slots.failures import Failure
from orchestrator.slots.lost_slots import loss_of
from orchestrator.slots.slot import Slot
from orchestrator.slots.task import SlotResult, SlotTask
from workers.contract.errors import UserError, user_error
from workers.contract.sweep_spec import ResourcesSpec

_MAX_LOST_SLOTS = 40
"""Of one trial in one wave, whatever lost them; the policy of their classes ends it long before."""
_OBJECT_STORE_BYTES = 200 * 2**20
_ANSWER_SECONDS = 300.0
_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECURITY_TOKEN",
    "AWS_SESSION_TOKEN",
)

_log = logging.getLogger(__name__)


class TrialSlot(tune.Trainable):  # type: ignore[misc]  # ray has no types
    """A slot as Tune sees it: one step does the whole task."""

    @classmethod
    def default_resource_request(cls, config: dict[str, str]) -> tune.PlacementGroupFactory:
        """Ask for what the task needs."""
        return _room_for(SlotTask.model_validate_json(config["task"]).demand)

    def setup(self, config: dict[str, str]) -> None:  # noqa: ARG002  # Tune's signature
        """Make the slot; its fork server starts with the first task."""
        self._slot = Slot()

    def step(self) -> dict[str, object]:
        """Do the task of the current trial."""
        task = SlotTask.model_validate_json(self.config["task"])
        devices = os.environ.get("CUDA_VISIBLE_DEVICES", "") if task.device_share else "-1"
        return {"done": True, "result": self._slot.run(task, devices).model_dump_json()}

    def reset_config(self, new_config: dict[str, str]) -> bool:  # noqa: ARG002  # Tune's signature
        """Take the next task in the same process."""
        return True

    def cleanup(self) -> None:
        """End the fork server."""
        self._slot.close()


@contextlib.contextmanager
def cluster(address: str | None, scratch: Path) -> Iterator[list[Node]]:
    """Join the cluster at an address, or start one of our own on this machine, and list its nodes.

    Raises:
        UserError: There is no cluster at the address.
    """
    with guarded(scratch), quiet_stdout():
        try:
            try:
                _connect(address, scratch)
                yield _nodes()
            finally:
                if not isinstance(sys.exception(), ClusterLost | KeyboardInterrupt):
                    with_handlers_kept(ray.shutdown)  # it puts SIGTERM back to the default
        except ClusterLost:
            atexit.register(_leave_without_ray)
            raise
        except KeyboardInterrupt:
            # Tune's thread may be at work in Ray, whose end would then end us with a code of its own
            print(INTERRUPTED, file=errors_for_humans())
            _leave_without_ray()


def ask_nodes(
    function: Callable[[str], str],
    questions: Mapping[str, str],
    seconds: float = _ANSWER_SECONDS,
    head_seconds: float = 30.0,
) -> dict[str, Reply]:
    """Run a plain function once on every node named, all at once, without any GPU.

    Args:
        function: Of a module that every node can import.
        questions: What it is given, by the node's id.
        seconds: A node that has not answered by then is silent; it may have data to download.
        head_seconds: A head that does not answer for this long is lost.

    Raises:
        ClusterLost: The head is.
    """
    # max_calls: what the function has loaded leaves the node with its process
    task = ray.remote(num_cpus=0, max_retries=0, max_calls=1)(call_without_gpus)
    asked = {
        node_id: task.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False)
        ).remote(function, question)
        for node_id, question in questions.items()
    }
    deadline, waiting = time.monotonic() + seconds, list(asked.values())
    with head_of_cluster(head_seconds) as head:
        while (
            waiting and (left := deadline - time.monotonic()) > 0
        ):  # in steps, so that signals come in
            _, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=min(1.0, left))
            head.refuse_silence()
        alive = {node.node_id for node in head.wait_for_answer()}
    for task_ref in waiting:
        ray.cancel(task_ref, force=True)
    silent = Reply(None, f"nothing within {seconds:.0f} s")
    replies = {
        node_id: silent if task_ref in waiting else _reply(task_ref)
        for node_id, task_ref in asked.items()
    }
    return {
        node_id: reply if node_id in alive else replace(reply, is_leaving=True)
        for node_id, reply in replies.items()
    }


def _reply(task_ref: ray.ObjectRef) -> Reply:
    try:
        return Reply(str(ray.get(task_ref)))
    except ray.exceptions.TaskUnschedulableError as error:
        return Reply(None, str(error).strip().splitlines()[-1], is_leaving=True)
    except ray.exceptions.RayError as error:
        return Reply(None, str(error).strip().splitlines()[-1])


def head_of_cluster(head_seconds: float) -> Head:
    """Give what watches the head of the joined cluster, to be entered."""
    return Head(_nodes, head_seconds=head_seconds)


def drive(tasks: Sequence[SlotTask], nodes: Sequence[Node], around: Around) -> DriveResult:
    """Run every task on some slot of the joined cluster, in the order given as slots come free.

    Args:
        tasks: What to do; each asks for its own share of a GPU.
        nodes: Of the cluster; what they hold at once bounds what waits in Ray.
        around: What is told and asked meanwhile.

    Raises:
        ClusterLost: What is not done by then can be resumed on another cluster.
    """
    demands = {task.demand for task in tasks}
    slots = sum(max(node.slots_for(demand) for demand in demands) for node in nodes)
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(slots + 2)
    outcome: list[DriveResult | BaseException] = []
    trials = _Trials(around.on_loss)

    def fit() -> None:
        try:
            outcome.append(_fit(tasks, trials, around.scratch))
        except BaseException as error:  # noqa: BLE001  # carried to the calling thread
            outcome.append(error)

    # Tune takes over SIGINT and SIGUSR1 only in the main thread; they are ours
    thread = threading.Thread(target=fit, name="tune", daemon=True)
    thread.start()
    with head_of_cluster(around.head_seconds) as head:
        while thread.is_alive():
            thread.join(1.0)
            around.watch(trials)
            trials.is_draining = around.is_stopping()
            head.check(demands, is_stopping=trials.is_draining)
        if isinstance(outcome[0], BaseException):
            head.wait_for_answer()  # whatever Tune raises where the head is gone
            raise outcome[0]
    return outcome[0]


def _fit(tasks: Sequence[SlotTask], trials: _Trials, scratch: Path) -> DriveResult:
    # Tune would write the driver's credentials into the cluster's records
    class_cache.ENV_VARS_TO_PROPAGATE.difference_update(_CREDENTIALS)
    tuner = tune.Tuner(
        TrialSlot,
        tune_config=tune.TuneConfig(
            search_alg=_InOrder(tasks),
            num_samples=len(tasks),
            reuse_actors=True,
            trial_name_creator=_name,
            trial_dirname_creator=_name,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(scratch / "tune"),
            verbose=0,
            callbacks=[trials],
            stop=_Drain(trials),
            failure_config=tune.FailureConfig(max_failures=_MAX_LOST_SLOTS),
            # a class trainable that cannot save would end in error
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    answers = [item.metrics["result"] for item in tuner.fit() if "result" in (item.metrics or {})]
    results = [SlotResult.model_validate_json(answer) for answer in answers]
    unanswered = {task.trial_id for task in tasks} - {result.trial_id for result in results}
    unstarted = unanswered - trials.given_up if trials.is_draining else set()
    return DriveResult(results, lost=unanswered - unstarted, unstarted=unstarted)


@functools.cache  # Tune compares them for each trial at each step, which equal objects make slow
def _room_for(demand: ResourcesSpec) -> tune.PlacementGroupFactory:
    gpus = {"GPU": demand.gpus} if demand.gpus else {}
    return tune.PlacementGroupFactory([{"CPU": float(demand.cpus)} | gpus])


def _name(trial: _Trial) -> str:
    return str(trial.trial_id)


class _State(Protocol):
    ray_actor: object | None


class _Trial(Protocol):
    """What is used of Tune's own class, which has no types."""

    trial_id: str
    config: dict[str, str]
    status: str
    temporary_state: _State
    pickled_error_file: str | None


class _InOrder(Searcher):  # type: ignore[misc]  # ray has no types
    """Gives Tune one task after the other; of a grid it would copy the whole for each of them."""

    def __init__(self, tasks: Sequence[SlotTask]) -> None:
        super().__init__()
        self._left = list(reversed(tasks))

    def suggest(self, trial_id: str) -> dict[str, str] | None:  # noqa: ARG002  # Tune's signature
        """Give the next task; Tune asks as often as there are tasks."""
        return {"task": self._left.pop().model_dump_json()}

    def on_trial_complete(self, *_: object, **__: object) -> None:
        """Learn nothing from how it went."""

    def save_to_dir(self, *_: object, **__: object) -> None:
        """Keep nothing, as nobody reads what Tune keeps."""


class _Trials(tune.Callback):  # type: ignore[misc]  # ray has no types
    """Hears from Tune which slot does what, and which was lost; it never raises, which would end Tune.

    Attributes:
        given_up: Trials that Tune tries no more.
        is_draining: Whether the run was asked to drain; once its slots are idle none is given out.
    """

    def __init__(self, on_loss: Callable[[SlotTask, Failure], None]) -> None:
        self._on_loss = on_loss
        self._started: dict[str, _Trial] = {}
        self._lost_actors: set[str] = set()
        self.given_up: set[str] = set()
        self.is_draining = False

    def __getstate__(self) -> dict[str, object]:
        return {}  # Tune keeps callbacks in a file, which nobody reads

    def on_trial_start(self, *, trial: _Trial, **_: object) -> None:  # Tune's signature
        """Remember whose slot it is."""
        self._started[_task_of(trial).trial_id] = trial

    def on_trial_recover(self, *, trial: _Trial, **_: object) -> None:
        """Tell of a lost slot; Tune tries the trial again."""
        self._tell(trial)

    def on_trial_error(self, *, trial: _Trial, **_: object) -> None:
        """Tell of a lost slot; Tune gives the trial up for this drive."""
        self.given_up.add(_task_of(trial).trial_id)
        self._tell(trial)

    def busy(self) -> set[str]:
        """Name the trials that slots hold."""
        return {
            name for name, trial in list(self._started.items()) if trial.status == Trial.RUNNING
        }

    def end(self, trial_id: str) -> None:
        """Kill the slot that holds a trial, if any does; Tune then starts another."""
        trial = self._started.get(trial_id)
        actor = None if trial is None else trial.temporary_state.ray_actor
        if actor is not None:
            ray.kill(actor)

    def _tell(self, trial: _Trial) -> None:
        try:
            error = _take_error(trial)
            actor = getattr(error, "actor_id", None)
            if actor in self._lost_actors:  # Tune tells twice of a slot that was lost while idle
                return
            self._on_loss(_task_of(trial), loss_of(error))
            if actor is not None:
                self._lost_actors.add(actor)
        except Exception:  # noqa: BLE001  # it must not end the other trials
            _log.exception("a lost slot could not be recorded")


class _Drain(tune.Stopper):  # type: ignore[misc]  # ray has no types
    """Ends a drained run once its slots are idle: what waits for one may wait for another run's end."""

    def __init__(self, trials: _Trials) -> None:
        self._trials = trials

    def __call__(self, trial_id: str, result: dict[str, object]) -> bool:  # noqa: ARG002  # Tune's
        """Let a trial end by itself."""
        return False

    def stop_all(self) -> bool:
        """Say whether to end all that waits; Tune asks at each step."""
        return self._trials.is_draining and not self._trials.busy()


def _take_error(trial: _Trial) -> Exception | None:
    """Take what Ray raised last, if anything, out of the scratch folder, where Tune keeps it at first."""
    path = Path(trial.pickled_error_file or "")
    if not path.is_file():
        return None
    error: Exception = pickle.loads(path.read_bytes())  # noqa: S301  # this process wrote it
    path.unlink()
    return error


def _task_of(trial: _Trial) -> SlotTask:
    return SlotTask.model_validate_json(trial.config["task"])


def _leave_without_ray() -> NoReturn:
    """Leave before Ray's own farewell, which would wait for a head that is gone.

    The guardian ends what is left of a cluster of our own, and removes the scratch folder.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_INTERRUPTED)


def _connect(address: str | None, scratch: Path) -> None:
    try:
        _start_or_join(address, scratch)
    except (ray.exceptions.RayError, RuntimeError, ValueError, OSError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise _no_cluster(reason, address) from error


def _no_cluster(reason: str, address: str | None) -> UserError:
    if address is None:
        return user_error(
            f"Ray does not start: {reason}",
            where="this machine",
            mend="make room in memory and for temporary files; `minima doctor` looks at both disks",
        )
    return user_error(
        f"no Ray cluster answers: {reason}",
        where=f"--address {address}",
        mend="start one with `ray start --head`, mend the address, or check RAY_AUTH_MODE "
        "and the token; without an address a local cluster is started",
    )


def _start_or_join(address: str | None, scratch: Path) -> None:
    logging.getLogger("ray").setLevel(logging.ERROR)
    # of every lost slot it prints the stack; what was lost is told in the `failures` view
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    own = {
        # Ray knows of a container's quota, and not which CPUs this process may use
        "num_cpus": min(this_machine().cpus, ray_utils.get_num_cpus()),
        "include_dashboard": False,
        "object_store_memory": _OBJECT_STORE_BYTES,
        "_temp_dir": str(scratch / "ray"),
    }
    if address is not None:
        knock(address)
    with interrupted_afterwards(), _no_handlers_of_ray():
        ray.init(address=address or "local", **quiet, **({} if address else own))


@contextlib.contextmanager
def _no_handlers_of_ray() -> Iterator[None]:
    """Keep SIGTERM ours: Ray's handlers leave with codes of their own, or get lost while it starts."""
    former = ray_utils.set_sigterm_handler
    ray_utils.set_sigterm_handler = lambda _handler: None
    try:
        yield
    finally:
        ray_utils.set_sigterm_handler = former


def _nodes() -> list[Node]:
    return [
        Node(
            name=str(node["NodeManagerHostname"]),
            cpus=int(node["Resources"].get("CPU", 0)),
            gpus=int(node["Resources"].get("GPU", 0)),
            node_id=str(node["NodeID"]),
        )
        for node in ray.nodes()
        if node["Alive"]
    ]
