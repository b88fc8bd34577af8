"""Run a plain function once on every node of the joined cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.driver.cluster import head_of_cluster
from orchestrator.driver.node_call import call_without_gpus
from orchestrator.running.driver import Reply

_ANSWER_SECONDS = 300.0


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
