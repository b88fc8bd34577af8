"""A sweep compared with its store and the machines at hand, before anything is started or written."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property

from orchestrator.planning.checks import CheckedSweep, check_sweep
from orchestrator.planning.estimate import Estimator, duration, make_estimator, total_seconds
from orchestrator.planning.fit import Node, fit_faults
from orchestrator.planning.plan import as_in_store, make_plan
from orchestrator.planning.store_state import StoreReader, StoreState
from orchestrator.planning.sweep import read_sweep
from workers.contract.dataset_facts import DatasetFacts
from workers.contract.errors import Fault, UserError
from workers.contract.items import CutDatasetItem
from workers.contract.lacking import Missing, lacking
from workers.contract.plan_document import PlanDocument
from workers.contract.store import Store
from workers.contract.store_place import place_faults
from workers.contract.sweep_spec import ResourcesSpec, SweepSpec


@dataclass(frozen=True)
class Options:
    """The options that commands share, paths made absolute.

    Attributes:
        is_remeasuring: What an earlier numerics version measured is measured anew.
        is_compacting: At the end of a run the store's small files are merged, where a view of facts has
            `num_loose_files` or more.
        max_concurrent: Of this run at most so many trials are at work at a time; None for as many as fit.
        time_budget_seconds: After this long trials save and leave, as when the run is stopped; None for never.
        num_awaited_nodes: The run starts once so many nodes that can hold a trial are in the cluster.
        awaited_seconds: After this long without them it leaves; None for never.
        hang_seconds: An attempt without progress for this long is ended.
        head_seconds: A head that does not answer for this long is lost.
        silence_seconds: A slot that tells nothing of a running attempt for this long is ended.
        idle_seconds: So is one that has a trial and runs no attempt; a pause before another try takes
            up to 300.
        entry: The module whose `run_child` does an attempt; tests of the driver have trials of their own.
    """

    store: str
    address: str | None = None
    data_dir: str | None = None
    overrides: tuple[str, ...] = ()
    is_fail_fast: bool = False
    is_remeasuring: bool = False
    is_compacting: bool = True
    num_loose_files: int = 2000
    checkpoint_seconds: float = 60.0
    max_concurrent: int | None = None
    time_budget_seconds: float | None = None
    num_awaited_nodes: int = 0
    awaited_seconds: float | None = None
    hang_seconds: float = 1800.0
    head_seconds: float = 30.0  # Ray itself would end the driver after 60
    silence_seconds: float = 120.0
    idle_seconds: float = 900.0
    entry: str = "workers.trial"


@dataclass(frozen=True)
class Prepared:
    """A sweep compared with its store: what is planned, what is missing, what it will take.

    `records` has read the store and looks again at the cost of what is new.
    `data` are the facts of the examples used, `whole_data` of the whole data set; `where` is the file.
    """

    sweep: SweepSpec
    plan: PlanDocument
    store: Store
    records: StoreReader
    state: StoreState
    missing: list[Missing]
    estimator: Estimator
    data: DatasetFacts
    whole_data: DatasetFacts
    where: str

    @cached_property
    def open_work(self) -> list[Missing]:
        """Trials with something missing, longest first."""
        left = [item for item in self.missing if not item.is_done]
        return sorted(left, key=self.estimator.seconds, reverse=True)

    def seconds_left(self, slots: int) -> float:
        """Estimate the wall time of what is missing."""
        return total_seconds([self.estimator.seconds(item) for item in self.open_work], slots)


def prepare(sweep_name: str, options: Options) -> Prepared:
    """Read, check and plan a sweep and compare it with its store; writes nothing.

    Raises:
        UserError: All faults of the sweep, its data and the store's place.
    """
    others, store = list(_option_faults(options)), None
    try:
        store = Store.open(options.store)
        others += place_faults(store)
    except UserError as error:
        others += error.faults
    try:
        document, where = read_sweep(sweep_name, list(options.overrides))
    except UserError as error:
        raise UserError([*others, *error.faults]) from error
    checked = check_sweep(document, where, options.data_dir, others)
    if store is None:  # then it is among the others
        raise UserError(others)
    checked = _without_needless_cut(checked)
    return _compare(checked, store, where, is_remeasuring=options.is_remeasuring)


def _option_faults(options: Options) -> Iterator[Fault]:
    if not math.isfinite(options.checkpoint_seconds):
        yield Fault(
            f"{options.checkpoint_seconds} is no time between checkpoints",
            "--checkpoint-seconds",
            "give a number of seconds; 86400 is a day",
        )


def _without_needless_cut(checked: CheckedSweep) -> CheckedSweep:
    """Leave out a `num_train` that is the whole training set: it decides nothing."""
    dataset = checked.spec.dataset
    if not isinstance(dataset, CutDatasetItem):
        return checked
    if dataset.num_train != checked.whole.num_train:
        return checked
    whole = dataset.model_copy(update={"num_train": None})
    return replace(checked, spec=checked.spec.model_copy(update={"dataset": whole}))


def _compare(checked: CheckedSweep, store: Store, where: str, *, is_remeasuring: bool) -> Prepared:
    now = datetime.now(UTC)
    made = make_plan(checked.spec, checked.facts, now, is_remeasuring=is_remeasuring)
    plan = as_in_store(store, made)
    records = StoreReader(store)
    state = records.look()
    estimator = make_estimator(plan, state, checked.facts, checked.spec.resources)
    missing = lacking(plan, state)
    return Prepared(
        checked.spec,
        plan,
        store,
        records,
        state,
        missing,
        estimator,
        checked.facts,
        checked.whole,
        where,
    )


def refuse_misfit(prepared: Prepared, nodes: Sequence[Node], cure: str | None = None) -> None:
    """Refuse a sweep whose trials no node can ever hold; without another cure, say what it would take without GPUs.

    Raises:
        UserError: With the cure.
    """
    cure = cure or misfit_cure(prepared, nodes)
    faults = fit_faults(prepared.sweep.resources, nodes, cure)
    if faults:
        raise UserError(faults)


def misfit_cure(prepared: Prepared, nodes: Sequence[Node]) -> str:
    """Return what to do about trials that do not fit, with the time they would take on CPUs alone where it is known."""
    resources = prepared.sweep.resources
    num_cpus = min(resources.cpus, max(1, *(node.cpus for node in nodes)))
    most_memory = max((node.memory for node in nodes if node.cpus >= num_cpus), default=0)
    cpu_only = ResourcesSpec(gpus=0, cpus=num_cpus, memory=min(resources.memory, most_memory))
    slots = sum(node.slots_for(cpu_only) for node in nodes)
    estimator = prepared.estimator.at_stated_speed(cpu_only)
    seconds = total_seconds([estimator.seconds(item) for item in prepared.open_work], slots)
    settings = f"--set resources.gpus=0 --set resources.cpus={cpu_only.cpus}"
    if cpu_only.memory < resources.memory:
        settings += f" --set resources.memory={cpu_only.memory // 2**20}MiB"
    if resources.accelerator is not None:
        settings += " --set resources.accelerator=null"
    is_told = prepared.open_work and math.isfinite(seconds)
    time = f": about {duration(seconds)} on what is here" if is_told else ""
    return (
        "run it on a cluster whose nodes have them (--address), or on CPUs alone with "
        f"{settings}{time}"
    )
