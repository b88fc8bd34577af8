"""Every fault of a sweep at once: of its keys, its names, its data, and what does not go together.

Each part is checked as far as it can be when other parts are at fault.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from pydantic import TypeAdapter, ValidationError

from orchestrator.planning.accelerators import accelerator_faults
from workers.contract.catalog import Kind, is_plugin, plugin_digest, unknown_name_fault
from workers.contract.dataset_facts import DatasetFacts
from workers.contract.errors import Fault, UserError
from workers.contract.items import CutDatasetItem, StatisticItem
from workers.contract.registry import LOSSES, MODELS, STATISTICS
from workers.contract.specs import DatasetSpec, PluginSpec
from workers.contract.statistics import StatisticSpec
from workers.contract.sweep_spec import MEASURED_BY_DEFAULT, SweepSpec
from workers.contract.validation import faults_of
from workers.datasets.checked.loading import cut_facts, cut_faults, facts_before_fetch, whole_facts
from workers.datasets.dataset import too_few_for_spread
from workers.process.children.plugin_facts import NamedPlugin, facts_of_data, import_faults

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
    faults += _accelerator_faults(document, where)
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
    known = None if is_fetching else facts_before_fetch(spec, data_dir)
    try:
        if isinstance(spec, PluginSpec):
            whole = facts_of_data(spec, data_dir)
        else:
            whole = known or whole_facts(spec, data_dir)
    except UserError as error:
        return _Data(faults=_located(error.faults, spec, where))
    facts, faults = whole, list[Fault]()
    if isinstance(spec, CutDatasetItem):
        faults = [
            replace(fault, where=f"{where}, {fault.where}") for fault in cut_faults(whole, spec)
        ]
        facts = whole if faults else cut_facts(whole, spec)
    faults += _data_faults(document, facts, where)
    return _Data(facts, whole, faults, is_to_fetch=known is not None)


def _located(faults: Sequence[Fault], spec: DatasetSpec, where: str) -> Sequence[Fault]:
    """Name the file too, where it is the data set's own code that is at fault."""
    if not isinstance(spec, PluginSpec):
        return faults
    return [replace(fault, where=f"{where}, {fault.where}") for fault in faults]


def _name_faults(document: Document, where: str) -> Iterator[Fault]:
    loss = document.get("loss")
    if isinstance(loss, str) and loss not in LOSSES and not is_plugin(loss):
        yield unknown_name_fault("loss", loss, f"{where}, loss")
    measured = list[NamedPlugin]()
    for key, name in _plugins(document):
        place = f"{where}, {key}"
        try:
            plugin_digest(name, place)
        except UserError as error:
            yield from error.faults
        else:
            if key.startswith("measure"):
                measured.append(NamedPlugin(kind="statistic", name=name, where=place))
    yield from import_faults(
        measured
    )  # of the others the data are loaded, and the network is built


def _accelerator_faults(document: Document, where: str) -> Iterator[Fault]:
    resources = document.get("resources")
    name = resources.get("accelerator") if isinstance(resources, dict) else None
    if isinstance(name, str):
        yield from accelerator_faults(name, f"{where}, resources.accelerator")


def _plugins(document: Document) -> Iterator[tuple[str, str]]:
    named: list[tuple[str, object]] = [("loss", document.get("loss"))]
    keys: tuple[Kind, ...] = ("model", "dataset")
    for key in keys:
        part = document.get(key)
        named.append((f"{key}.name", part.get("name") if isinstance(part, dict) else None))
    for place, item in _measured(document):
        named.append((place, item.get("name") if isinstance(item, dict) else item))
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
    yield from _size_faults(document, facts, where)
    yield from _item_faults(document, facts, where)
    shape, training = facts.input_shape, document.get("training")
    augmentation = training.get("augmentation", "none") if isinstance(training, dict) else "none"
    if augmentation == "pad_crop_flip" and len(shape) != 3:
        yield Fault(
            f"{augmentation} needs images, and the inputs have shape {shape}",
            f"{where}, training.augmentation",
            "use none",
        )


