"""Ask the nodes of a cluster, each what `fake_node` does: ADDRESS WHAT; print the replies as JSON."""

import json
import sys
from dataclasses import asdict

import fake_node

from orchestrator.ray_environment import prepare_environment
from orchestrator.scratch import scratch_folder

ADDRESS, WHAT = sys.argv[1:]
with scratch_folder() as scratch:
    prepare_environment(ADDRESS, scratch)
    from orchestrator import tune_driver

    with tune_driver.cluster(ADDRESS, scratch) as nodes:
        asked = {node.node_id: WHAT for node in nodes if node.cpus}
        replies = tune_driver.ask_nodes(fake_node.answer, asked, seconds=20)
    assert list(replies) == list(asked)
print(json.dumps([asdict(reply) for reply in replies.values()]))
