"""`minima compact` while a sweep runs; left to its end, or killed at any moment."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

from ground import Ground, Missed

from workers.contract.compaction_lock import LOCK_PATH


def compact(ground: Ground, *, is_killed: bool) -> None:
    """Small files are merged under a running sweep; whenever that ends, every record stays."""
    with ground.fault("compaction SIGKILL" if is_killed else "compaction"):
        ground.wait_for_attempts()
        command = [sys.executable, "-P", "-m", "orchestrator", "compact", "--store", ground.uri]
        place = ground.world.place
        running = subprocess.Popen(
            command,
            env=place.environment(),
            cwd=place.stand,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        if is_killed:
            ground.wait(
                lambda: running.poll() is not None or ground.store.read_bytes(LOCK_PATH),
                "the compaction",
            )
            time.sleep(ground.world.rng.uniform(0, 0.3))
            running.kill()
        _, said = running.communicate(timeout=60)
        ground.store.remove(LOCK_PATH)
        if is_killed and running.returncode == 0:
            raise Missed("the compaction had ended")
        assert running.returncode == (-signal.SIGKILL if is_killed else 0), said
