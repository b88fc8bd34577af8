"""Time how long running work takes to save and leave once a stop is asked for.

    python tests/benchmarks/drain_time.py [--data-dir FOLDER] [--depth 20] [--num-train 2000]

Trains a ResNet in a slot and takes every statistic of it, and asks each to stop when it is in the midst
of it. Prints the seconds from the marker in the store to the end of the child, with its checkpoint in the
store. The bar is 10 seconds, or one step where a step is longer. With `--data-dir` the data are real
CIFAR-10, else scikit-learn's digits.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[2]))
os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # the children import what this one can

from orchestrator.liveness.run_control import ask_to_stop
from orchestrator.planning.prepare import Options, Prepared, prepare
from orchestrator.running.tasks import make_tasks
from orchestrator.slots.slot import Slot
from orchestrator.slots.task import SlotTask
from workers.contract.store import Store

BAR_SECONDS = 10.0
STATISTICS = (
    "traces",
    "{name: traces, columns: exact}",
    "hessian",
    "spectrum",
    "noise_curvature",
    "batch_noise",
    "{name: fork, num_streams: 64, num_steps: 100}",
    "{name: tail, num_steps: 100000, burn_in_steps: 1000}",
)
SWEEP = """
name: drain
model: {{name: resnet, depth: {depth}}}
dataset: {{name: {dataset}, num_train: {num_train}, num_test: 100}}
loss: kld
grid: {{batch_size: [50], learning_rate: [0.05]}}
seeds: 1
training: {{epochs: {epochs}}}
measure: [{measure}]
"""


def main() -> None:
    """Print a line for training and for each statistic."""
    arguments = parse()
    folder = Path(tempfile.mkdtemp(prefix="minima-drain-"))
    slot = Slot()
    missed = []
    try:
        print(f"{'work':50} seconds")
        for measure in ("", *STATISTICS):
            task = make_task(arguments, folder, measure)
            seconds = seconds_to_drain(slot, task)
            told = "ended before" if seconds is None else f"{seconds:.1f}"
            print(f"{measure or 'training':50} {told}", flush=True)
            if seconds is not None and seconds > BAR_SECONDS:
                missed.append(measure or "training")
    finally:
        slot.close()
    print(f"bar {BAR_SECONDS:.0f} s: {'MISSED by ' + ', '.join(missed) if missed else 'met'}")


def parse() -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir")
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--num-train", type=int)
    return parser.parse_args()


def make_task(arguments: argparse.Namespace, folder: Path, measure: str) -> SlotTask:
    """Make the task of a training too long to end, or of one statistic of a short one, trained before."""
    dataset = "cifar10" if arguments.data_dir else "digits"
    text = SWEEP.format(
        depth=arguments.depth,
        dataset=dataset,
        num_train=arguments.num_train or (2000 if arguments.data_dir else 1000),
        epochs=1 if measure else 10_000,
        measure=measure or "losses",
    )
    path = folder / "drain.yaml"
    path.write_text(text)
    options = Options(str(folder / "store"), data_dir=arguments.data_dir)
    prepared = prepare(str(path), options)
    if measure:
        train(prepared, options)
        prepared = prepare(str(path), options)
    return make_tasks(prepared, options, f"run-{time.monotonic_ns()}", prepared.open_work)[0]


def train(prepared: Prepared, options: Options) -> None:
    """Train the one trial, where it is not trained."""
    task = make_tasks(prepared, options, "train", prepared.open_work)[0]
    if not task.is_trained:
        slot = Slot()
        slot.run(task.model_copy(update={"statistics": []}), "-1")
        slot.close()


def seconds_to_drain(slot: Slot, task: SlotTask) -> float | None:
    """Run a task, ask it to stop in the midst of it, and time its end; None when it ended before."""
    store_folder = Path(task.store)
    before = set(store_folder.glob("attempts/*.json"))
    ended: list[float] = []

    def run() -> None:
        slot.run(task, "-1")
        ended.append(time.monotonic())

    thread = threading.Thread(target=run)
    thread.start()
    while thread.is_alive() and not is_in_midst(store_folder, before):
        time.sleep(0.1)
    if not thread.is_alive():
        return None
    time.sleep(3.0)  # somewhere between two looks
    asked = time.monotonic()
    ask_to_stop(Store.open(task.store), task.sweep, task.run_id, "benchmark")
    thread.join()
    return max(0.0, ended[0] - asked)


def is_in_midst(store: Path, before: set[Path]) -> bool:
    """Say whether the newest heartbeat tells of work under way."""
    texts = [path.read_text() for path in set(store.glob("attempts/*.json")) - before]
    return any('"measuring"' in text or '"training"' in text for text in texts)


if __name__ == "__main__":
    main()
