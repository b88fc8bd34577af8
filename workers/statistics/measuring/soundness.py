"""What is refused before any statistic runs; each statistic checks its own limits itself."""

from __future__ import annotations

from collections.abc import Iterator

import keras

from workers.contract.errors import Fault, UserError
from workers.contract.items import StatisticItem
from workers.contract.statistics import StatisticSpec
from workers.datasets.checked import dataset_faults
from workers.datasets.dataset import Dataset, too_few_for_spread
from workers.network.network_faults import faults_of as network_faults
from workers.network.weights import non_finite_weights
from workers.statistics.measuring.context import MeasurementContext


def refuse_unsound(context: MeasurementContext, statistic: StatisticSpec) -> None:
    """Check that a statistic of this network and data would mean what its name says.

    Refused are weights that are not finite; a network that does not fit its data, computes in
    another precision than float32, or mixes the examples of a batch; data with gaps, false labels
    or a single class; fewer than two examples where a spread is measured.

    Raises:
        UserError: All faults found.
    """
    found = dataset_faults.faults_of(context.dataset)
    found += _spread_faults(context.dataset, statistic)
    found += _weight_faults(context.model)
    found += network_faults(context.model, context.dataset, context.trial.loss)
    if found:
        raise UserError(found)


def _spread_faults(dataset: Dataset, statistic: StatisticSpec) -> Iterator[Fault]:
    if isinstance(statistic, StatisticItem) and statistic.needs_spread:
        for split in getattr(statistic, "splits", ["train"]):
            if len(getattr(dataset, split)) < 2:
                yield too_few_for_spread(statistic.name, split)


def _weight_faults(model: keras.Model) -> Iterator[Fault]:
    names = non_finite_weights(model)
    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        what = (
            f"the model {model.name!r} holds weights that are not finite numbers: {names[0]}{more}"
        )
        yield Fault(what, "the kept model", "measure a trial that did not diverge")
