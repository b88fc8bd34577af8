"""The arguments and options that commands share, as typer reads them."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NamedTuple, Optional

import typer

_AWAITED = re.compile(r"([0-9]{1,6})(?:,([0-9]{1,9}))?")
_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_TIME = re.compile("".join(rf"(?:([0-9]{{1,9}}){unit})?" for unit in _UNITS))


def seconds_of(text: str) -> float:
    """Read a time such as 2d, 11h30m or 90s as seconds."""
    found = _TIME.fullmatch(text)
    counts = [] if found is None else [int(count or 0) for count in found.groups()]
    seconds = sum(count * size for count, size in zip(counts, _UNITS.values(), strict=False))
    if not seconds:
        raise typer.BadParameter(f"{text!r} is no time: write 90s, 45m, 11h30m or 2d")
    return float(seconds)


class AwaitedNodes(NamedTuple):
    """How many nodes a run waits for, and after how many seconds it leaves without them; None for never."""

    num_nodes: int
    seconds: float | None


def awaited_nodes_of(text: str) -> AwaitedNodes:
    """Read how many nodes are waited for, and perhaps for how long: 3, or 3,600."""
    found = _AWAITED.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no number of nodes: write 3, or 3,600 for 600 s")
    return AwaitedNodes(int(found[1]), None if found[2] is None else float(found[2]))


Sweep = Annotated[str, typer.Argument(metavar="SWEEP", help="A YAML file or a built-in name.")]
MaybeSweep = Annotated[
    Optional[str],  # noqa: UP045  # typer reads it at run time
    typer.Argument(metavar="[SWEEP]", help="A YAML file or a sweep's name; all when left out."),
]
Sweeps = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Argument(metavar="[SWEEP]...", help="Several: side by side; all when left out."),
]
StoreOption = Annotated[str, typer.Option("--store", help="Local path, s3:// or gs://.")]
Address = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--address", envvar="RAY_ADDRESS", help="Ray cluster; else one of our own here."),
]
DataDir = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--data-dir", help="Where the data set's files are; else cache or download."),
]
Set = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--set", metavar="KEY.PATH=VALUE", help="Change a value of the sweep; repeatable."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="JSON alone on standard output.")]
Remeasure = Annotated[
    bool,
    typer.Option(
        "--remeasure", help="Measure anew what an earlier version of the numerics measured."
    ),
]
Benchmark = Annotated[
    bool,
    typer.Option(
        "--benchmark", help="Time a few steps of each batch size on this machine first, some 20 s."
    ),
]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="Drain at the first failure.")]
NoCompact = Annotated[bool, typer.Option("--no-compact", help="Leave small files as they are.")]
CheckpointSeconds = Annotated[
    float, typer.Option("--checkpoint-seconds", min=0.1, help="Time between checkpoints.")
]
MaxConcurrent = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--max-concurrent", min=1, help="At most so many trials at a time."),
]
TimeBudget = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option(
        "--time-budget",
        metavar="TIME",
        parser=seconds_of,
        help="After 90s, 45m, 11h30m or 2d let trials save, and leave.",
    ),
]
WaitForNodes = Annotated[
    Optional[AwaitedNodes],  # noqa: UP045
    typer.Option(
        "--wait-for-nodes",
        metavar="N[,SECONDS]",
        parser=awaited_nodes_of,
        help="Start once so many nodes of the cluster can hold a trial; leave after so many seconds without.",
    ),
]
Prices = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--price",
        metavar="DEVICE=PRICE",
        help="Of an hour of one H100, CPU (core) or any GPU; repeatable.",
    ),
]
BatchSize = Annotated[Optional[int], typer.Option("--batch-size")]  # noqa: UP045
LearningRate = Annotated[Optional[float], typer.Option("--learning-rate")]  # noqa: UP045
TrialSeed = Annotated[Optional[int], typer.Option("--seed")]  # noqa: UP045
Index = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--index", help="Its place in the plan, from 0, in place of the three above."),
]
Watch = Annotated[bool, typer.Option("--watch", help="Look again every few seconds.")]
STORE = "./minima-store"
REPORT = Path("minima-report")


class Format(StrEnum):
    """The format in which a query's rows are written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"
