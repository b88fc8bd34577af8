"""Hold a Ray cluster of two nodes of two CPUs until standard input closes: ENVIRONMENT (JSON) of the second one."""

import json
import sys
from pathlib import Path

from orchestrator.driver.environment import prepare_environment
from orchestrator.machine.scratch import scratch_folder

with scratch_folder() as scratch:
    prepare_environment("a cluster of the test", Path(scratch))
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    cluster.add_node(num_cpus=2)
    cluster.add_node(num_cpus=2, env_vars=json.loads(sys.argv[1]))
    print("address", cluster.address, flush=True)
    sys.stdin.read()
    cluster.shutdown()
