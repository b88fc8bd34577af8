"""Every fault of a sweep at once: of its keys, its names, its data, and what does not go together.

Each part is checked as far as it can be when other parts are at fault.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pydantic import TypeAdapter, ValidationError

from workers.contract.catalog import CATALOG, Kind, is_plugin, plugin_digest, unknown_name_fault
from workers.contract.errors import Fault, UserError
from workers.contract.specs import Cifar10Spec, DatasetSpec, DigitsSpec
from workers.contract.statistics import needs_spread
from workers.contract.sweep_spec import SweepSpec
from workers.contract.validation import faults_of
from workers.datasets.dataset import too_few_for_spread
from workers.datasets.loading import (
    OFFICIAL_CIFAR10,
    DatasetFacts,
    cut_facts,
    cut_faults,
    is_at_hand,
    whole_facts,
)

Document = dict[str, object]


@dataclass(frozen=True)
class CheckedSweep:
    """A sweep without a fault, and the facts of its data.

    Attributes:
        facts: Of the examples used.
        whole: Of the whole data set, before `num_train` and `num_test` cut it.
    """

    spec: SweepSpec
    facts: DatasetFacts
    whole: DatasetFacts


@dataclass(frozen=True)
class _Data:
    """What is known of the data; None where the data set's own keys are at fault."""

    facts: DatasetFacts | None = None
    whole: DatasetFacts | None = None
    faults: Sequence[Fault] = ()
    is_to_fetch: bool = False


def check_sweep(
    document: Document, where: str, data_dir: str | None, others: Sequence[Fault] = ()
) -> CheckedSweep:
    """Validate a sweep read from YAML against specs, names and data.

    Data that are not at hand are fetched only when nothing else is at fault: until then the sweep is
    held against what is known of them.

    Args:
        document: The sweep as written.
        where: The file it came from.
        data_dir: Where the data are.
        others: Faults found elsewhere, told with those of the sweep.

    Raises:
        UserError: Every fault found.
    """
    spec, faults = None, [*others]
    try:
        spec = SweepSpec.model_validate(document)
    except ValidationError as error:
        faults += faults_of(error, where)
    faults += _name_faults(document, where)
    data = _data(document, where, data_dir, is_fetching=False)
    if data.is_to_fetch and not faults and not data.faults:
        data = _data(document, where, data_dir, is_fetching=True)
    faults += data.faults
    if faults or spec is None or data.facts is None or data.whole is None:
        raise UserError(faults)
    return CheckedSweep(spec, data.facts, data.whole)


def _data(document: Document, where: str, data_dir: str | None, *, is_fetching: bool) -> _Data:
    """Hold the sweep against the facts of its data, as far as they are known.

    Where the cut is at fault the rest is judged by the whole data.
    """
    try:
        spec = TypeAdapter[DatasetSpec](DatasetSpec).validate_python(document.get("dataset"))
    except ValidationError:
        return _Data()
    is_to_fetch = not is_fetching and not is_at_hand(spec, data_dir)
    try:
        whole = OFFICIAL_CIFAR10 if is_to_fetch else whole_facts(spec, data_dir)
    except UserError as error:
        return _Data(faults=error.faults)
    facts, faults = whole, list[Fault]()
    if isinstance(spec, Cifar10Spec | DigitsSpec):
        faults = [
            replace(fault, where=f"{where}, {fault.where}") for fault in cut_faults(whole, spec)
        ]
        facts = whole if faults else cut_facts(whole, spec)
    faults += _data_faults(document, facts, where)
    return _Data(facts, whole, faults, is_to_fetch)


def _name_faults(document: Document, where: str) -> Iterator[Fault]:
    loss = document.get("loss")
    if isinstance(loss, str) and loss not in CATALOG["loss"] and not is_plugin(loss):
        yield unknown_name_fault("loss", loss, f"{where}, loss")
    for key, name in _plugins(document):
        try:
            plugin_digest(name, f"{where}, {key}")
        except UserError as error:
            yield from error.faults


