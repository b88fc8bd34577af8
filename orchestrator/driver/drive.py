"""Ray Tune schedules the tasks on slots, and only that.

One Tune trial per task; a slot is a reused actor that owns a fork server. Nothing Tune writes is
read back: the store is the only truth. Import it after `prepare_environment`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

from ray import tune
from ray.tune.execution import class_cache

from orchestrator.driver.callbacks import DrainStopper, InOrder, SlotListener, TuneTrial, refusal_in
from orchestrator.driver.cluster import head_of_cluster
from orchestrator.driver.trial_slot import TrialSlot
from orchestrator.planning.fit import Node
from orchestrator.running.driver import DriveResult, Hooks
from orchestrator.slots.task import SlotResult, SlotTask

_MAX_LOST_SLOTS = 40
"""Of one trial in one wave, whatever lost them; the policy of their classes ends it long before."""
_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECURITY_TOKEN",
    "AWS_SESSION_TOKEN",
)


def drive(tasks: Sequence[SlotTask], nodes: Sequence[Node], hooks: Hooks) -> DriveResult:
    """Run every task on some slot of the joined cluster, in the order given as slots come free.

    Args:
        tasks: What to do; each asks for its own share of a GPU.
        nodes: Of the cluster; what they hold at once bounds what waits in Ray.
        hooks: What is reported and asked meanwhile.

    Raises:
        ClusterLost: What is not done by then can be resumed on another cluster.
    """
    demands = {task.demand for task in tasks}
    slots = sum(max(node.slots_for(demand) for demand in demands) for node in nodes)
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(slots + 2)
    outcome: list[DriveResult | BaseException] = []
    trials = SlotListener(hooks.on_loss)
    in_order = InOrder(tasks, hooks.shunned, hooks.on_refusal)

    def fit() -> None:
        try:
            outcome.append(_fit(in_order, tasks, trials, hooks))
        except BaseException as error:  # noqa: BLE001  # carried to the calling thread
            outcome.append(error)

    # Tune takes over SIGINT and SIGUSR1 only in the main thread; they are ours
    thread = threading.Thread(target=fit, name="tune", daemon=True)
    thread.start()
    with head_of_cluster(hooks.head_seconds) as head:
        while thread.is_alive():
            thread.join(1.0)
            hooks.watch(trials)
            trials.is_draining = hooks.is_stopping()
            head.check(demands, is_stopping=trials.is_draining, shunned=in_order.shunned)
        if isinstance(outcome[0], BaseException):
            head.wait_for_answer()  # whatever Tune raises where the head is gone
            raise outcome[0]
    return outcome[0]


def _fit(
    in_order: InOrder, tasks: Sequence[SlotTask], trials: SlotListener, hooks: Hooks
) -> DriveResult:
    # Tune would write the driver's credentials into the cluster's records
    class_cache.ENV_VARS_TO_PROPAGATE.difference_update(_CREDENTIALS)
    tuner = tune.Tuner(
        TrialSlot,
        tune_config=tune.TuneConfig(
            search_alg=in_order,
            num_samples=len(tasks),
            max_concurrent_trials=hooks.max_concurrent,
            reuse_actors=True,
            trial_name_creator=_name,
            trial_dirname_creator=_name,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(hooks.scratch / "tune"),
            verbose=0,
            callbacks=[trials],
            stop=DrainStopper(trials),
            failure_config=tune.FailureConfig(max_failures=_MAX_LOST_SLOTS),
            # a class trainable that cannot save would end in error
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    told = [(item.config, item.metrics or {}) for item in tuner.fit()]
    answers = [metrics["result"] for _, metrics in told if "result" in metrics]
    results = [SlotResult.model_validate_json(answer) for answer in answers]
    refused = {
        SlotTask.model_validate_json(config["task"]).trial_id: refusal
        for config, metrics in told
        if (refusal := refusal_in(metrics)) is not None
    }
    unanswered = {task.trial_id for task in tasks} - {result.trial_id for result in results}
    unanswered -= set(refused)
    unstarted = unanswered - trials.given_up if trials.is_draining else set()
    return DriveResult(results, unanswered - unstarted, unstarted, refused)


def _name(trial: TuneTrial) -> str:
    return str(trial.trial_id)
