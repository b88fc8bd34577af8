"""A Ray cluster of several nodes on this machine, in a process of its own: one JSON line in, one out.

Requests: {"do": "add", "machine": name}, {"do": "kill", "machine": name} (SIGKILL to the raylet),
{"do": "drain", "machine": name, "seconds": s} (notice of a preemption), {"do": "kill_head"} (SIGKILL to
the head's raylet and GCS). The cluster ends when standard input closes.
Arguments: temporary folder, CPUs a node, GPUs a node.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import ray
from ray.cluster_utils import Cluster
from ray.core.generated import autoscaler_pb2

_OBJECT_STORE_BYTES = 80 * 2**20


class Machines:
    """The nodes by the name of the machine each pretends to be; the head has no CPU."""

    def __init__(self, folder: str, cpus: int, gpus: int) -> None:
        self._cpus, self._gpus = cpus, gpus
        head = {
            "num_cpus": 0,
            "include_dashboard": False,
            "include_log_monitor": False,
            "object_store_memory": _OBJECT_STORE_BYTES,
            "temp_dir": folder,
        }
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self._nodes: dict[str, object] = {}

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def add(self, machine: str) -> dict[str, object]:
        """Start a node, in place of the dead one of that name if there was one."""
        self._forget(machine)
        node = self._cluster.add_node(
            num_cpus=self._cpus,
            num_gpus=self._gpus,
            object_store_memory=_OBJECT_STORE_BYTES,
            env_vars={"CHAOS_MACHINE": machine},
        )
        self._nodes[machine] = node
        return {"raylet": node.all_processes["raylet"][0].process.pid, "node_id": node.node_id}

    def kill(self, machine: str) -> dict[str, object]:
        """Kill a node's raylet as a machine's power goes: at once."""
        self._nodes[machine].kill_raylet(check_alive=False)  # one with notice may have left
        return {}

    def drain(self, machine: str, seconds: float) -> dict[str, object]:
        """Give notice that a node will be gone in some seconds, as clouds do."""
        client = ray._raylet.GcsClient(address=self.address)
        is_accepted, message = client.drain_node(
            self._nodes[machine].node_id,
            autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION"),
            "preempted",
            int((time.time() + seconds) * 1000),
        )
        return {"is_accepted": is_accepted, "message": message}

    def kill_head(self) -> dict[str, object]:
        """Kill everything the head runs."""
        self._cluster.head_node.kill_all_processes(check_alive=False, allow_graceful=False)
        return {}

    def _forget(self, machine: str) -> None:
        node = self._nodes.pop(machine, None)
        if node is not None:
            node.kill_all_processes(check_alive=False, allow_graceful=False)
            self._cluster.worker_nodes.discard(node)

    def close(self) -> None:
        """End all processes."""
        for machine in list(self._nodes):
            self._forget(machine)
        head = self._cluster.head_node
        head.kill_all_processes(check_alive=False, allow_graceful=False)


def main() -> None:
    """Serve requests until standard input closes."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever Ray prints is not an answer
    folder, cpus, gpus = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    os.chdir(Path(folder))
    machines = Machines(folder, cpus, gpus)
    print(json.dumps({"address": machines.address}), file=answers)
    try:
        for line in sys.stdin:
            request = json.loads(line)
            answer = getattr(machines, request.pop("do"))(**request)
            print(json.dumps(answer), file=answers)
    finally:
        machines.close()


if __name__ == "__main__":
    main()
