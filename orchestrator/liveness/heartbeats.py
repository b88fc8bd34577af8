"""Which attempts live, by their heartbeats in the store, even where clocks disagree.

A heartbeat is written every few seconds, and an attempt that was killed leaves its last one behind.
Clocks of machines differ, so three signs of life count. At a first look: the heartbeat's own time
or the time that the storage gave its file is within a minute of this machine's clock. From then on:
it has changed within a minute, which depends on no clock. An attempt that says it runs and shows
none of these signs is silent: killed, or (at a single look) this machine's clock differs from both
others.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from workers.contract.commits import warn_of_damage
from workers.contract.documents import read_document
from workers.contract.errors import StoreError
from workers.contract.local_files import Mark
from workers.contract.orders import Heartbeat
from workers.contract.parquet_file import DamagedFile
from workers.contract.store import Store

SILENT_AFTER_SECONDS = 60.0


@dataclass(frozen=True)
class Heartbeats:
    """Attempts that say they run: live ones, and the last silent one of each trial without."""

    live: list[Heartbeat]
    silent: list[Heartbeat]


@dataclass(frozen=True)
class _Seen:
    """A heartbeat as last read, its file's mark, and when it last changed (monotonic clock)."""

    mark: Mark
    heartbeat: Heartbeat
    changed_at: float


class HeartbeatReader:
    """Reader of the heartbeats of trials; a second look reads only files that changed."""

    def __init__(self, store: Store, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store, self._monotonic = store, monotonic
        self._seen: dict[str, _Seen] = {}
        self._listed: frozenset[str] | None = None

    def look(self, trial_ids: Collection[str], now: datetime) -> Heartbeats:
        """Find the attempts at these trials that say they run; `now` by this machine's clock.

        Raises:
            StoreError: The heartbeats cannot be listed.
        """
        marks = self._store.marks("attempts")
        wanted = {
            path: marks[path] for path in sorted(marks) if Store.heartbeat_trial(path) in trial_ids
        }
        seen = {path: self._seen[path] for path in wanted if self._is_settled(path, wanted[path])}
        open_paths = [path for path in wanted if path not in seen]
        beats = _read_each(self._store, open_paths)
        found = [self._see(path, beats.get(path), wanted[path], now) for path in open_paths]
        seen |= {path: one for path, one in zip(open_paths, found, strict=True) if one}
        self._seen = seen
        self._listed = frozenset(marks)
        return self._sorted()

    def _is_settled(self, path: str, mark: Mark) -> bool:
        known = self._seen.get(path)
        return known is not None and known.mark == mark and _is_final(known)

    def _see(
        self, path: str, heartbeat: Heartbeat | None, mark: Mark, now: datetime
    ) -> _Seen | None:
        known = self._seen.get(path)
        if heartbeat is None:
            return None
        if known is not None and known.heartbeat == heartbeat:
            return _Seen(mark, heartbeat, known.changed_at)
        is_new = known is not None or (self._listed is not None and path not in self._listed)
        age = 0.0 if is_new else _age(heartbeat, mark, now)
        return _Seen(mark, heartbeat, self._monotonic() - age)

    def _sorted(self) -> Heartbeats:
        oldest = self._monotonic() - SILENT_AFTER_SECONDS
        running = [seen for seen in self._seen.values() if seen.heartbeat.state == "running"]
        live = [seen.heartbeat for seen in running if seen.changed_at >= oldest]
        known = {heartbeat.trial_id for heartbeat in live}
        silent: dict[str, Heartbeat] = {}
        for seen in running:
            heartbeat = seen.heartbeat
            former = silent.get(heartbeat.trial_id, heartbeat)
            if heartbeat.trial_id not in known and heartbeat.started_at >= former.started_at:
                silent[heartbeat.trial_id] = heartbeat
        return Heartbeats(live, list(silent.values()))


def live_heartbeats(store: Store, trial_ids: Collection[str], now: datetime) -> list[Heartbeat]:
    """Find the live attempts at these trials with a single look."""
    return HeartbeatReader(store).look(trial_ids, now).live


def heartbeats_of(store: Store, trial_id: str) -> list[Heartbeat]:
    """Read every heartbeat of a trial's attempts, ended ones included.

    Raises:
        StoreError: The heartbeats cannot be listed.
    """
    return heartbeats_of_all(store, {trial_id})


def heartbeats_of_all(
    store: Store, trial_ids: Collection[str], passed_over: Collection[str] = ()
) -> list[Heartbeat]:
    """Read every heartbeat of the attempts at these trials, with one listing, but for attempts passed over.

    Raises:
        StoreError: The heartbeats cannot be listed.
    """
    paths = [
        path
        for path in store.names("attempts", beginnings=Store.beginnings(trial_ids))
        if Store.heartbeat_trial(path) in trial_ids
        and Store.heartbeat_attempt(path) not in passed_over
    ]
    return [*_read_each(store, paths).values()]


def _read_each(store: Store, paths: Sequence[str]) -> dict[str, Heartbeat]:
    """Read heartbeats by path; damaged ones are no sign of life, and are told."""
    found = dict(zip(paths, store.each(lambda path: _read(store, path), paths), strict=True))
    warn_of_damage({path: each for path, each in found.items() if isinstance(each, DamagedFile)})
    return {path: each for path, each in found.items() if isinstance(each, Heartbeat)}


def _read(store: Store, path: str) -> Heartbeat | DamagedFile | None:
    try:
        return read_document(store, path, Heartbeat, "heartbeat")
    except StoreError:  # briefly out of reach: no sign of life either
        return None


def seconds_between(first: str, last: str) -> float:
    """Return the seconds between two ISO 8601 times; NaN where either is not one."""
    try:
        return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()
    except (ValueError, TypeError):  # not a time, or only one of them with a time zone
        return math.nan


def _age(heartbeat: Heartbeat, mark: Mark, now: datetime) -> float:
    """Return the smaller distance of both times from now [s]; infinite when neither shows life."""
    moment = now.astimezone(UTC)
    ages = [abs(seconds_between(heartbeat.beat_at, moment.isoformat()))]
    if mark.written_ns is not None:
        ages.append(abs(moment.timestamp() - mark.written_ns / 1e9))
    fresh = [age for age in ages if age <= SILENT_AFTER_SECONDS]
    return min(fresh, default=math.inf)


def _is_final(seen: _Seen) -> bool:
    """Return whether an equal mark means equal content: object storage keeps only whole seconds."""
    written = seen.mark.written_ns
    return seen.heartbeat.state == "ended" or bool(written and written % 1_000_000_000)
