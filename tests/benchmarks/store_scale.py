"""What the commands cost on stores of many trials, and how that grows; beside what else one would use.

    python tests/benchmarks/store_scale.py [--sizes 1000 10000] [--commands aggregate query] [--repeats 3]
        [--rows 134] [--from FINISHED_STORE] [--loose] [--s3]

Makes a store of each size from the records of one finished trial: the first of `quickstart`, done here in half a
minute, or one of the store given. Runs each command as a process of its own and prints its cost; then the
exponents of growth, with start-up taken off as the cost on a store of one cell; then what is at its bar. The last
line is all of it as JSON. Ends with 1 where a command misses a bar. On object storage, requests are counted.
On a processor that is slower than that of the bars, which the peers tell, times are judged over its slowness, and
both are printed (see scale/scale_bars.py).
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "scale"))

import scale_bars
from counted_storage import CountedStorage, counted_storage
from process_cost import ProcessCost, cost_of
from scale_bars import BAR_ROWS, BAR_TRIALS, Bar, Growth, Point, growth_bar, size_bars
from scale_peers import QUERY
from surroundings import CREDENTIALS

HERE = Path(__file__).parent / "scale"
ROOT = Path(__file__).parents[2]
ONE_CELL = 5
COMMANDS = {
    "status": ["status", "big"],
    "plan": ["plan", "{sweep}"],
    "query": ["query", QUERY.format(rows="measurements"), "--format", "csv"],
    "aggregate": ["aggregate", "big"],
    "report": ["report", "big", "--out", "{folder}/report"],
    "run": ["run", "{sweep}"],
    "compact": ["compact"],
}
"""In the order they are run: `report` reads what `aggregate` wrote, `compact` changes what the others read."""

PEERS = {
    "duckdb": ["duckdb", "{store}"],
    "pandas": ["pandas", "{store}"],
    "mlflow-write": ["mlflow-write", "{store}", "{folder}/mlflow"],
    "mlflow": ["mlflow", "{folder}/mlflow"],
}
_ONCE = {"compact", "mlflow-write"}
"""What a second time would find done."""

_COLUMNS = ("command", "trials", "CPU s", "spread s", "wall s", "peak MB", "read MB", "requests")


@dataclass(frozen=True)
class Measured:
    """The cost of one command, or of a peer, on a store of one size."""

    command: str
    num_trials: int
    cost: ProcessCost


@dataclass(frozen=True)
class Grown:
    """How the CPU time of a command grew from one size to the next."""

    command: str
    num_trials: tuple[int, int]
    growth: Growth

    @property
    def what(self) -> str:
        """The command and the sizes."""
        small, large = self.num_trials
        return f"{self.command} from {small:,} to {large:,} trials"


@dataclass(frozen=True)
class Ground:
    """One store, where the commands run, and how often each."""

    store: str
    folder: Path
    repeats: int
    storage: CountedStorage | None

    def cost(self, name: str, command: Sequence[str]) -> ProcessCost:
        """Run a command, with the names of places in it filled in."""
        places = {"store": self.store, "folder": self.folder, "sweep": self.folder / "big.yaml"}
        filled = [
            re.sub(r"\{(\w+)\}", lambda found: str(places[found[1]]), part) for part in command
        ]
        return cost_of(
            [sys.executable, *filled],
            folder=self.folder,
            environment=_environment(),
            repeats=1 if name in _ONCE else self.repeats,
            num_requests=self.storage and self.storage.num_requests,
        )


def main() -> int:
    """Measure, print, and hold against the bars."""
    asked = parse()
    peers, others = installed_peers(is_in_folder=not asked.s3)
    found: list[Measured] = []
    with tempfile.TemporaryDirectory(prefix="minima-scale-") as folder:
        source = place_of(asked.source) if asked.source else finished_trial(Path(folder))
        print(_line(_COLUMNS), flush=True)
        for num_trials in sorted({ONE_CELL, *asked.sizes}):
            for measured in measure(asked, source, Path(folder) / str(num_trials), peers):
                found.append(measured)
                print(_row(measured), flush=True)
    grown = list(growths(found))
    slower = times_slower(found)
    bars = list(all_bars(asked, found, grown, slower))
    others.append(f"{slower:.2f} times slower than the processor of the bars; 1 if faster")
    print(*others, *map(_grown_text, grown), *(bar.text for bar in bars), sep="\n")
    print(json.dumps(_as_json(asked, found, grown, bars) | {"times_slower": slower}))
    return 1 if any(bar.says == "fails" for bar in bars) else 0


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000], help="trials")
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--repeats", type=int, default=3, help="of which the median counts")
    parser.add_argument("--rows", type=int, default=BAR_ROWS, help="measurement rows a trial")
    parser.add_argument("--from", dest="source", help="a store with a finished trial")
    parser.add_argument("--loose", action="store_true", help="one file an id, not merged ones")
    parser.add_argument("--s3", action="store_true", help="object storage on loopback")
    return parser.parse_args()


def place_of(store: str) -> str:
    """Return a store's path or URI so that it is found from any folder."""
    return store if "://" in store else str(Path(store).resolve())


def finished_trial(folder: Path) -> str:
    """Do the first trial of `quickstart` and return its store."""
    cell = ["--batch-size", "32", "--learning-rate", "0.05", "--seed", "0"]
    store = str(folder / "one")
    command = [sys.executable, "-P", "-m", "orchestrator", "trial", "quickstart", *cell]
    cost_of([*command, "--store", store], folder=folder, environment=_environment())
    return store


