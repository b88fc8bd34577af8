"""A run is a series of waves over Ray Tune: each does what is still missing, until nothing changes.

A trial comes again in the next wave where its slots were lost while starting, where it wants a larger
share of a GPU, or where another run was at it. What failed for good does not.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from orchestrator.liveness import claims
from orchestrator.liveness.run_control import forget_dead_runs
from orchestrator.liveness.silence import Silence
from orchestrator.monitor.progress import ProgressView
from orchestrator.planning.fit import Node
from orchestrator.planning.store_state import StoreReader
from orchestrator.running.driver import DriveResult, Hooks, Refusal
from orchestrator.running.tasks import make_tasks
from orchestrator.running.watch import Run, Watch
from orchestrator.slots.failures import (
    Failure,
    larger_share,
    should_retry,
)
from orchestrator.slots.hung_slots import Slots
from orchestrator.slots.lost_slots import record_loss
from orchestrator.slots.other_code import failure_of_refusal
from orchestrator.slots.task import SlotTask, Status
from workers.contract.errors import StoreError
from workers.contract.lacking import Missing, lacking

_POLL_SECONDS = 1.0
_MOST_TRIALS = 5_000
"""Of one wave: Ray Tune keeps some 40 kB of each of its trials until the wave ends, and slots wait for its last one."""
_UNSEEN_SECONDS = 10.0
"""How long a shared folder may take to show what another machine wrote there."""


@dataclass
class _Ledger:
    """What the waves so far have shown."""

    wanted: set[str]
    statuses: dict[str, Status]
    aside: frozenset[str]
    shares: dict[str, float] = field(default_factory=dict)
    losses: dict[str, list[str]] = field(default_factory=dict)
    unrecorded: list[tuple[SlotTask, Failure]] = field(default_factory=list)
    presumed_dead: set[str] = field(default_factory=set)
    shunned: set[str] = field(default_factory=set)


def run_waves(
    run: Run,
    nodes: Sequence[Node],
    statuses: dict[str, Status],
    aside: frozenset[str] = frozenset(),
) -> None:
    """Do everything that is missing, wave by wave; the status of each trial goes into `statuses`.

    Nodes that are set aside, by id, get no trial.

    Raises:
        ClusterLost: The cluster is gone.
    """
    prepared = run.prepared
    names = {item.planned.trial_id for item in prepared.open_work}
    statuses |= dict.fromkeys(names, "drained")  # until something else is heard
    ledger = _Ledger(names, statuses, aside, shunned={*aside})
    num_slots = sum(node.slots_for(prepared.sweep.resources) for node in nodes)
    num_slots = min(num_slots, run.options.max_concurrent or num_slots)
    view = ProgressView(
        prepared, num_slots, run.console, is_stopping=lambda: run.control.is_stopping
    )
    with view:
        watch = Watch(run, view)
        while ledger.wanted and (tasks := _next_tasks(run, ledger, watch)):
            _drive(run, nodes, tasks, ledger, watch)
        _doubt_what_is_not_there(run, ledger)


def _drive(
    run: Run,
    nodes: Sequence[Node],
    tasks: Sequence[SlotTask],
    ledger: _Ledger,
    watch: Callable[[Slots], None],
) -> None:
    """Run one wave and note how it ended."""

    def on_loss(task: SlotTask, loss: Failure) -> None:
        ledger.losses.setdefault(task.trial_id, []).append(loss.failure_class)
        if not record_loss(run.prepared.store, task, loss):
            ledger.unrecorded.append((task, loss))

    def on_refusal(refusal: Refusal) -> frozenset[str]:
        _name_once(run, refusal, ledger)
        # were all shunned, what is left would wait for ever: each is refused instead
        return frozenset(ledger.shunned) if _is_any_left(run, nodes, ledger) else ledger.aside

    hooks = Hooks(
        watch,
        on_loss,
        lambda: run.control.is_stopping,
        run.scratch,
        run.options.head_seconds,
        frozenset(ledger.shunned),
        on_refusal,
        run.options.max_concurrent,
    )
    try:
        driven = run.driver.drive(tasks, nodes, hooks)
    finally:  # not before: it must not end the heartbeat of an attempt that lives
        ledger.unrecorded = [
            item for item in ledger.unrecorded if not record_loss(run.prepared.store, *item)
        ]
    # not what an earlier wave said
    ledger.statuses |= dict.fromkeys(driven.lost | driven.unstarted, "drained")
    ledger.statuses |= {result.trial_id: result.status for result in driven.results}
    known = dict.fromkeys(driven.lost, ["bug"] * 2) | ledger.losses  # nobody told why: not again
    given = _refused(run, nodes, tasks, driven, ledger) | {
        name for name in driven.lost | driven.unstarted if not should_retry(known.get(name, []))
    }
    ledger.statuses |= dict.fromkeys(given, "failed")
    for task in tasks:
        if ledger.statuses[task.trial_id] == "larger_share":
            ledger.shares[task.trial_id] = larger_share(task.device_share)
    over = {name for name, status in ledger.statuses.items() if status in {"done", "failed"}}
    ledger.wanted -= over


def _refused(
    run: Run,
    nodes: Sequence[Node],
    tasks: Sequence[SlotTask],
    driven: DriveResult,
    ledger: _Ledger,
) -> set[str]:
    """Note what slots of other code gave back, which the next wave does elsewhere.

    Returns:
        The trials that no node is left for.
    """
    for task in tasks:
        if (refusal := driven.refused.get(task.trial_id)) is None:
            continue
        _name_once(run, refusal, ledger)
        failure = failure_of_refusal(refusal.reason)
        if not record_loss(run.prepared.store, task, failure):
            ledger.unrecorded.append((task, failure))
    ledger.statuses |= dict.fromkeys(driven.refused, "drained")
    return set() if _is_any_left(run, nodes, ledger) else set(driven.refused)


def _name_once(run: Run, refusal: Refusal, ledger: _Ledger) -> None:
    """Note that a node holds other code, and say so the first time."""
    if refusal.node_id not in ledger.shunned:
        ledger.shunned.add(refusal.node_id)
        run.console.print(f"{refusal.reason}: it gets no trial", markup=False, highlight=False)


def _is_any_left(run: Run, nodes: Sequence[Node], ledger: _Ledger) -> bool:
    """Whether a node that could hold a trial has refused none."""
    demand = run.prepared.sweep.resources
    return any(node.slots_for(demand) and node.node_id not in ledger.shunned for node in nodes)


def _doubt_what_is_not_there(run: Run, ledger: _Ledger) -> None:
    """Take back that a trial is done where the store does not show it, so that the run is not over.

    Its record may be damaged since, or lie in the store of a node that joined late and has its own.
    """
    records = StoreReader(run.prepared.store)  # anew: what was read before may be damaged by now
    deadline = time.monotonic() + _UNSEEN_SECONDS
    unseen: set[str] = set()
    while not run.control.is_stopping:
        with suppress(StoreError):
            state = records.look()
            left = {i.planned.trial_id for i in lacking(run.prepared.plan, state) if not i.is_done}
            unseen = {name for name in left if ledger.statuses.get(name) == "done"}
        if not unseen or time.monotonic() >= deadline:
            break
        time.sleep(_POLL_SECONDS)
    if unseen:
        ledger.statuses |= dict.fromkeys(unseen, "drained")
        what = f"{len(unseen)} trials were done and are not in the store {run.prepared.store.uri}"
        run.console.print(what, markup=False, highlight=False)


def _next_tasks(run: Run, ledger: _Ledger, watch: Callable[[], None]) -> list[SlotTask]:
    """Make the tasks of the next wave, once at least one of them can do something; [] to end.

    Raises:
        ClusterLost: The head died meanwhile.
    """
    silence = Silence(claims.RIVAL_SILENCE_SECONDS)
    with run.driver.watch_head(run.options.head_seconds) as head:
        while not run.control.is_stopping:
            with suppress(StoreError):
                work = _left(run, ledger)
                if not work or not _all_elsewhere(run, ledger, silence):
                    return make_tasks(
                        run.prepared,
                        run.options,
                        run.control.run_id,
                        work,
                        shares=ledger.shares,
                        presumed_dead=ledger.presumed_dead,
                    )
            watch()
            head.refuse_silence()
            time.sleep(_POLL_SECONDS)
    return []


def _left(run: Run, ledger: _Ledger) -> list[Missing]:
    """Return what a wave takes of what is wanted and not in the store; note what is done.

    The longest first, and last what another run was at, as of that nothing may be left.
    """
    left = {
        item.planned.trial_id: item
        for item in lacking(run.prepared.plan, run.prepared.records.look())
        if not item.is_done
    }
    ledger.statuses |= dict.fromkeys(ledger.wanted - set(left), "done")
    ledger.wanted &= set(left)
    work = [item for name, item in left.items() if name in ledger.wanted]
    work.sort(key=run.prepared.estimator.seconds, reverse=True)
    work.sort(key=lambda item: ledger.statuses[item.planned.trial_id] == "elsewhere")
    return work[:_MOST_TRIALS]


def _all_elsewhere(run: Run, ledger: _Ledger, silence: Silence) -> bool:
    """Return whether other runs are at everything that is left; those silent for long count no more."""
    if any(ledger.statuses[name] != "elsewhere" for name in ledger.wanted):
        return False
    store = run.prepared.store
    forget_dead_runs(store)
    found = claims.rivals_at_all(store, ledger.wanted, run.control.run_id, ledger.presumed_dead)
    dead = silence.silent({beat.attempt_id: beat for beat in found}, time.monotonic())
    ledger.presumed_dead |= dead
    busy = Counter(beat.trial_id for beat in found if beat.attempt_id not in dead)
    return all(busy[name] for name in ledger.wanted)
