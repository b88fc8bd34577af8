"""One store with sweeps that never end: as one is done the next begins, and a driver is always at work."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from drivers import Driver
from evidence import Evidence, Seen, highest_loads, losses
from record_checks import RecordChecks
from side_log import arm, disarm
from surroundings import ClusterProcess, Place
from tally import Tally

from orchestrator.running.foreground import compare
from workers.contract.plan_document import PlanDocument, PlannedTrial
from workers.contract.plans import newest_plan
from workers.contract.store import Store

CHECKPOINT_SECONDS = 0.3
HANG_SECONDS = 6.0
SILENCE_SECONDS = 12.0
IDLE_SECONDS = 50.0
HEAD_SECONDS = 10.0
NUM_LOOSE_FILES = 10
"""From so many small files of a view on a run merges them at its end: each sweep makes more."""
_MOST_LIVES = 8


_LOST_SLOT = {"slot lost", "node lost", "node preempted"}
"""Signatures of what is told of a slot; other failures are told by slots."""


class Missed(Exception):
    """What was to be hit had left by itself just before: nothing happened."""


@dataclass(frozen=True)
class Shape:
    """What the sweeps of a ground look like.

    Attributes:
        entry: The module of the attempts.
        model: As in YAML, with its data set and training.
        cells: How many learning rates.
        seeds: How many seeds of each.
        hang_seconds: An attempt that does not move for so long is ended.
        resources: One for each sweep in turn; a machine has 4 CPUs and 2 GPUs. Without a GPU one process
            carries out the orders of one trial after the other.
        patience_seconds: How long a test waits for an attempt to get somewhere.
    """

    entry: str = "numpy_trial"
    is_numpy: bool = True
    body: str = (
        "model: {name: mlp}\n"
        "dataset: {name: synthetic, task: softmax, num_train: 1000}\n"
        "training: {epochs: 3}\n"
        "measure: [losses, traces]\n"
    )
    batch_size: int = 50
    cells: int = 2
    seeds: int = 12
    hang_seconds: float = HANG_SECONDS
    resources: tuple[str, ...] = (
        "{gpus: 0, cpus: 2}",
        "{gpus: 1, cpus: 4}",
        "{gpus: 0.5, cpus: 2}",
        "{gpus: 1, cpus: 2}",
    )
    patience_seconds: float = 90.0

    def sweep(self, name: str, number: int) -> str:
        """Write the YAML of the nth sweep; no two share a trial."""
        rates = [round(0.05 * (cell + 1), 3) for cell in range(self.cells)]
        seeds = list(range(number * self.seeds, (number + 1) * self.seeds))
        return (
            f"name: {name}\nloss: kld\n{self.body}"
            f"grid: {{batch_size: [{self.batch_size}], learning_rate: {rates}}}\n"
            f"seeds: {seeds}\nresources: {self.resources[number % len(self.resources)]}\n"
        )


@dataclass
class World:
    """What all grounds of a campaign share."""

    place: Place
    cluster: ClusterProcess
    tally: Tally
    evidence: Evidence
    rng: random.Random
    damaged_work: set[str] = field(default_factory=set)
    """Trials whose checkpoints were damaged, so that more than one interval may be lost."""


class Ground:
    """A store, its endless sweeps, and the driver at work on them."""

    def __init__(
        self,
        name: str,
        store_uri: str,
        world: World,
        shape: Shape | None = None,
        copy: Callable[[], Path] | None = None,
    ) -> None:
        """Make a ground; its records are checked in a `copy` brought up to date, where there is one."""
        self.name, self.world, self.shape = name, world, shape or Shape()
        self.uri = store_uri
        self.store = Store.open(store_uri)
        self.checks = RecordChecks(
            lambda: Store.open(str(copy())) if copy else self.store, is_numpy=self.shape.is_numpy
        )
        self.driver: Driver | None = None
        self.must_run_again = False
        self._number = 0
        self._plans: dict[str, PlanDocument] = {}

    # The driver -------------------------------------------------------------------------------

    @property
    def sweep(self) -> str:
        """Name of the sweep under way."""
        return f"{self.name}{self._number}"

    @property
    def num_done(self) -> int:
        """How many sweeps have come to their end."""
        return self._number

    def ensure(self) -> Driver:
        """Give the driver at work; where it has left, start the next one."""
        if self.driver is not None and self.driver.exit_code is not None:
            self._take_leave()
        if self.driver is None:
            self.driver = self.start_driver()
        return self.driver

    def start_driver(self, **environment: str) -> Driver:
        """Start a driver on the sweep under way, besides any that is there."""
        sweep = self.world.place.root / f"{self.sweep}.yaml"
        sweep.write_text(self.shape.sweep(self.sweep, self._number))
        arguments = [str(sweep), "--store", self.uri, "--address", self.world.cluster.address]
        arguments += ["--checkpoint-seconds", str(CHECKPOINT_SECONDS), "--json"]
        options = json.dumps(
            {
                "hang_seconds": self.shape.hang_seconds,
                "silence_seconds": SILENCE_SECONDS,
                "idle_seconds": IDLE_SECONDS,
                "head_seconds": HEAD_SECONDS,
                "num_loose_files": NUM_LOOSE_FILES,
            }
        )
        return Driver(
            self.world.place,
            arguments,
            entry=self.shape.entry,
            CHAOS_OPTIONS=options,
            **environment,
        )

    def _take_leave(self) -> None:
        driver, self.driver = self.driver, None
        driver.check_end()
        code = "killed" if driver.was_killed else str(driver.exit_code)
        self.world.tally.exit_codes[code] += 1
        if code == "0" and self.must_run_again:  # a record was damaged under a run that had seen it
            self.must_run_again = False
        elif code == "0":
            self.assert_sweep_is_done()
            self._number += 1

    def drop_driver(self) -> None:
        """Take note that the driver is gone."""
        assert self.driver is not None
        self._take_leave()

    def planned_trials(self) -> list[PlannedTrial]:
        """Give the trials of the sweep under way, as planned when it began."""
        if self.sweep not in self._plans:
            found: list[PlanDocument | None] = []
            self.wait(
                lambda: found.append(newest_plan(self.store, self.sweep)) or found[-1], "the plan"
            )
            self._plans[self.sweep] = found[-1]
        return list(self._plans[self.sweep].trials)

    def assert_sweep_is_done(self) -> None:
        """Check that of the sweep under way everything is in the store."""
        plan = self._plans.get(self.sweep) or newest_plan(self.store, self.sweep)
        assert plan is not None
        wanted = [planned.trial_id for planned in plan.trials]
        self.checks.assert_complete(wanted, len(plan.statistics))

    def finish(self) -> None:
        """Let the sweep under way come to its end, however many lives it takes; check everything."""
        disarm(self.world.place.side)
        number, lives = self._number, 0
        while self._number == number:
            self.ensure().wait(180)
            lives += 1
            assert lives <= _MOST_LIVES, self.driver.told()
            self._take_leave()
        self.check()
        self.world.tally.lost_slots[self.uri] = Counter(
            row["failure_class"]
            for row in self.store.read("failures").to_pylist()
            if row["signature"] in _LOST_SLOT
        )

    # Attempts ---------------------------------------------------------------------------------

    def attempts(self) -> list[Seen]:
        """Give the attempts at work in this store."""
        return self.world.evidence.alive(self.uri)

    def wait(
        self, condition: Callable[[], object], what: str, seconds: float | None = None
    ) -> None:
        """Wait for a condition while a driver is kept at work, as long as the shape says."""
        seconds = self.shape.patience_seconds if seconds is None else seconds
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}\n{self._told()}"
            self.ensure()
            time.sleep(0.05)

    def wait_for_attempts(self, least: int = 1) -> list[Seen]:
        """Wait until the driver now at work has attempts at work; give them."""
        found: list[Seen] = []

        def are_there() -> bool:
            since = self.ensure().started_at
            found[:] = [
                seen for seen in self.attempts() if seen.began_at > since and seen.is_working
            ]
            return len(found) >= least

        self.wait(are_there, f"{least} attempts at work")
        return found

    def stand_still_at(self, place: str, *, is_training: bool | None = None) -> Seen:
        """Have an attempt stand still at a place; give it."""
        side, name = self.world.place.side, f"f{time.monotonic_ns()}"
        token = arm(side, name, place, is_training=is_training)

        def stands() -> bool:
            if token.exists() and token.read_text():
                return True
            if not any((side / "armed").glob(f"{name}.*.order")):
                arm(side, name, place, is_training=is_training)  # all ended before they got there
            return False

        self.wait(stands, f"an attempt at {place}")
        disarm(side)
        pid = int(token.read_text())
        return next(seen for seen in reversed(self.world.evidence.look()) if seen.pid == pid)

    # Faults -----------------------------------------------------------------------------------

    @contextmanager
    def fault(self, kind: str) -> Iterator[None]:
        """Count a fault that happens inside the block, unless it `Missed`; check every invariant."""
        print(f"{time.strftime('%H:%M:%S')} {self.name}: {kind}", flush=True)
        started = time.monotonic()
        tally = self.world.tally
        try:
            yield
        except Missed as missed:
            print(f"  missed: {missed}", flush=True)
            tally.missed += 1
        else:
            tally.faults[kind] += 1
        self.check()
        tally.seconds[kind] += time.monotonic() - started

    def check(self) -> None:
        """Check the invariants that can be seen from the store and from the attempts' own notes."""
        self.world.tally.rows[self.name] = self.checks.check()
        self.world.place.assert_nothing_else_is_written()
        attempts = self.world.evidence.look()
        for loss in losses(attempts):
            allowed = loss.allowed * (3 if loss.work[1] in self.world.damaged_work else 1)
            assert loss.steps <= allowed, f"more than a checkpoint interval was lost: {loss}"
        loads = highest_loads(attempts)
        assert all(load <= 1 + 1e-9 for load in loads.values()), f"a device was overloaded: {loads}"

    def assert_same_bits(self, undisturbed: Ground) -> None:
        """Compare every value of all sweeps the other ground has done, times and host aside."""
        assert undisturbed.num_done == self.num_done
        for number in range(undisturbed.num_done):
            plan = newest_plan(undisturbed.store, f"{undisturbed.name}{number}")
            assert plan is not None
            for planned in plan.trials:
                assert compare(undisturbed.store, self.store, planned.trial_id) == []

    def _told(self) -> str:
        seen = self.world.evidence.look()[-4:]
        notes = [(one.began, one.is_alive, one.is_working, one.status) for one in seen]
        said = self.driver.told() if self.driver else "there was no driver"
        return f"{said}\n{notes}"
