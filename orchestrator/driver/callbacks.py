"""What Tune is given and what it tells: the tasks in order, the slots lost, when to end."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import ray
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from orchestrator.running.driver import Refusal
from orchestrator.slots.failures import Failure
from orchestrator.slots.leaving import NodeLeaves
from orchestrator.slots.lost_slots import loss_of
from orchestrator.slots.task import SlotTask
from workers.process.code_digest import running_code

_log = logging.getLogger(__name__)


class _State(Protocol):
    ray_actor: object | None


class TuneTrial(Protocol):
    """What is used of Tune's own class, which has no types."""

    trial_id: str
    config: dict[str, str]
    status: str
    temporary_state: _State
    pickled_error_file: str | None


class InOrder(Searcher):  # type: ignore[misc]  # ray has no types
    """Gives Tune one task after the other; of a grid it would copy the whole for each of them.

    Beside each task stands what a slot of other code must be able to read, and what decides the place.

    Args:
        tasks: In their order.
        shunned: Nodes, by id, that get none.
        on_refusal: Called in a thread of the driver's when a slot has given a task back; returns the nodes
            that get none from then on.
    """

    def __init__(
        self,
        tasks: Sequence[SlotTask],
        shunned: Collection[str] = (),
        on_refusal: Callable[[Refusal], frozenset[str]] | None = None,
    ) -> None:
        super().__init__()
        self._left = list(reversed(tasks))
        self._on_refusal = on_refusal
        self.shunned = frozenset(shunned)

    def __getstate__(self) -> dict[str, object]:
        return {}  # Tune keeps it in a file, which nobody reads

    def suggest(self, trial_id: str) -> dict[str, str] | None:  # noqa: ARG002  # Tune's signature
        """Return the next task; Tune asks as often as there are tasks."""
        return {
            "task": self._left.pop().model_dump_json(),
            "code_digest": running_code(),
            "shunned": " ".join(sorted(self.shunned)),
        }

    def on_trial_complete(
        self,
        trial_id: str,  # noqa: ARG002  # Tune's signature
        result: dict[str, str] | None = None,
        error: bool = False,  # noqa: ARG002, FBT001, FBT002  # Tune's signature
    ) -> None:
        """Learn which node has refused it, if any did."""
        refusal = refusal_in(result or {})
        if refusal is not None and self._on_refusal is not None:
            self.shunned = self._on_refusal(refusal)

    def save_to_dir(self, *_: object, **__: object) -> None:
        """Keep nothing, as nobody reads what Tune keeps."""


class SlotListener(tune.Callback):  # type: ignore[misc]  # ray has no types
    """Hears from Tune which slot does what, and which was lost; it never raises, which would end Tune.

    Attributes:
        given_up: Trials that Tune tries no more.
        is_draining: Whether the run was asked to drain; once its slots are idle none is given out.
    """

    def __init__(self, on_loss: Callable[[SlotTask, Failure], None]) -> None:
        self._on_loss = on_loss
        self._started: dict[str, TuneTrial] = {}
        self._lost_actors: set[str] = set()
        self.given_up: set[str] = set()
        self.is_draining = False

    def __getstate__(self) -> dict[str, object]:
        return {}  # Tune keeps callbacks in a file, which nobody reads

    def on_trial_start(self, *, trial: TuneTrial, **_: object) -> None:  # Tune's signature
        """Remember whose slot it is."""
        self._started[_task_of(trial).trial_id] = trial

    def on_trial_recover(self, *, trial: TuneTrial, **_: object) -> None:
        """Report a lost slot; Tune tries the trial again."""
        self._tell(trial)

    def on_trial_error(self, *, trial: TuneTrial, **_: object) -> None:
        """Report a lost slot; Tune gives the trial up for this drive."""
        self.given_up.add(_task_of(trial).trial_id)
        self._tell(trial)

    def busy(self) -> set[str]:
        """List the trials that slots hold."""
        return {
            name for name, trial in list(self._started.items()) if trial.status == Trial.RUNNING
        }

    def end(self, trial_id: str) -> None:
        """Kill the slot that holds a trial, if any does; Tune then starts another."""
        trial = self._started.get(trial_id)
        actor = None if trial is None else trial.temporary_state.ray_actor
        if actor is not None:
            ray.kill(actor)

    def _tell(self, trial: TuneTrial) -> None:
        try:
            error = _take_error(trial)
            actor = getattr(error, "actor_id", None)
            if actor in self._lost_actors:  # Tune tells twice of a slot that was lost while idle
                return
            # a slot that leaves with its node has recorded it itself
            if isinstance(getattr(error, "cause", None), NodeLeaves):
                return
            self._on_loss(_task_of(trial), loss_of(error))
            if actor is not None:
                self._lost_actors.add(actor)
        except Exception:  # noqa: BLE001  # it must not end the other trials
            _log.exception("a lost slot could not be recorded")


class DrainStopper(tune.Stopper):  # type: ignore[misc]  # ray has no types
    """Ends a drained run once its slots are idle: what waits for one may wait for another run's end."""

    def __init__(self, trials: SlotListener) -> None:
        self._trials = trials

    def __call__(self, trial_id: str, result: dict[str, object]) -> bool:  # noqa: ARG002  # Tune's
        """Let a trial end by itself."""
        return False

    def stop_all(self) -> bool:
        """Return whether to end all that waits; Tune asks at each step."""
        return self._trials.is_draining and not self._trials.busy()


def refusal_in(answer: Mapping[str, str]) -> Refusal | None:
    """Return the refusal among what a slot answered; None where it took the task."""
    return Refusal(answer["node_id"], answer["refusal"]) if "refusal" in answer else None


def _take_error(trial: TuneTrial) -> Exception | None:
    """Take what Ray raised last, if anything, out of the scratch folder, where Tune keeps it at first."""
    path = Path(trial.pickled_error_file or "")
    if not path.is_file():
        return None
    error: Exception = pickle.loads(path.read_bytes())  # noqa: S301  # this process wrote it
    path.unlink()
    return error


def _task_of(trial: TuneTrial) -> SlotTask:
    return SlotTask.model_validate_json(trial.config["task"])