def _item_faults(document: Document, facts: DatasetFacts, where: str) -> Iterator[Fault]:
    """Find what a model or a loss needs of the data, as each declares it."""
    model, loss = document.get("model"), document.get("loss")
    name, shape = model.get("name") if isinstance(model, dict) else None, facts.input_shape
    if isinstance(name, str) and name in MODELS and MODELS[name].needs_images and len(shape) != 3:
        others = [f"{{name: {each}}}" for each, item in MODELS.items() if not item.needs_images]
        yield Fault(
            f"a {name} needs images, and the inputs have shape {shape}",
            f"{where}, model.name",
            f"use {' or '.join(others)}, or a data set of images",
        )
    needs_labels = isinstance(loss, str) and loss in LOSSES and LOSSES[loss].needs_labels
    if needs_labels and not facts.is_classification:
        others = [each for each, item in LOSSES.items() if not item.needs_labels]
        yield Fault(
            f"{loss} needs class labels, and the data have real targets",
            f"{where}, loss",
            f"use {' or '.join(others)}",
        )


def _shuffle_faults(document: Document, facts: DatasetFacts, where: str) -> Iterator[Fault]:
    """Find shuffled excursions in batches of all examples, which have no noise."""
    whole = [key for key, size in _batch_sizes(document) if size == facts.num_train]
    for key, item in _measured(document):
        if whole and isinstance(item, dict) and item.get("sampler") == "shuffle":
            yield Fault(
                f"shuffled batches of all {facts.num_train} training examples have no noise "
                f"({', '.join(whole)})",
                f"{where}, {key}.sampler",
                "choose smaller batches, or sampler: replacement",
            )


def _spread_faults(document: Document, facts: DatasetFacts, where: str) -> Iterator[Fault]:
    """Find statistics that compare examples of a split of one."""
    sizes = _split_sizes(facts)
    for key, item in _measured(document):
        name = item.get("name") if isinstance(item, dict) else item
        splits = item.get("splits") if isinstance(item, dict) else None
        if isinstance(name, str) and name in STATISTICS and STATISTICS[name].needs_spread:
            for split in splits if isinstance(splits, list) else ["train"]:
                if isinstance(split, str) and sizes.get(split, 2) < 2:
                    yield replace(too_few_for_spread(name, split), where=f"{where}, {key}")


def _size_faults(document: Document, facts: DatasetFacts, where: str) -> Iterator[Fault]:
    """Find what statistics ask of the data, by their settings, that the data do not have.

    Batches larger than the data are a fault of their own; what is no statistic is told elsewhere.
    """
    fitting = (size for _, size in _batch_sizes(document) if 0 < size <= facts.num_train)
    largest = max(fitting, default=1)
    for key, item in _measured(document):
        with suppress(ValidationError):
            spec = TypeAdapter[StatisticSpec](StatisticSpec).validate_python(item)
            if isinstance(spec, StatisticItem):
                for fault in spec.data_faults(_split_sizes(facts), largest):
                    yield replace(fault, where=f"{where}, {key}.{fault.where}")


def _measured(document: Document) -> Iterator[tuple[str, object]]:
    """Return what is to be measured, as written, each with its key."""
    measure = document.get("measure", list(MEASURED_BY_DEFAULT))
    for index, item in enumerate(measure if isinstance(measure, list) else []):
        yield f"measure[{index}]", item


def _split_sizes(facts: DatasetFacts) -> dict[str, int]:
    return {"train": facts.num_train, "test": facts.num_test}


def _batch_sizes(document: Document) -> Iterator[tuple[str, int]]:
    grid, pairs = document.get("grid"), document.get("pairs")
    sizes = grid.get("batch_size") if isinstance(grid, dict) else None
    for index, size in enumerate(sizes if isinstance(sizes, list) else []):
        if isinstance(size, int):
            yield f"grid.batch_size[{index}]", size
    for index, pair in enumerate(pairs if isinstance(pairs, list) else []):
        if isinstance(pair, list) and pair and isinstance(pair[0], int):
            yield f"pairs[{index}]", pair[0]
