"""What a sweep costs beside its trials: the driver's memory and time, and what keeps slots waiting.

    python tests/benchmarks/sweep_overhead.py [--trials 300] [--skip-quickstart]

Three sweeps, each by the command itself on a local cluster of its own: many numpy trials that take 0.3 s
(see tests/chaos), a few real ones with TensorFlow, and `quickstart`. Prints; asserts nothing.

Driver: the process of `minima run` alone, all its threads (psutil: resident set; user + system time), not
Ray's own processes and not the slots. Gaps come from the times that attempts note themselves.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent.parent / "chaos"))

from evidence import Evidence, Seen
from side_log import change_settings
from surroundings import HERE, Place, place

FIRST_LOOK = 50
BARS = {"memory": 30.0, "driver time": 15.0, "second trial": 1.5, "quickstart": 150.0}
NUMPY_SWEEP = """
name: many
model: {{name: mlp}}
dataset: {{name: synthetic, task: softmax, num_train: 1000}}
loss: kld
grid: {{batch_size: [50], learning_rate: [0.1]}}
seeds: {trials}
training: {{epochs: 1}}
measure: [losses]
resources: {{gpus: 0, cpus: 1}}
"""
TENSORFLOW_SWEEP = """
name: real
model: {name: resnet, depth: 8}
dataset: {name: digits}
loss: kld
grid: {batch_size: [32], learning_rate: [0.05, 0.1]}
seeds: 3
training: {epochs: 3}
measure: [losses]
resources: {gpus: 0, cpus: 1}
"""


@dataclass
class Run:
    """One run of the command: when it began and ended, what its driver held and spent at a time."""

    began_at: float
    ended_at: float = 0.0
    exit_code: int | None = None
    looks: dict[int, tuple[float, float]] = field(default_factory=dict)
    """By trials done: resident MB and CPU seconds of the driver."""
    slot_started: dict[int, float] = field(default_factory=dict)
    server_started: dict[int, float] = field(default_factory=dict)
    """By process id of the slot: when it, and its fork server, were started."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--skip-quickstart", action="store_true")
    asked = parser.parse_args()
    with place() as where:
        change_settings(where.side, step_seconds=0.01)
        many_numpy_trials(where, asked.trials)
    with place() as where:
        real_trials(where)
    if not asked.skip_quickstart:
        with place() as where:
            quickstart(where)


def many_numpy_trials(where: Place, trials: int) -> None:
    """Print the driver's growth and time a trial, and where the wall time went."""
    evidence = Evidence(where.side)
    run = _run(
        where,
        evidence,
        NUMPY_SWEEP.format(trials=trials),
        "numpy_trial",
        looks=[FIRST_LOOK, trials],
    )
    attempts = [seen for seen in evidence.look() if seen.committed_at]
    print(f"\n{trials} numpy trials, exit code {run.exit_code}, {len(attempts)} attempts")
    (first_mb, first_cpu), (last_mb, last_cpu) = run.looks[FIRST_LOOK], run.looks[trials]
    print(
        f"  driver's memory at trial {FIRST_LOOK}: {first_mb:.0f} MB, at {trials}: {last_mb:.0f} MB"
    )
    _bar("memory", "growth", last_mb - first_mb, "MB")
    _bar("driver time", "CPU a trial", 1000 * (last_cpu - first_cpu) / (trials - FIRST_LOOK), "ms")
    print(
        f"  driver's CPU in all: {last_cpu:.1f} s, of it until trial {FIRST_LOOK}: {first_cpu:.1f} s"
    )
    _print_causes(run, attempts)


def _print_causes(run: Run, attempts: Sequence[Seen]) -> None:
    by_slot = _by_slot(attempts)
    num_slots = len(by_slot)
    work = sum(seen.ended_at - seen.began_at for seen in attempts)
    wall = run.ended_at - run.began_at
    firsts = [group[0] for group in by_slot.values()]
    within, between = [], []
    for group in by_slot.values():
        for one, other in itertools.pairwise(group):
            same = one.work[1] == other.work[1]
            (within if same else between).append(other.began_at - one.ended_at)
    last_end = max(seen.ended_at for seen in attempts)
    idle = sum(last_end - group[-1].ended_at for group in by_slot.values())
    causes = {
        "until the slot's process: planning, cluster": _mean(
            run.slot_started[seen.slot] - run.began_at for seen in firsts
        ),
        "until its fork server's process: Ray's worker": _mean(
            run.server_started[seen.slot] - run.slot_started[seen.slot] for seen in firsts
        ),
        "until its first child: the fork server's imports": _mean(
            seen.began_at - run.server_started[seen.slot] for seen in firsts
        ),
        "between trials of a slot: Tune, claim, fork": sum(between) / num_slots,
        "between training and statistic: answer, claim, fork": sum(within) / num_slots,
        "slots idle at the end": idle / num_slots,
        "after the last attempt: aggregation, Ray's end": run.ended_at - last_end,
    }
    print(
        f"  wall {wall:.1f} s; ideal (work of all attempts / {num_slots} slots) {work / num_slots:.1f} s"
    )
    for cause, seconds in causes.items():
        print(f"    {cause:52}{seconds:7.1f} s")
    print(f"    gap between trials: {_quartiles(between)}; to a statistic: {_quartiles(within)}")


