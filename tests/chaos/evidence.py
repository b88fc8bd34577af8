"""What the attempts' own notes say: steps lost, work repeated, devices held together."""

from __future__ import annotations

import itertools
import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

Work = tuple[str, str, str | None]
"""Store, trial, statistic (None to train)."""


@dataclass
class Seen:
    """One attempt as it noted itself.

    Attributes:
        began: The facts it began with.
        last_step: Furthest step or batch done; where it began when it did none.
        resumed_at: Steps it did not have to do; None when it did not get so far as to look.
        ended_at: Time of the last sign of life.
        told_at: Time of the last event it noted itself; what comes after is waiting for its end.
        status: How it ended; None when it was killed, or is still at work.
    """

    began: dict[str, object]
    last_step: int = 0
    resumed_at: int | None = None
    last_saved: int = 0
    committed_at: float | None = None
    ended_at: float = 0.0
    told_at: float = 0.0
    status: str | None = None
    is_working: bool = False

    @property
    def work(self) -> Work:
        return str(self.began["store"]), str(self.began["trial_id"]), self.began["statistic"]

    @property
    def began_at(self) -> float:
        return float(self.began["time"])

    @property
    def pid(self) -> int:
        return int(self.began["pid"])

    @property
    def slot(self) -> int:
        return int(self.began["slot"])

    @property
    def interval_steps(self) -> int:
        """Steps that can be done within one checkpoint interval, the one that is over it included."""
        step_seconds = float(self.began["step_seconds"])
        return (
            int(float(self.began["checkpoint_seconds"]) / step_seconds) + 1 if step_seconds else 0
        )

    @property
    def is_alive(self) -> bool:
        """Its process is at work, or stopped."""
        if self.status is not None or not psutil.pid_exists(self.pid):
            return False
        try:
            process = psutil.Process(self.pid)
            is_same = process.create_time() <= self.began_at + 1
            return is_same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


@dataclass
class Evidence:
    """All attempts of a campaign, read again and again as they grow."""

    folder: Path
    attempts: dict[str, Seen] = field(default_factory=dict)
    _read_until: dict[str, int] = field(default_factory=dict)

    def look(self) -> list[Seen]:
        """Read what is new; give all attempts in the order they began."""
        for path in sorted((self.folder / "attempts").glob("*.jsonl")):
            start = self._read_until.get(path.name, 0)
            if path.stat().st_size > start:
                with path.open("rb") as stream:
                    stream.seek(start)
                    whole = stream.read().rpartition(b"\n")[0]
                self._read_until[path.name] = start + len(whole) + 1 if whole else start
                for line in whole.splitlines():
                    self._take(path.stem, json.loads(line))
        return sorted(self.attempts.values(), key=lambda seen: seen.began_at)

    def alive(self, store: str | None = None) -> list[Seen]:
        """Give the attempts at work."""
        return [
            seen
            for seen in self.look()
            if seen.is_alive and (store is None or seen.began["store"] == store)
        ]

    def compactions(self) -> Counter[str]:
        """Count the compactions at the ends of runs by what their drivers told: files merged, or left."""
        told: Counter[str] = Counter()
        for path in self.folder.parent.glob("driver*.err"):
            said = path.read_text()
            told["merged"] += said.count("small files of the store merged into")
            told["left"] += said.count("small files of the store stay as they are")
        return told

    def note_death(self, seen: Seen, time: float) -> None:
        """Note from outside that an attempt lived until a time."""
        path = self.folder / "attempts" / f"{seen.began['attempt_id']}.jsonl"
        with path.open("ab") as stream:
            stream.write(json.dumps({"event": "killed", "time": time}).encode() + b"\n")

    def _take(self, name: str, note: dict[str, object]) -> None:
        event = note["event"]
        if event == "begin":
            self.attempts[name] = Seen(note)
        seen = self.attempts[name]
        if event == "killed" and seen.status is not None:  # it was quicker to leave by itself
            return
        seen.ended_at = max(seen.ended_at, float(note["time"]))
        if event != "killed":
            seen.told_at = float(note["time"])
        if event in {"start", "resume"}:
            seen.resumed_at = int(note.get("done", 0))
            seen.last_step = max(seen.last_step, seen.resumed_at)
        elif event == "step":
            seen.last_step, seen.is_working = int(note["done"]), True
        elif event == "working":
            seen.is_working = True
        elif event == "saved":
            seen.last_saved = int(note["done"])
        elif event == "committed":
            seen.committed_at = float(note["time"])
        elif event == "end":
            seen.status = str(note["status"])


