"""Drive fake trials on a Ray cluster of one node with faked GPUs: STORE SHARE NUM_TASKS NUM_GPUS NUM_TAKEN.

Where OTHER_CODE names a folder, a second node finds its code there, and what that one refuses is driven again. MAX_CONCURRENT bounds what is at work at a time. Where others have taken some of the GPUs the run is asked to drain from the start. Prints how it ended.
"""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

from orchestrator.driver.environment import prepare_environment
from orchestrator.machine.scratch import scratch_folder
from orchestrator.running.driver import Hooks
from orchestrator.slots.task import SlotTask
from workers.contract.plan_document import PlannedTrial
from workers.contract.specs import TrialSpec

STORE, SHARE = sys.argv[1], float(sys.argv[2])
OTHER_CODE = os.environ.get("OTHER_CODE")
NUM_TASKS, NUM_GPUS, NUM_TAKEN = map(int, sys.argv[3:])
NUM_TOGETHER = int(os.environ.get("NUM_TOGETHER", "0")) or (int(NUM_GPUS / SHARE) if SHARE else 2)


def task(seed: int) -> SlotTask:
    """Make a task of the fake trial."""
    trial = TrialSpec.model_validate(
        {
            "model": {"name": "mlp"},
            "dataset": {"name": "digits"},
            "data_digest": "0",
            "loss": "kld",
            "training": {"epochs": 1},
            "batch_size": NUM_TOGETHER,  # that many must run at once
            "learning_rate": 0.1,
            "seed": seed,
        }
    )
    return SlotTask(
        sweep="toy",
        run_id="run",
        planned=PlannedTrial(trial_id=f"trial{seed}", trial=trial),
        is_trained=False,
        statistics=[],
        store=STORE,
        data_dir=None,
        num_threads=1,
        device_share=SHARE,
        entry="fake_trial",
    )


with scratch_folder() as scratch:
    prepare_environment("a cluster of the test", scratch)
    os.environ |= {"AWS_ACCESS_KEY_ID": "secret", "AWS_SECRET_ACCESS_KEY": "secret"}
    import ray
    from ray.cluster_utils import Cluster
    from ray.tune.execution import class_cache

    from orchestrator.driver.cluster import cluster
    from orchestrator.driver.drive import drive
    from orchestrator.driver.trial_slot import TrialSlot

    head = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    head.add_node(num_cpus=8, num_gpus=NUM_GPUS)
    if OTHER_CODE:
        head.add_node(num_cpus=8, env_vars={"PYTHONPATH": OTHER_CODE})
    with cluster(head.address, Path(scratch)) as nodes:
        assert {node.gpus for node in nodes if node.cpus} == (
            {NUM_GPUS, 0} if OTHER_CODE else {NUM_GPUS}
        )
        tasks = [task(10 + number) for number in range(NUM_TASKS)]
        if NUM_TAKEN:
            ray.get(ray.util.placement_group([{"GPU": NUM_TAKEN}]).ready())
        at_most = int(os.environ.get("MAX_CONCURRENT", "0")) or None
        hooks = Hooks(
            lambda _: None, print, lambda: NUM_TAKEN > 0, Path(scratch), max_concurrent=at_most
        )
        driven = drive(tasks, nodes, hooks)
        refusals = list(driven.refused.values())
        if refusals:
            shunned = frozenset(refusal.node_id for refusal in refusals)
            left = [task for task in tasks if task.trial_id in driven.refused]
            again = drive(left, nodes, replace(hooks, shunned=shunned))
            assert not again.refused, again
            driven = replace(again, results=driven.results + again.results)
    told = class_cache._ActorClassCache().get(TrialSlot)._default_options["runtime_env"]
    assert "secret" not in str(told), "the driver's credentials travel with its slots"
    head.shutdown()
statuses = [result.status for result in driven.results]
names = {"lost": sorted(driven.lost), "unstarted": sorted(driven.unstarted)}
told = {"refusals": [refusal.reason for refusal in refusals]} if OTHER_CODE else {}
print(json.dumps({"statuses": statuses} | names | told))
