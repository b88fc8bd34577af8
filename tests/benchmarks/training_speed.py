"""How fast trials train, beside Keras' `fit` and a twin in PyTorch, in one run on one machine.

    python tests/benchmarks/training_speed.py [--depths 20 56] [--batch-sizes 100] [--precisions float32 bfloat16]
        [--layouts 1x2 2x1] [--contenders minima keras torch-channels-last] [--rounds 5] [--seconds 4] [--layers]

A layout is trials × threads: 2x1 is two trials side by side of one thread each, whose images a second are added.
Each contender trains in processes of its own, which take bursts of steps in turn, round after round; the others
wait meanwhile. PyTorch is used where it can be imported; Keras as its users have it, without our variables.
Prints medians and quartiles, ratios taken round by round, peak memory, and the seconds until the first step was
done (compilation); the last line is all of it as JSON. Ends with 1 where a bar is missed. With --layers, what
oneDNN says of each kind of convolution in a step of ours and of PyTorch's, beside the product of two matrices.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "speed"))

from contender import NAMES, WARM_STEPS, Job
from layer_rates import primitives_of
from rates import BARS, fastest, rates_of, ratios

from workers.process.devices import instruction_sets, processor_name
from workers.process.surroundings import with_devices

HERE = Path(__file__).parent / "speed"
ROOT = Path(__file__).parents[2]
OWN = "minima"
_LAYER_STEPS, _MOST_LAYERS = 10, 24


@dataclass(frozen=True)
class Setting:
    """What the contenders train, and in what layout."""

    depth: int
    batch_size: int
    precision: str
    trials: int
    threads: int

    @property
    def title(self) -> str:
        """One line."""
        trials = "one trial" if self.trials == 1 else f"{self.trials} trials"
        return (
            f"ResNet-{self.depth}, batch {self.batch_size}, {self.precision}, "
            f"{trials} of {self.threads} threads"
        )


@dataclass
class Trainers:
    """The processes of one contender.

    Attributes:
        first_step_seconds: Of the slowest one: tracing and compilation.
        peak_bytes: Largest resident set, of all together.
    """

    processes: list[subprocess.Popen[str]]
    first_step_seconds: float
    steps: int = 1
    peak_bytes: int = 0
    rounds: list[float] = field(default_factory=list)

    def burst(self, steps: int) -> float:
        """Take so many steps in every process at once; return the seconds of the slowest."""
        for process in self.processes:
            print(steps, file=process.stdin, flush=True)
        told = [_told(process) for process in self.processes]
        self.peak_bytes = int(sum(each["peak_bytes"] for each in told))
        return max(each["seconds"] for each in told)


def main() -> int:
    """Measure every setting, print, and hold against the bars."""
    asked = parse()
    print(f"{processor_name()}, {os.cpu_count()} cores: {instruction_sets()}")
    found = []
    for setting in settings(asked):
        names = [name for name in asked.contenders if is_there(name)]
        found.append(measure(setting, names, rounds=asked.rounds, seconds=asked.seconds))
        if asked.layers:
            show_layers(setting, [name for name in names if name in {OWN, "torch-channels-last"}])
    print(json.dumps({"processor": processor_name(), "flags": instruction_sets(), "found": found}))
    return 1 if any(bar["says"] == "MISSED" for one in found for bar in one["bars"]) else 0


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--depths", type=int, nargs="+", default=[20, 56])
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[100])
    parser.add_argument("--precisions", nargs="+", default=["float32"])
    parser.add_argument("--layouts", nargs="+", default=["1x2", "2x1"], help="trials x threads")
    parser.add_argument("--contenders", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of a burst, about")
    parser.add_argument("--layers", action="store_true", help="GFLOP/s of each convolution")
    return parser.parse_args()


def settings(asked: argparse.Namespace) -> Iterator[Setting]:
    """List what is to be measured."""
    for depth, batch_size, precision, layout in itertools.product(
        asked.depths, asked.batch_sizes, asked.precisions, asked.layouts
    ):
        yield Setting(depth, batch_size, precision, *map(int, layout.split("x")))


def is_there(name: str) -> bool:
    """Whether what a contender needs can be imported."""
    return not name.startswith("torch") or find_spec("torch") is not None


def measure(
    setting: Setting, names: Sequence[str], *, rounds: int, seconds: float
) -> dict[str, object]:
    """Let contenders take bursts in turn; print a table and return it."""
    print(
        f"\n{setting.title}\n{'':<22}{'images/s':>10}{'quartiles':>16}{'first step':>12}{'peak':>9}"
    )
    trainers = {}
    try:
        for name in names:
            started = start(name, setting)
            if started is None:
                print(f"{name:<22}does not run here")
                continue
            trainers[name] = started
            started.steps = max(1, round(3 * seconds / started.burst(3)))
        for _ in range(rounds):
            for each in trainers.values():
                images = setting.trials * each.steps * setting.batch_size
                each.rounds.append(images / each.burst(each.steps))
    finally:
        for process in itertools.chain.from_iterable(each.processes for each in trainers.values()):
            process.kill()
            process.wait()
    return _shown(setting, trainers)


def show_layers(setting: Setting, names: Sequence[str]) -> None:
    """Print the time of each kind of primitive in a step of one process, and the rates of convolutions."""
    code = f"import layer_rates; import tensorflow as tf; tf.config.threading.set_intra_op_parallelism_threads({setting.threads}); print(layer_rates.peak_gflops())"
    peak = subprocess.run(  # our own file
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=HERE
    ).stdout
    print(f"\nproduct of two matrices, {setting.threads} threads: {float(peak):.0f} GFLOP/s")
    for name in names:
        with contender_process(name, setting, ONEDNN_VERBOSE="1") as process:
            _told(process)
            print(_LAYER_STEPS, file=process.stdin, flush=True)
            said: list[str] = []
            seconds = _told(process, said)["seconds"]
        found = primitives_of(said, _LAYER_STEPS + 2 * WARM_STEPS)
        spent = sum(each.milliseconds for each in found)
        whole = 1000 * seconds / _LAYER_STEPS
        print(f"{name}: a step {whole:.1f} ms, of which within oneDNN {spent:.1f}")
        for each in found[:_MOST_LAYERS]:
            rate = "" if each.gflops is None else f"{each.gflops:8.0f} GFLOP/s"
            print(f"  {each.milliseconds:8.2f} ms {each.number:6.1f} {rate:<17} {each.what}")


def start(name: str, setting: Setting) -> Trainers | None:
    """Start the processes of a contender and wait for their first step; None where they fail."""
    processes = [contender_process(name, setting) for _ in range(setting.trials)]
    try:
        return Trainers(
            processes, max(_told(process)["first_step_seconds"] for process in processes)
        )
    except EOFError:
        for process in processes:
            process.kill()
            process.wait()
        return None


def contender_process(name: str, setting: Setting, **variables: str) -> subprocess.Popen[str]:
    """Start one process of a contender."""
    job = Job(name, setting.depth, setting.batch_size, setting.threads, setting.precision)
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    own = with_devices(os.environ) if name == OWN else os.environ
    return subprocess.Popen(  # our own file
        [sys.executable, str(HERE / "contender.py"), json.dumps(asdict(job))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**own, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": paths, **variables},
    )


def _told(process: subprocess.Popen[str], others: list[str] | None = None) -> dict[str, float]:
    """Read the next line that is one of JSON; those before it are added to `others`.

    Raises:
        EOFError: The process has ended.
    """
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{"):
            found: dict[str, float] = json.loads(line)
            return found
        if others is not None:
            others.append(line)
    raise EOFError


def _shown(setting: Setting, trainers: dict[str, Trainers]) -> dict[str, object]:
    for name, each in trainers.items():
        found = rates_of(each.rounds)
        print(
            f"{name:<22}{found.median:>10.1f}{found.low:>8.1f}{found.high:>8.1f}"
            f"{each.first_step_seconds:>11.1f} s{each.peak_bytes / 1e9:>6.2f} GB"
        )
    rounds = {name: each.rounds for name, each in trainers.items()}
    bars = []
    for kind, least in BARS.items():
        other = fastest(rounds, kind)
        if other is None or OWN not in rounds:
            continue
        found = ratios(rounds, OWN, other)
        says = "holds" if found.median >= least else "MISSED"
        bars.append({"other": other, **asdict(found), "least": least, "says": says})
        print(
            f"{says}: {found.median:.2f} [{found.low:.2f}, {found.high:.2f}] of {other}, "
            f"at least {least:g}"
        )
    told = {
        name: {
            **asdict(rates_of(each.rounds)),
            "first_step_seconds": each.first_step_seconds,
            "peak_bytes": each.peak_bytes,
        }
        for name, each in trainers.items()
    }
    return {"setting": asdict(setting), "contenders": told, "bars": bars}


if __name__ == "__main__":
    sys.exit(main())
