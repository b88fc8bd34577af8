"""What happened in a campaign, counted; the report it leaves and the table of several of them."""

from __future__ import annotations

import json
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from evidence import Evidence, highest_loads, losses, repeats, slot_time


@dataclass
class Tally:
    """Counts of faults by kind, and what was seen of them."""

    faults: Counter[str] = field(default_factory=Counter)
    missed: int = 0
    seconds: Counter[str] = field(default_factory=Counter)
    gone_seconds: list[float] = field(default_factory=list)
    exit_codes: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    """Committed, by ground."""
    lost_slots: dict[str, Counter[str]] = field(default_factory=dict)
    """Class of the loss as the `failures` view tells it, by store."""
    damaged: set[str] = field(default_factory=set)
    """Trials that were damaged from outside, whose work is rightly done again."""
    started_at: float = field(default_factory=time.monotonic)

    def report(self, name: str, evidence: Evidence) -> Report:
        """Sum up, with what the attempts noted themselves."""
        attempts = evidence.look()
        loads = highest_loads(attempts)
        time_taken = slot_time(attempts)
        shared = {place for place, load in loads.items() if load > 0.5}
        return Report(
            name=name,
            faults=dict(self.faults),
            num_missed=self.missed,
            seconds=dict(self.seconds),
            exit_codes=dict(self.exit_codes),
            rows=self.rows.total(),
            lost_slots=dict(sum(self.lost_slots.values(), Counter())),
            compactions=dict(evidence.compactions()),
            num_attempts=len(attempts),
            steps_lost=[loss.steps for loss in losses(attempts)],
            num_repeats=sum(seen.work[1] not in self.damaged for seen in repeats(attempts)),
            largest_load=max(loads.values(), default=0.0),
            num_devices=len(shared),
            slot_seconds=time_taken.taken,
            undisturbed_seconds=time_taken.undisturbed,
            restart_seconds=time_taken.restarts,
            slowest_end_seconds=max(self.gone_seconds, default=0.0),
            wall_seconds=time.monotonic() - self.started_at,
        )


@dataclass(frozen=True)
class Report:
    """What one campaign leaves.

    Attributes:
        faults: Number of each kind that happened.
        num_missed: How often what was to be hit had left by itself just before.
        seconds: Time each kind took in all, until everything was checked.
        rows: Committed rows at the end; none was lost or changed.
        lost_slots: Slots lost with an attempt or before one, by the class the `failures` view gives.
        compactions: How often runs merged small files at their end, and how often they told why not.
        steps_lost: By each attempt that took up what another had left.
        num_repeats: Attempts that began on work committed before and not damaged since.
        largest_load: Largest sum of shares of live attempts on a device.
        slot_seconds: Time of all attempts at committed work.
        undisturbed_seconds: The same had nothing failed.
        restart_seconds: Time until each failed or drained attempt's work was taken up.
        slowest_end_seconds: Longest time until nothing was left of what was killed.
    """

    name: str
    faults: dict[str, int]
    num_missed: int
    seconds: dict[str, float]
    exit_codes: dict[str, int]
    rows: int
    lost_slots: dict[str, int]
    compactions: dict[str, int]
    num_attempts: int
    steps_lost: list[int]
    num_repeats: int
    largest_load: float
    num_devices: int
    slot_seconds: float
    undisturbed_seconds: float
    restart_seconds: list[float]
    slowest_end_seconds: float
    wall_seconds: float

    def write(self, path: Path) -> None:
        """Keep it as JSON."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Report:
        """Read it back."""
        return cls(**json.loads(path.read_text()))


def total(reports: Sequence[Report]) -> Counter[str]:
    """Count each kind of fault over several campaigns."""
    counts: Counter[str] = Counter()
    for report in reports:
        counts.update(report.faults)
    return counts


def table(reports: Sequence[Report]) -> list[str]:
    """Give the lines that tell what happened, a column a campaign."""
    seconds: dict[str, float] = defaultdict(float)
    for report in reports:
        for kind, spent in report.seconds.items():
            seconds[kind] += spent
    counts = total(reports)
    lines = [f"{'fault':46}" + "".join(f"{report.name:>12}" for report in reports) + "      s each"]
    for kind in sorted(counts):
        cells = "".join(f"{report.faults.get(kind) or '·':>12}" for report in reports)
        lines.append(f"{kind:46}{cells}{seconds[kind] / counts[kind]:12.1f}")
    facts = {
        "all faults": lambda report: sum(report.faults.values()),
        "missed, and tried again": lambda report: report.num_missed,
        "attempts": lambda report: report.num_attempts,
        "attempts that took up failed or drained ones": lambda report: len(report.steps_lost),
        "steps lost by each, mean": lambda report: _mean(report.steps_lost),
        "steps lost by each, most": lambda report: max(report.steps_lost, default="·"),
        "attempts at work committed before": lambda report: report.num_repeats,
        "time of all attempts over undisturbed": lambda report: (
            f"{report.slot_seconds / report.undisturbed_seconds:.2f}"
            if report.undisturbed_seconds
            else "·"
        ),
        "work waited for its next attempt, median, s": lambda report: (
            f"{statistics.median(report.restart_seconds):.1f}" if report.restart_seconds else "·"
        ),
        "runs that merged small files at their end": lambda report: report.compactions["merged"],
        "runs that told why they did not": lambda report: report.compactions["left"],
        "largest load of a device": lambda report: f"{report.largest_load:g}",
        "committed rows, none lost, none changed": lambda report: report.rows,
        "slowest end of what a kill left behind, s": lambda report: (
            f"{report.slowest_end_seconds:.1f}"
        ),
        "wall time, s": lambda report: f"{report.wall_seconds:.0f}",
    }
    for fact, give in facts.items():
        lines.append(f"{fact:46}" + "".join(f"{give(report)!s:>12}" for report in reports))
    codes = "; ".join(f"{report.name}: {report.exit_codes}" for report in reports)
    lost = "; ".join(f"{report.name}: {report.lost_slots}" for report in reports)
    return [*lines, f"drivers' exit codes: {codes}", f"lost slots as told: {lost}"]


def _mean(steps: Sequence[int]) -> str:
    return f"{statistics.fmean(steps):.1f}" if steps else "·"