def by_work(attempts: Iterable[Seen]) -> dict[Work, list[Seen]]:
    """Group attempts by what they were at, each group in the order they began."""
    grouped: dict[Work, list[Seen]] = defaultdict(list)
    for seen in attempts:
        grouped[seen.work].append(seen)
    return grouped


@dataclass(frozen=True)
class Loss:
    """Steps done twice because of one failure, and how many one checkpoint interval holds."""

    work: Work
    attempt_id: str
    steps: int
    allowed: int


def losses(attempts: Iterable[Seen]) -> list[Loss]:
    """Give the loss of each failure: what the attempt before had done beyond where this one began.

    Attempts that ran at the same time (two drivers) and work that was committed before are not losses.
    """
    found = []
    for work, group in by_work(attempts).items():
        for index, seen in enumerate(group):
            before = [one for one in group[:index] if one.ended_at <= seen.began_at]
            if not before or seen.resumed_at is None or any(one.committed_at for one in before):
                continue
            furthest = max(one.last_step for one in before)
            steps = max(0, furthest - seen.resumed_at)
            allowed = max(one.interval_steps for one in before)
            found.append(Loss(work, str(seen.began["attempt_id"]), steps, allowed))
    return found


def repeats(attempts: Iterable[Seen]) -> list[Seen]:
    """Give the attempts that began on work that another attempt had committed before."""
    found = []
    for group in by_work(attempts).values():
        commits = [one.committed_at for one in group if one.committed_at]
        found += [seen for seen in group if commits and seen.began_at > min(commits)]
    return found


@dataclass(frozen=True)
class SlotTime:
    """What committed work took.

    Attributes:
        taken: Seconds of all its attempts, from their begin to their last event, failed ones included.
        undisturbed: The same number of works, each as long as the median of those of its kind (store;
            training or which statistic) that one attempt did from begin to end.
        restarts: Seconds from the end of each attempt that committed nothing to the begin of the next.
    """

    taken: float
    undisturbed: float
    restarts: list[float]


def slot_time(attempts: Iterable[Seen]) -> SlotTime:
    """Sum up the time of all committed work."""
    restarts = list[float]()
    taken: Counter[tuple[str, str | None]] = Counter()
    straight: dict[tuple[str, str | None], list[float]] = defaultdict(list)
    number: Counter[tuple[str, str | None]] = Counter()
    for (store, _, statistic), group in by_work(attempts).items():
        seconds = [seen.told_at - seen.began_at for seen in group]
        if any(seen.committed_at for seen in group):
            taken[store, statistic] += sum(seconds)
            number[store, statistic] += 1
            if len(group) == 1:
                straight[store, statistic] += seconds
        for one, other in itertools.pairwise(group):
            if one.committed_at is None and other.began_at > one.ended_at:
                restarts.append(other.began_at - one.ended_at)
    medians = {kind: statistics.median(seconds) for kind, seconds in straight.items()}
    return SlotTime(
        taken=sum(taken[kind] for kind in medians),
        undisturbed=sum(number[kind] * seconds for kind, seconds in medians.items()),
        restarts=restarts,
    )


def highest_loads(attempts: Iterable[Seen]) -> dict[tuple[str, str], float]:
    """Give the largest sum of shares that live attempts ever held together, by machine and device."""
    changes: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for seen in attempts:
        share = float(seen.began["share"])
        for device in str(seen.began["devices"]).split(","):
            if share and device not in {"", "-1"}:
                place = str(seen.began["machine"]), device
                changes[place] += [
                    (seen.began_at, min(share, 1.0)),
                    (seen.ended_at, -min(share, 1.0)),
                ]
    highest = {}
    for place, found in changes.items():
        load = highest[place] = 0.0
        for _, change in sorted(found):
            load += change
            highest[place] = max(highest[place], load)
    return highest
