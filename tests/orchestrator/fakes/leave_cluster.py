"""Leave a cluster of our own and get SIGTERM while Ray says farewell, or after it: SECONDS from its begin."""

import os
import signal
import sys
import threading
import time

from orchestrator.driver.environment import prepare_environment
from orchestrator.liveness.run_control import EXIT_INTERRUPTED, interruptible
from orchestrator.machine.console import errors_for_humans
from orchestrator.machine.scratch import scratch_folder

SECONDS = float(sys.argv[1])

try:
    with interruptible():
        with scratch_folder(is_for_sockets=True) as scratch:
            prepare_environment(None, scratch)
            from orchestrator.driver.cluster import cluster

            with cluster(None, scratch) as nodes:
                assert nodes
                threading.Timer(SECONDS, os.kill, (os.getpid(), signal.SIGTERM)).start()
        time.sleep(SECONDS)  # what a run has to say after it has left
    print("not interrupted")
except KeyboardInterrupt:
    print("the caller was interrupted", file=errors_for_humans())
    sys.exit(EXIT_INTERRUPTED)
