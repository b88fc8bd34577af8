"""`minima compact` while a sweep runs; left to its end, or killed at any moment."""

from __future__ import annotations

import subprocess
import sys
import time

from ground import Ground

from workers.contract.compaction_lock import LOCK_PATH


def compact(ground: Ground, *, is_killed: bool) -> None:
    """Small files are merged under a running sweep; whenever that ends, every record stays."""
    with ground.fault("compaction SIGKILL" if is_killed else "compaction"):
        ground.wait_for_attempts()
        command = [sys.executable, "-P", "-m", "orchestrator.cli", "compact", "--store", ground.uri]
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
            time.sleep(ground.world.rng.uniform(0, 0.5))
            running.kill()
        _, said = running.communicate(timeout=60)
        assert is_killed or running.returncode == 0, said
        ground.store.remove(LOCK_PATH)
