"""What happened in a campaign, counted; the table at its end."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from evidence import Evidence, highest_loads, losses, repeats


@dataclass
class Tally:
    """Counts of faults by kind and store, and what was seen of them."""

    faults: Counter[tuple[str, str]] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)
    gone_seconds: list[float] = field(default_factory=list)
    exit_codes: Counter[str] = field(default_factory=Counter)
    rows: dict[str, int] = field(default_factory=dict)
    started_at: float = field(default_factory=time.monotonic)
    notes: list[str] = field(default_factory=list)

    def count(self, kind: str) -> int:
        """Give how often a kind of fault happened, over all stores."""
        return sum(number for (name, _), number in self.faults.items() if name == kind)

    def of_ground(self, ground: str) -> int:
        """Give how many faults a store met."""
        return sum(number for (_, name), number in self.faults.items() if name == ground)

    def table(self, evidence: Evidence) -> list[str]:
        """Give the lines of the report."""
        grounds = sorted({ground for _, ground in self.faults})
        kinds = sorted({kind for kind, _ in self.faults})
        lines = [f"{'fault':44}" + "".join(f"{ground:>8}" for ground in grounds) + f"{'s each':>9}"]
        for kind in kinds:
            counts = "".join(f"{self.faults[kind, ground] or '·':>8}" for ground in grounds)
            lines.append(f"{kind:44}{counts}{self.seconds[kind] / self.count(kind):9.1f}")
        total = "".join(f"{self.of_ground(ground):8}" for ground in grounds)
        lines += [f"{'all':44}{total}", *self._findings(evidence), *self.notes]
        return lines

    def _findings(self, evidence: Evidence) -> list[str]:
        attempts = evidence.look()
        lost = [loss.steps for loss in losses(attempts)]
        loads = highest_loads(attempts)
        rows = ", ".join(f"{name} {number}" for name, number in sorted(self.rows.items()))
        codes = ", ".join(f"{code}: {number}" for code, number in sorted(self.exit_codes.items()))
        gone = f"{max(self.gone_seconds, default=0):.1f} s"
        return [
            f"attempts {len(attempts)}; attempts that took up failed or drained ones {len(lost)}, "
            f"steps lost by each: mean {sum(lost) / max(len(lost), 1):.1f}, most {max(lost, default=0)}",
            f"attempts at work that was committed before: {len(repeats(attempts))}",
            f"largest load of a device: {max(loads.values(), default=0):g} on {len(loads)} devices",
            f"committed rows, none lost, none changed: {rows}",
            f"drivers' exit codes: {codes}; slowest end of what a kill left behind: {gone}",
            f"wall time {time.monotonic() - self.started_at:.0f} s",
        ]
