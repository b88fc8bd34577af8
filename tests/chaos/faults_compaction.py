"""Compaction while a sweep runs or as its run ends; left to its end, or killed at any moment."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

from ground import Ground, Missed
from surroundings import wait_until

from workers.contract.compaction_lock import LOCK_PATH

PLACES = ("trial_write:1", "trial_renaming:1", "epoch_renaming:1", "measurement_write:1")
"""Where a driver is killed; of these views it writes merged files alone."""
_SWEEP_SECONDS = 150.0


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


def kill_at_end_of_run(ground: Ground, place: str) -> None:
    """A run is killed as it merges small files at its end; the next one does so, and waits for nobody."""
    with ground.fault("driver SIGKILL while it compacts"):
        if ground.driver is not None:
            ground.driver.kill()
            ground.drop_driver()
        driver = ground.driver = ground.start_driver(MINIMA_FAULT=place)
        wait_until(lambda: driver.exit_code is not None, _SWEEP_SECONDS, "the end of a sweep")
        driver.was_killed = driver.exit_code == -signal.SIGKILL
        is_locked = ground.store.read_bytes(LOCK_PATH) is not None
        ground.drop_driver()
        if not driver.was_killed:
            raise Missed("the run had little to merge, or was not over")
        assert is_locked, "it was killed elsewhere"
        ground.wait(lambda: ground.store.read_bytes(LOCK_PATH) is None, "the next compaction")
