"""From a sweep to a plan: every trial and statistic with its identity, or every fault at once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pyarrow as pa
from workers.datasets.loading import DatasetFacts, dataset_facts

from workers.contract.catalog import CATALOG, Kind, is_plugin, plugin_digest, unknown_name_fault
from workers.contract.errors import Fault, UserError
from workers.contract.identity import digest, statistic_id, trial_id
from workers.contract.plan_document import PlanDocument, PlannedStatistic, PlannedTrial
from workers.contract.schema import VIEWS
from workers.contract.specs import PluginSpec, ResNetSpec, TrialSpec
from workers.contract.store import Store
from workers.contract.sweep_spec import SweepSpec


def make_plan(sweep: SweepSpec, data_dir: str | None, now: datetime) -> PlanDocument:
    """Resolve a sweep against its data.

    Raises:
        UserError: Every fault: unknown names, missing plugins, data that cannot be read, and what
            does not go together (a batch larger than the data, a loss that needs labels).
    """
    faults = list(_name_faults(sweep))
    facts = None
    try:
        facts = dataset_facts(sweep.dataset, data_dir)
    except UserError as error:
        faults += error.faults
    if facts is not None:
        faults += _data_faults(sweep, facts)
    if faults or facts is None:
        raise UserError(faults)
    trials = [
        PlannedTrial(trial_id=trial_id(trial), trial=trial) for trial in _trials(sweep, facts)
    ]
    statistics = [
        PlannedStatistic(statistic_id=statistic_id(statistic), statistic=statistic)
        for statistic in sweep.measure
    ]
    spec = sweep.model_dump(mode="json")
    return PlanDocument(
        sweep=sweep.name,
        revision=f"{now.astimezone(UTC):%Y%m%dT%H%M%S}-{digest(spec | _data_identity(facts))[:8]}",
        planned_at=now.astimezone(UTC).isoformat(timespec="seconds"),
        spec=spec,
        seeds=sweep.seed_list,
        trials=trials,
        statistics=statistics,
    )


def publish_plan(store: Store, plan: PlanDocument) -> PlanDocument:
    """Write the plan and its `sweep_trials` rows, unless the newest revision asks for the same.

    Returns:
        The plan as it lies in the store: the newest revision where nothing changed.
    """
    newest = newest_plan(store, plan.sweep)
    if newest is not None and _content(newest) == _content(plan):
        return newest
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


def newest_plan(store: Store, sweep: str) -> PlanDocument | None:
    """Read the newest revision of a sweep; None when it was never run here."""
    names = store.names(f"sweeps/{sweep}")
    for name in reversed(names):
        document = store.read_json(name)
        if document is not None:
            return PlanDocument.model_validate(document)
    return None


def _content(plan: PlanDocument) -> object:
    return plan.spec, plan.trials, plan.statistics


def _data_identity(facts: DatasetFacts) -> dict[str, str]:
    return {"data_digest": facts.digest}


def _trials(sweep: SweepSpec, facts: DatasetFacts) -> Iterator[TrialSpec]:
    plugins = {
        name: found
        for name in (sweep.model.name, sweep.dataset.name, sweep.loss)
        if (found := plugin_digest(name, name)) is not None
    }
    for batch_size, learning_rate in sweep.cells:
        for seed in sweep.seed_list:
            yield TrialSpec(
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


def _name_faults(sweep: SweepSpec) -> Iterator[Fault]:
    if sweep.loss not in CATALOG["loss"] and not is_plugin(sweep.loss):
        yield unknown_name_fault("loss", sweep.loss, "loss")
    named: list[tuple[Kind, str]] = [("loss", sweep.loss)]
    items = [("model", sweep.model), ("dataset", sweep.dataset)]
    named += [(kind, item.name) for kind, item in items if isinstance(item, PluginSpec)]  # type: ignore[misc]  # both are kinds
    named += [("statistic", item.name) for item in sweep.measure if isinstance(item, PluginSpec)]
    for kind, name in named:
        try:
            plugin_digest(name, kind)
        except UserError as error:
            yield from error.faults


def _data_faults(sweep: SweepSpec, facts: DatasetFacts) -> Iterator[Fault]:
    for size in sorted({size for size, _ in sweep.cells if size > facts.num_train}):
        yield Fault(
            f"a batch of {size} is larger than the {facts.num_train} training examples",
            "grid.batch_size" if sweep.grid else "pairs",
            f"at most {facts.num_train}",
        )
    is_image = len(facts.input_shape) == 3
    if isinstance(sweep.model, ResNetSpec) and not is_image:
        yield Fault(
            f"a resnet needs images, and {sweep.dataset.name} has inputs of shape {facts.input_shape}",
            "model.name",
            "use model {name: mlp}, or a data set of images",
        )
    if (
        sweep.loss in CATALOG["loss"]
        and sweep.loss != "squared_error"
        and not facts.is_classification
    ):
        yield Fault(
            f"the loss {sweep.loss} needs class labels, and {sweep.dataset.name} has real targets",
            "loss",
            "use squared_error",
        )
    if sweep.training.augmentation != "none" and not is_image:
        yield Fault(
            f"{sweep.training.augmentation} needs images, and inputs have shape {facts.input_shape}",
            "training.augmentation",
            "use none",
        )