def installed_peers(*, is_in_folder: bool) -> tuple[list[str], list[str]]:
    """List the peers that can be measured here, and a sentence for each that cannot."""
    if not is_in_folder:
        return [], ["peers are measured on a store in a folder only"]
    peers = [name for name in PEERS if find_spec(name.split("-", maxsplit=1)[0])]
    others = [f"{name} is not installed" for name in PEERS.keys() - set(peers) if "-" not in name]
    of_wandb = "'s offline runs can be asked nothing before upload"
    return peers, [*others, f"wandb{of_wandb if find_spec('wandb') else ' is not installed'}"]


def measure(
    asked: argparse.Namespace, source: str, folder: Path, peers: Sequence[str]
) -> Iterator[Measured]:
    """Make a store of as many trials as the folder is named, and run the commands and peers on it."""
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        storage = stack.enter_context(counted_storage("scale")) if asked.s3 else None
        store = storage.uri if storage else str(folder / "store")
        ground = Ground(store, folder, asked.repeats, storage)
        options = ["--trials", folder.name, "--rows", str(asked.rows), *["--loose"] * asked.loose]
        ground.cost("compact", [str(HERE / "scaled_store.py"), source, store, "{sweep}", *options])
        if "report" in asked.commands and "aggregate" not in asked.commands:
            ground.cost("aggregate", _ours("aggregate", store))
        for name in peers:
            command = [str(HERE / "scale_peers.py"), *PEERS[name]]
            yield Measured(name, int(folder.name), ground.cost(name, command))
        for name in filter(asked.commands.__contains__, COMMANDS):
            yield Measured(name, int(folder.name), ground.cost(name, _ours(name, store)))


def growths(found: Sequence[Measured]) -> Iterator[Grown]:
    """Estimate the growth of each command between sizes that follow one another."""
    for name in dict.fromkeys(measured.command for measured in found):
        start, *larger = [one for one in found if one.command == name]
        for small, large in itertools.pairwise(larger):
            points = [
                Point(one.num_trials, one.cost.cpu_seconds, one.cost.cpu_spread_seconds)
                for one in (start, small, large)
            ]
            sizes = (small.num_trials, large.num_trials)
            yield Grown(name, sizes, scale_bars.growth(*points))


def times_slower(found: Sequence[Measured]) -> float:
    """Return how many times slower this processor is than that of the bars, by the peers."""
    at_bar = [one for one in found if one.num_trials == BAR_TRIALS]
    return scale_bars.slowness({one.command: one.cost.cpu_seconds for one in at_bar})


def all_bars(
    asked: argparse.Namespace,
    found: Sequence[Measured],
    grown: Sequence[Grown],
    slower: float,
) -> Iterator[Bar]:
    """Hold our own commands against the bars; those of a size are of one layout of the store."""
    if (asked.rows, asked.loose, asked.s3) == (BAR_ROWS, False, False):
        for one in found:
            if one.command in COMMANDS:
                cost = one.cost
                costs = cost.cpu_seconds, cost.peak_bytes
                yield from size_bars(one.command, one.num_trials, *costs, slower)
    for one in grown:
        if one.command in COMMANDS:
            yield growth_bar(one.what, one.growth)


def _ours(name: str, store: str) -> list[str]:
    return ["-P", "-m", "orchestrator", *COMMANDS[name], "--store", store]


def _environment() -> dict[str, str]:
    """Return what the commands are started with: Python keeps bytecode, as it does of what is installed."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    ours = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONDONTWRITEBYTECODE": ""}
    return os.environ | CREDENTIALS | ours


def _row(measured: Measured) -> str:
    cost = measured.cost
    return _line(
        [
            measured.command,
            f"{measured.num_trials:,}",
            f"{cost.cpu_seconds:.2f}",
            f"{cost.cpu_spread_seconds:.2f}",
            f"{cost.wall_seconds:.2f}",
            f"{cost.peak_bytes / 1e6:.0f}",
            "n/a" if cost.read_bytes is None else f"{cost.read_bytes / 1e6:.0f}",
            "n/a" if cost.num_requests is None else str(cost.num_requests),
        ]
    )


def _line(cells: Sequence[str]) -> str:
    return f"{cells[0]:<13}" + "".join(f"{cell:>10}" for cell in cells[1:])


def _grown_text(grown: Grown) -> str:
    found = grown.growth
    exponent = "hidden by start-up" if found.exponent is None else f"{found.exponent:.2f}"
    return f"{grown.what}: exponent {exponent} [{found.least:.2f}, {found.most:.2f}]"


def _as_json(
    asked: argparse.Namespace,
    found: Sequence[Measured],
    grown: Sequence[Grown],
    bars: Sequence[Bar],
) -> dict[str, object]:
    finite = [{**asdict(one), "growth": _finite(asdict(one.growth))} for one in grown]
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "options": vars(asked),
        "measured": [asdict(one) for one in found],
        "growths": finite,
        "bars": [asdict(bar) for bar in bars],
    }


def _finite(values: dict[str, float | None]) -> dict[str, float | None]:
    """Replace what JSON has no number for."""
    return {
        key: value if value is not None and math.isfinite(value) else None
        for key, value in values.items()
    }


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


if __name__ == "__main__":
    sys.exit(main())
