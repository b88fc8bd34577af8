"""Every fault of a sweep at once: of its keys, its names, its data, and what does not go together.

Each part is checked as far as it can be when other parts are at fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pydantic import TypeAdapter, ValidationError

from workers.contract.catalog import Kind, is_plugin, plugin_digest, unknown_name_fault
from workers.contract.errors import Fault, UserError
from workers.contract.items import CutDatasetItem
from workers.contract.registry import LOSSES, MODELS, STATISTICS
from workers.contract.specs import DatasetSpec
from workers.contract.sweep_spec import MEASURED_BY_DEFAULT, SweepSpec
from workers.contract.validation import faults_of
from workers.datasets.dataset import too_few_examples, too_few_for_spread
from workers.datasets.loading import DatasetFacts, cut_facts, whole_facts

Document = dict[str, object]


@dataclass(frozen=True)
class CheckedSweep:
    """A sweep without a fault, and the facts of its data."""

    spec: SweepSpec
    facts: DatasetFacts


def check_sweep(document: Document, where: str, data_dir: str | None) -> CheckedSweep:
    """Validate a sweep read from YAML against specs, names and data.

    Raises:
        UserError: Every fault found.
    """
    faults: list[Fault] = []
    spec = facts = None
    try:
        spec = SweepSpec.model_validate(document)
    except ValidationError as error:
        faults += faults_of(error, where)
    faults += _name_faults(document, where)
    try:
        facts, found = _facts(document, data_dir, where)
        faults += found
    except UserError as error:
        faults += error.faults
    if facts is not None:
        faults += _data_faults(document, facts, where)
    if faults or spec is None or facts is None:
        raise UserError(faults)
    return CheckedSweep(spec, facts)


def _facts(
    document: Document, data_dir: str | None, where: str
) -> tuple[DatasetFacts | None, list[Fault]]:
    """Load the facts of the data; None when the data set's own keys are at fault.

    When more examples are asked for than there are, those faults with the facts of the whole data.
    """
    try:
        spec = TypeAdapter[DatasetSpec](DatasetSpec).validate_python(document.get("dataset"))
    except ValidationError:
        return None, []
    whole = whole_facts(spec, data_dir)
    if not isinstance(spec, CutDatasetItem):
        return whole, []
    faults = too_few_examples(spec, whole.num_train, whole.num_test)
    if faults:
        return whole, [replace(fault, where=f"{where}, {fault.where}") for fault in faults]
    return cut_facts(whole, spec), []


def _name_faults(document: Document, where: str) -> Iterator[Fault]:
    loss = document.get("loss")
    if isinstance(loss, str) and loss not in LOSSES and not is_plugin(loss):
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
    measure = document.get("measure", list(MEASURED_BY_DEFAULT))
    for index, item in enumerate(measure if isinstance(measure, list) else []):
        name = item.get("name") if isinstance(item, dict) else item
        splits = item.get("splits") if isinstance(item, dict) else None
        if isinstance(name, str) and name in STATISTICS and STATISTICS[name].needs_spread:
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