def real_trials(where: Place) -> None:
    """Print what the first and the later trials on a slot wait for with TensorFlow."""
    evidence = Evidence(where.side)
    run = _run(where, evidence, TENSORFLOW_SWEEP, "tf_trial", looks=[])
    print(f"\nreal trials (ResNet-8 on digits), exit code {run.exit_code}")
    starts: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for slot, group in _by_slot(evidence.look()).items():
        free_at, which = run.server_started[slot], "first"
        for seen in group:
            notes = _notes(where, seen)
            if seen.work[2] is None:
                loaded, stepped = notes["loaded"] - free_at, notes["training_chunk"] - free_at
                starts[which].append((loaded, stepped))
                which = "later"
            free_at = seen.ended_at
    for which, found in starts.items():
        loaded, stepped = (statistics.median(values) for values in zip(*found, strict=True))
        since = "the fork server's start" if which == "first" else "the end of the attempt before"
        print(
            f"  {which} trial on a slot, from {since}: data loaded after {loaded:.2f} s, "
            f"first chunk of steps done after {stepped:.2f} s (median of {len(found)})"
        )
    later = max((loaded for loaded, _ in starts["later"]), default=float("nan"))
    _bar("second trial", "slowest later trial until it builds its network", later, "s")


def quickstart(where: Place) -> None:
    """Print how long the built-in sweep takes."""
    started = time.monotonic()
    done = subprocess.run(
        [
            sys.executable,
            "-P",
            "-m",
            "orchestrator",
            "run",
            "quickstart",
            "--store",
            str(where.root / "q"),
        ],
        env=where.environment(),
        cwd=where.stand,
        capture_output=True,
        check=False,
    )
    print(f"\nquickstart, exit code {done.returncode}")
    _bar("quickstart", "wall time", time.monotonic() - started, "s")


def _run(where: Place, evidence: Evidence, sweep: str, entry: str, looks: Sequence[int]) -> Run:
    path = where.root / "sweep.yaml"
    path.write_text(sweep)
    with (where.root / "output").open("wb") as output:
        run = Run(time.time())
        command = [sys.executable, "-P", str(HERE / "chaos_driver.py"), "run", str(path)]
        process = psutil.Popen(
            [*command, "--store", str(where.root / "store")],
            env=where.environment(CHAOS_ENTRY=entry),
            cwd=where.stand,
            stdout=output,
            stderr=output,
        )
        while process.poll() is None:
            _look(run, process, evidence, looks)
            time.sleep(0.02)
        run.ended_at, run.exit_code = time.time(), process.returncode
    if run.exit_code:
        print((where.root / "output").read_text()[-2000:])
    return run


def _look(run: Run, driver: psutil.Popen, evidence: Evidence, looks: Sequence[int]) -> None:
    attempts = evidence.look()
    for seen in attempts:
        if seen.slot not in run.server_started and seen.is_alive:
            child = psutil.Process(seen.pid)
            run.server_started[seen.slot] = child.parent().create_time()
            run.slot_started[seen.slot] = psutil.Process(seen.slot).create_time()
    done = sum(1 for seen in attempts if seen.committed_at and seen.work[2] is not None)
    for number in looks:
        if done >= number and number not in run.looks:
            spent = driver.cpu_times()
            run.looks[number] = driver.memory_info().rss / 2**20, spent.user + spent.system


def _by_slot(attempts: Sequence[Seen]) -> dict[int, list[Seen]]:
    grouped: dict[int, list[Seen]] = defaultdict(list)
    for seen in attempts:
        grouped[seen.slot].append(seen)
    return grouped


def _notes(where: Place, seen: Seen) -> dict[str, float]:
    """Give the time of each event, and of the first time each place was reached."""
    path = where.side / "attempts" / f"{seen.began['attempt_id']}.jsonl"
    notes = [json.loads(line) for line in path.read_text().splitlines()]
    return {note.get("place", note["event"]): note["time"] for note in notes}


def _bar(name: str, what: str, value: float, unit: str) -> None:
    bar = BARS[name]
    print(
        f"  {what}: {value:.2f} {unit} (bar {bar:g} {unit}: {'met' if value < bar else 'MISSED'})"
    )


def _mean(values: Iterator[float]) -> float:
    return statistics.fmean(values)


def _quartiles(values: Sequence[float]) -> str:
    low, median, high = statistics.quantiles(values, n=4)
    return f"median {median:.3f} s, half of them {low:.3f}-{high:.3f} s"


if __name__ == "__main__":
    main()
