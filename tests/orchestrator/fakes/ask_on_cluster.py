"""Ask the nodes of a cluster, each what `fake_node` does: ADDRESS WHAT; print the replies as JSON.

Of a cluster that is lost meanwhile the reason is told on standard error.
"""

import json
import sys
from dataclasses import asdict

import fake_node

from orchestrator.driver.environment import prepare_environment
from orchestrator.machine.scratch import scratch_folder
from orchestrator.running.driver import ClusterLost

ADDRESS, WHAT = sys.argv[1:]
try:
    with scratch_folder() as scratch:
        prepare_environment(ADDRESS, scratch)
        from orchestrator.driver.ask_nodes import ask_nodes
        from orchestrator.driver.cluster import cluster

        with cluster(ADDRESS, scratch) as nodes:
            asked = {node.node_id: WHAT for node in nodes if node.cpus}
            replies = ask_nodes(fake_node.answer, asked, seconds=20, head_seconds=5)
        assert list(replies) == list(asked)
except ClusterLost as lost:
    sys.exit(str(lost))
print(json.dumps([asdict(reply) for reply in replies.values()]))
