"""A campaign of faults against running sweeps, on a local disk and on object storage, seeded.

`pytest tests/chaos` runs the short one that CI runs, and asserts how often each fault happened. A longer
one by hand, faults drawn at random until the time is over, then the same table:

    python tests/chaos/campaign.py --minutes 60 --seed 7
"""

from __future__ import annotations

import argparse
import contextlib
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import faults_cluster
import faults_compaction
import faults_drivers
import faults_files
import faults_processes
import faults_storage
from evidence import Evidence
from ground import Ground, World
from object_storage import ObjectStorage
from record_checks import RECORDS
from side_log import change_settings
from small_disk import SmallDisk
from surroundings import STORE, ClusterProcess, place
from tally import Tally, table

STEP_SECONDS = 0.02
CPUS, GPUS, MACHINES = 4, 2, 2
Fault = Callable[[Ground], None]


@dataclass
class Campaign:
    """A cluster, two stores, and the faults that can be done to them."""

    world: World
    disk: Ground
    bucket: Ground
    small_disk: SmallDisk
    object_storage: ObjectStorage

    def new_cluster(self) -> ClusterProcess:
        """Start another cluster in place of one that was lost."""
        world = self.world
        return ClusterProcess(world.place, cpus=world.cluster.cpus, gpus=GPUS, machines=MACHINES)

    def faults_of(self, ground: Ground) -> dict[str, list[Fault]]:
        """List every fault a store can meet, by group."""
        once = partial(faults_drivers.signal_driver, times=1)
        twice = partial(faults_drivers.signal_driver, times=2)
        signals = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
        places = faults_processes.TRAINING_PLACES + faults_processes.MEASURING_PLACES
        return {
            "driver": [faults_drivers.kill_driver],
            "driver early": [faults_drivers.kill_driver_early],
            "signals": [
                *(partial(once, number=number) for number in signals),
                *(partial(twice, number=number) for number in signals),
            ],
            "two drivers": [faults_drivers.second_driver],
            "clock": [faults_drivers.wrong_clock],
            "places": [partial(faults_processes.kill_child_at, place=place) for place in places],
            "child": [faults_processes.kill_child_somewhere],
            "fork server": [faults_processes.kill_fork_server],
            "slot": [faults_processes.kill_slot],
            "hung child": [faults_processes.stop_child],
            "hung slot": [faults_processes.stop_slot],
            "raylet": [faults_cluster.kill_raylet],
            "drain": [faults_cluster.drain_node],
            "head": [partial(faults_cluster.kill_head, new_cluster=self.new_cluster)],
            "files": [
                partial(faults_files.damage, target=target, how=how)
                for target in faults_files.TARGETS
                for how in faults_files.DAMAGES
            ],
            "compaction": [
                partial(faults_compaction.compact, is_killed=is_killed)
                for is_killed in (False, True)
            ],
            "own compaction": [
                partial(faults_compaction.kill_at_end_of_run, place=place)
                for place in faults_compaction.PLACES
            ],
            "old rows": [faults_files.add_old_rows],
            "storage": self._storage_faults(ground),
        }

    def _storage_faults(self, ground: Ground) -> list[Fault]:
        if ground is self.bucket:
            modes = ("read-only", "full", "slow", "cut", "failing", "broken")
            return [
                partial(faults_storage.spoil, storage=self.object_storage, mode=m) for m in modes
            ]
        if not self.small_disk.can_be_spoilt:
            return []
        modes = ("read-only", "full")
        return [partial(faults_storage.spoil, storage=self.small_disk, mode=mode) for mode in modes]


@contextlib.contextmanager
def campaign(seed: int, cpus: int = CPUS) -> Iterator[Campaign]:
    """Set everything up, and take it down."""
    with place() as where, contextlib.ExitStack() as stack:
        small_disk = SmallDisk(where.root / "disk")
        stack.callback(small_disk.close)
        storage = ObjectStorage("chaos")
        stack.callback(storage.close)
        change_settings(where.side, step_seconds=STEP_SECONDS)
        world = World(
            where,
            ClusterProcess(where, cpus=cpus, gpus=GPUS, machines=MACHINES),
            Tally(),
            Evidence(where.side),
            random.Random(seed),  # noqa: S311
        )
        stack.callback(lambda: world.cluster.close())  # noqa: PLW0108  # another one by then
        disk = Ground("disk", str(small_disk.folder / STORE), world)
        # the bucket's server is of this process: reading all of it after each fault would slow down the rest
        copy = partial(storage.mirror, where.root / "mirror", RECORDS)
        bucket = Ground("s3", storage.uri, world, copy=copy)
        yield Campaign(world, disk, bucket, small_disk, storage)


def main() -> None:
    """Run the script of CI, or draw faults at random until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", help="a group of faults, such as 'raylet'")
    parser.add_argument("--ground", choices=["disk", "s3"])
    parser.add_argument("--script", choices=["disk", "bucket", "tensorflow"])
    parser.add_argument("--report", type=Path, help="where to leave the counts")
    asked = parser.parse_args()
    # a real trial has as many threads as CPUs
    with campaign(asked.seed, cpus=1 if asked.script == "tensorflow" else CPUS) as found:
        try:
            if asked.script:
                import scripts

                getattr(scripts, f"run_{asked.script}")(found)
            else:
                _run_at_random(found, asked)
        finally:
            report = found.world.tally.report(asked.script or "random", found.world.evidence)
            print("\n".join(table([report])), flush=True)
            if asked.report:
                report.write(asked.report)


def _run_at_random(found: Campaign, asked: argparse.Namespace) -> None:
    deadline = time.monotonic() + 60 * asked.minutes
    grounds = [g for g in (found.disk, found.bucket) if asked.ground in {None, g.name}]
    while time.monotonic() < deadline:
        ground = found.world.rng.choice(grounds)
        groups = found.faults_of(ground)
        for _ in range(found.world.rng.randint(5, 15)):
            group = asked.only or found.world.rng.choice([name for name in groups if groups[name]])
            found.world.rng.choice(groups[group])(ground)
        ground.finish()


if __name__ == "__main__":
    main()
