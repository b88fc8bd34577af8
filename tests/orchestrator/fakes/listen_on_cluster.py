"""Start a cluster of our own with a slot's worth of work on it; print where its processes listen, as JSON."""

import json

import psutil

from orchestrator.driver.environment import prepare_environment
from orchestrator.machine.scratch import scratch_folder

with scratch_folder(is_for_sockets=True) as scratch:
    prepare_environment(None, scratch)
    import ray

    from orchestrator.driver.cluster import cluster

    with cluster(None, scratch) as nodes:
        assert nodes
        ray.get(ray.remote(lambda: None).remote())
        own = psutil.Process()
        listening = {
            process.name(): sorted({each.laddr.ip for each in process.net_connections("inet")})
            for process in (own, *own.children(recursive=True))
            for each in process.net_connections("inet")
            if each.status == psutil.CONN_LISTEN
        }
print(json.dumps(listening))
