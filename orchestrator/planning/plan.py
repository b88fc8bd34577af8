"""From a sweep to a plan: every trial and statistic with its identity."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from workers.contract.catalog import plugin_digest
from workers.contract.dataset_facts import DatasetFacts
from workers.contract.identity import digest, earlier_statistic_ids, statistic_id, trial_ids
from workers.contract.plan_document import PlanDocument, PlannedStatistic
from workers.contract.planned_trials import in_blocks, trials_like, with_ids
from workers.contract.plans import list_revisions, newest_plan
from workers.contract.schema import VIEWS
from workers.contract.specs import TrialSpec
from workers.contract.store import Store
from workers.contract.sweep_spec import ResourcesSpec, SweepSpec

_STAMP, _STAMP_CHARACTERS = "%Y%m%dT%H%M%S%f", 21
"""How a revision's name begins: names sort by time."""


def make_plan(
    sweep: SweepSpec, facts: DatasetFacts, now: datetime, *, is_remeasuring: bool = False
) -> PlanDocument:
    """Assign every trial and statistic of a checked sweep its identity.

    What an earlier numerics version measured counts, unless the plan is to measure it anew.
    """
    trials = list(_trials(sweep, facts))
    statistics = [
        PlannedStatistic(
            statistic_id=statistic_id(statistic),
            statistic=statistic,
            earlier_ids=[] if is_remeasuring else earlier_statistic_ids(statistic),
        )
        for statistic in sweep.measure
    ]
    spec = sweep.model_dump(mode="json")
    return PlanDocument(
        sweep=sweep.name,
        revision=f"{now.astimezone(UTC):{_STAMP}}-{digest(spec | _data_identity(facts))[:8]}",
        planned_at=now.astimezone(UTC).isoformat(timespec="seconds"),
        spec=spec,
        seeds=sweep.seed_list,
        trials=with_ids(trial_ids(trials), trials),
        statistics=statistics,
    )


def as_in_store(store: Store, plan: PlanDocument) -> PlanDocument:
    """Return the newest revision in the store where it asks for the same, else the plan as it is."""
    newest = newest_plan(store, plan.sweep)
    return newest if newest is not None and _content(newest) == _content(plan) else plan


def publish_plan(store: Store, plan: PlanDocument) -> PlanDocument:
    """Write the plan and its `sweep_trials` rows, unless the newest revision asks for the same.

    Returns:
        The plan as it lies in the store: the newest revision where nothing changed; else under a
        name that sorts after those there, though they were named by a clock that is ahead of ours.
    """
    known = as_in_store(store, plan)
    if known is not plan:
        return known
    plan = plan.model_copy(update={"revision": _last_revision(store, plan)})
    rows = [
        {
            "sweep": plan.sweep,
            "revision": plan.revision,
            "trial_id": planned.trial_id,
            "batch_size": planned.trial.batch_size,
            "learning_rate": planned.trial.learning_rate,
            "seed": planned.trial.seed,
        }
        for planned in plan.trials
    ]
    table = pa.Table.from_pylist(rows, schema=VIEWS["sweep_trials"])
    store.commit("sweep_trials", (plan.sweep, plan.revision), plan.revision, table)
    store.write_json(Store.plan_path(plan.sweep, plan.revision), plan.model_dump(mode="json"))
    return plan


def keep_published(store: Store, plan: PlanDocument) -> PlanDocument:
    """Publish a published plan anew where its revision is lost or damaged by now; a newer one is left to stand.

    Returns:
        The plan under the revision that it has.
    """
    return (
        plan if _newest_revision(store, plan.sweep) >= plan.revision else publish_plan(store, plan)
    )


def is_superseded(store: Store, plan: PlanDocument) -> bool:
    """Whether a newer revision of the sweep's plan stands in the store."""
    return _newest_revision(store, plan.sweep) > plan.revision


def _newest_revision(store: Store, sweep: str) -> str:
    newest = newest_plan(store, sweep)
    return "" if newest is None else newest.revision


def _last_revision(store: Store, plan: PlanDocument) -> str:
    """Return the plan's revision, moved on where one in the store would sort after it."""
    last = max(list_revisions(store, plan.sweep), default="")
    if plan.revision > last:
        return plan.revision
    content_digest = plan.revision.rsplit("-", 1)[-1]
    stamp = last.split("-", 1)[0]
    with suppress(ValueError, OverflowError):  # not named by a time, or by the last one there is
        if len(stamp) == _STAMP_CHARACTERS:
            later = datetime.strptime(stamp, _STAMP) + timedelta(microseconds=1)
            return f"{later:{_STAMP}}-{content_digest}"
    return f"{last}_{content_digest}"


def _content(plan: PlanDocument) -> object:
    # an earlier version wrote no key that it did not know
    resources = ResourcesSpec.model_validate(plan.spec.get("resources", {}))
    return plan.spec | {"resources": resources}, in_blocks(plan.trials), plan.statistics


def _data_identity(facts: DatasetFacts) -> dict[str, str]:
    return {"data_digest": facts.digest}


def _trials(sweep: SweepSpec, facts: DatasetFacts) -> Iterable[TrialSpec]:
    plugins = {
        name: found
        for name in (sweep.model.name, sweep.dataset.name, sweep.loss)
        if (found := plugin_digest(name, name)) is not None
    }
    rows = [(*cell, seed) for cell in sweep.cells for seed in sweep.seed_list]
    batch_size, learning_rate, seed = rows[0]
    first = TrialSpec(
        model=sweep.model,
        dataset=sweep.dataset,
        data_digest=facts.digest,
        loss=sweep.loss,
        training=sweep.training,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        plugin_digests=plugins,
    )
    return trials_like(first, rows)
