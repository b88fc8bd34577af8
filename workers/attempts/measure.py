"""Take one statistic of a trained trial's kept model and commit it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import keras

from workers.attempts import kept_model
from workers.attempts.attempt import Attempt
from workers.attempts.failure import ModelLost, WeightsConflict
from workers.attempts.kept_file import UnsafeNetwork
from workers.attempts.plugin_call import calling
from workers.contract.catalog import is_plugin, resolve
from workers.contract.errors import StoreError
from workers.contract.lacking import OUTCOMES_WITHOUT_MINIMUM
from workers.contract.orders import Progress
from workers.contract.quantities import STATISTIC_QUANTITIES
from workers.contract.records import (
    OUTCOME_SENTENCES,
    Measurement,
    Outcome,
    SpectrumNode,
    measurement_table,
    spectrum_table,
)
from workers.contract.skipping import skipped_reason
from workers.contract.specs import PluginSpec
from workers.contract.statistics import StatisticSpec
from workers.contract.store import Store
from workers.network.weights import digest_of_weights
from workers.process.code_digest import running_code
from workers.resumable.checkpoint import remove_checkpoints
from workers.resumable.partials import SavedPartials
from workers.resumable.shared import SharedInStore
from workers.statistics.measuring.context import MeasurementContext
from workers.statistics.measuring.returned import checked
from workers.statistics.measuring.soundness import refuse_unsound

_log = logging.getLogger(__name__)

Measure = Callable[[MeasurementContext, object], object]


@dataclass(frozen=True)
class CommittedTrial:
    """The facts about a trained trial that a measurement needs.

    Attributes:
        outcome: How training ended.
        weights_sha256: Digest of this trial's weights.
        attempt_ids: Attempts that committed these very weights, in order.
        has_conflict: Whether another attempt committed other weights.
    """

    outcome: Outcome
    weights_sha256: str
    attempt_ids: tuple[str, ...]
    has_conflict: bool


def measure_and_commit(attempt: Attempt, statistic: StatisticSpec, statistic_id: str) -> None:
    """Measure the kept model; for a trial without a minimum, commit why it was skipped.

    Raises:
        Drained: A stop was asked for; the partial sums have been saved.
        ModelLost: The trial is trained and its model is gone.
        WeightsConflict: The model found is not the one of the record.
        StoreError: The store cannot be read or written.
    """
    order, store = attempt.order, attempt.store
    trial = find_trial(store, order.trial_id)
    if trial.outcome in OUTCOMES_WITHOUT_MINIMUM:
        found: list[Measurement | SpectrumNode] = [*skipped(statistic, trial.outcome)]
    else:
        found = _measure(attempt, statistic, trial)
    attempt.pulse.report(Progress(phase="committing"))
    key = (order.trial_id, statistic_id)
    nodes = [row for row in found if isinstance(row, SpectrumNode)]
    if nodes:
        content = spectrum_table(order.trial_id, statistic_id, nodes)
        store.commit("spectra", key, order.attempt_id, content)
    rows = [row for row in found if isinstance(row, Measurement)]
    content = measurement_table(order.trial_id, statistic, statistic_id, rows, running_code())
    store.commit("measurements", key, order.attempt_id, content)
    with suppress(StoreError):  # the work is done, even if files remain
        remove_checkpoints(store, attempt.checkpoint_folder)


def find_trial(store: Store, trial_id: str) -> CommittedTrial:
    """Find the trial's record: the first one counts; later ones may have kept its weights too.

    Raises:
        ModelLost: There is no record.
    """
    rows = [commit.table.to_pylist()[0] for commit in store.commits_of("trials", trial_id)]
    if not rows:
        raise ModelLost(f"trial {trial_id} is not in the store {store.uri}; train it first")
    digest = rows[0]["weights_sha256"]
    attempts = tuple(row["attempt_id"] for row in rows if row["weights_sha256"] == digest)
    return CommittedTrial(rows[0]["outcome"], digest, attempts, len(attempts) < len(rows))


def skipped(statistic: StatisticSpec, outcome: Outcome) -> list[Measurement]:
    """Return a row without a value for each quantity and split that would have been measured."""
    quantities = STATISTIC_QUANTITIES.get(statistic.name, (statistic.name,))
    return [
        Measurement(
            quantity=quantity,
            value=None,
            stderr=None,
            num_samples=0,
            method="skipped",
            bn_mode=getattr(statistic, "bn_mode", "frozen"),
            split=split,
            objective="data",
            skipped_reason=skipped_reason(outcome, OUTCOME_SENTENCES[outcome]),
        )
        for split in getattr(statistic, "splits", ["train"])
        for quantity in quantities
    ]


def _measure(
    attempt: Attempt, statistic: StatisticSpec, trial: CommittedTrial
) -> list[Measurement | SpectrumNode]:
    conditions = {
        "environment_id": attempt.environment.facts.environment_id,
        "weights_sha256": trial.weights_sha256,
    }
    context = MeasurementContext(
        model=load_kept_model(attempt, trial),
        dataset=attempt.dataset,
        loss=attempt.loss,
        trial=attempt.order.trial,
        partials=SavedPartials(attempt.store, attempt.order, attempt.pulse, conditions),
        shared=SharedInStore(attempt.store, attempt.order, conditions),
        built=None if is_plugin(statistic.name) else attempt.built,
    )
    refuse_unsound(context, statistic)
    measure = cast("Measure", resolve("statistic", statistic.name, where="measure"))
    settings = statistic.settings if isinstance(statistic, PluginSpec) else statistic
    with calling("statistic", statistic.name, "(context, settings)"):
        return checked(measure(context, settings), statistic.name)


def load_kept_model(attempt: Attempt, trial: CommittedTrial) -> keras.Model:
    """Load the kept network of any attempt that reached the trial's weights.

    Raises:
        ModelLost: No intact file holds these weights.
        WeightsConflict: No file holds them, and training again reached other weights.
    """
    store, order = attempt.store, attempt.order
    paths = [store.model_path(order.trial_id, attempt_id) for attempt_id in trial.attempt_ids]
    for path in paths:
        model = _read_model(attempt, path, trial.weights_sha256)
        if model is not None:
            return model
    if trial.has_conflict:
        raise WeightsConflict(
            f"trial {order.trial_id} was trained again and reached other weights than its record "
            f"{trial.weights_sha256}, whose model is gone"
        )
    raise ModelLost(f"no sound kept model at {' or '.join(paths)} in the store {store.uri}")


def _read_model(attempt: Attempt, path: str, weights_sha256: str) -> keras.Model | None:
    """Load one kept model; None when it is gone, damaged, changed, or holds other weights."""
    content = attempt.store.read_bytes(path)
    if content is None:
        return None
    try:
        model = kept_model.of_trial(content, attempt.order.trial, attempt.dataset)
    except UnsafeNetwork as error:
        _log.warning("passed over a model that was changed: %s: %s", path, error)
        return None
    except Exception as error:  # noqa: BLE001  # Keras and HDF5 raise whatever damage leads to
        _log.warning("passed over a damaged model: %s: %s", path, error)
        return None
    found = digest_of_weights(model)
    if found != weights_sha256:
        _log.warning("passed over a model of other weights: %s holds %s", path, found)
        return None
    return model