def _plugins(document: Document) -> Iterator[tuple[str, str]]:
    named: list[tuple[str, object]] = [("loss", document.get("loss"))]
    keys: tuple[Kind, ...] = ("model", "dataset")
    for key in keys:
        part = document.get(key)
        named.append((f"{key}.name", part.get("name") if isinstance(part, dict) else None))
    measure = document.get("measure")
    for index, item in enumerate(measure if isinstance(measure, list) else []):
        named.append((f"measure[{index}]", item.get("name") if isinstance(item, dict) else item))
    yield from ((key, name) for key, name in named if isinstance(name, str) and is_plugin(name))


def _data_faults(document: Document, facts: DatasetFacts, where: str) -> Iterator[Fault]:
    for key, size in _batch_sizes(document):
        if size > facts.num_train:
            yield Fault(
                f"a batch of {size} is larger than the {facts.num_train} training examples",
                f"{where}, {key}",
                f"at most {facts.num_train}",
            )
    yield from _spread_faults(document, facts, where)
    yield from _shuffle_faults(document, facts, where)
    model, training = document.get("model"), document.get("training")
    shape = facts.input_shape
    if isinstance(model, dict) and model.get("name") == "resnet" and len(shape) != 3:
        yield Fault(
            f"a resnet needs images, and the inputs have shape {shape}",
            f"{where}, model.name",
            "use {name: mlp}, or a data set of images",
        )
    needs_labels = set(CATALOG["loss"]) - {"squared_error"}
    loss = document.get("loss")
    if isinstance(loss, str) and loss in needs_labels and not facts.is_classification:
        yield Fault(
            f"{loss} needs class labels, and the data have real targets",
            f"{where}, loss",
            "use squared_error",
        )
    augmentation = training.get("augmentation", "none") if isinstance(training, dict) else "none"
    if augmentation == "pad_crop_flip" and len(shape) != 3:
        yield Fault(
            f"{augmentation} needs images, and the inputs have shape {shape}",
            f"{where}, training.augmentation",
            "use none",
        )


def _shuffle_faults(document: Document, facts: DatasetFacts, where: str) -> Iterator[Fault]:
    """Find shuffled excursions in batches of all examples, which have no noise."""
    whole = [key for key, size in _batch_sizes(document) if size == facts.num_train]
    measure = document.get("measure")
    for index, item in enumerate(measure if isinstance(measure, list) else []):
        if whole and isinstance(item, dict) and item.get("sampler") == "shuffle":
            yield Fault(
                f"shuffled batches of all {facts.num_train} training examples have no noise "
                f"({', '.join(whole)})",
                f"{where}, measure[{index}].sampler",
                "choose smaller batches, or sampler: replacement",
            )


def _spread_faults(document: Document, facts: DatasetFacts, where: str) -> Iterator[Fault]:
    """Find statistics that compare examples of a split of one."""
    sizes = {"train": facts.num_train, "test": facts.num_test}
    measure = document.get("measure", ["losses", "traces"])
    for index, item in enumerate(measure if isinstance(measure, list) else []):
        name = item.get("name") if isinstance(item, dict) else item
        splits = item.get("splits") if isinstance(item, dict) else None
        if isinstance(name, str) and name in CATALOG["statistic"] and needs_spread(name):
            for split in splits if isinstance(splits, list) else ["train"]:
                if isinstance(split, str) and sizes.get(split, 2) < 2:
                    fault = too_few_for_spread(name, split)
                    yield replace(fault, where=f"{where}, measure[{index}]")


def _batch_sizes(document: Document) -> Iterator[tuple[str, int]]:
    grid, pairs = document.get("grid"), document.get("pairs")
    sizes = grid.get("batch_size") if isinstance(grid, dict) else None
    for index, size in enumerate(sizes if isinstance(sizes, list) else []):
        if isinstance(size, int):
            yield f"grid.batch_size[{index}]", size
    for index, pair in enumerate(pairs if isinstance(pairs, list) else []):
        if isinstance(pair, list) and pair and isinstance(pair[0], int):
            yield f"pairs[{index}]", pair[0]
