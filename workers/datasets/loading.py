"""From a data set's spec to its arrays, or only to the facts a planner needs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated

from pydantic import Field, JsonValue, ValidationError

from workers.contract.catalog import resolve
from workers.contract.errors import Fault, UserError, user_error
from workers.contract.frozen import Count, Frozen
from workers.contract.specs import Cifar10Spec, DatasetSpec, DigitsSpec, PluginSpec
from workers.datasets import cache, cifar10, digits
from workers.datasets.dataset import Dataset, too_few_examples
from workers.datasets.faults import faults_of, first_class, one_class

_FACTS_VERSION = 2
"""Raised by hand when facts are computed otherwise or built-in data sets change."""


class DatasetFacts(Frozen):
    """What a planner needs to know of a data set.

    Attributes:
        digest: Of the whole stored data set, before any cut.
        num_train: N, training examples used, after the cut.
        num_test: Test examples.
        num_outputs: C, classes or regression targets.
        is_classification: Targets are one-hot labels.
        input_shape: Shape of one example.
        first_class: Class of the first training example; None where targets are real.
        num_of_first_class: How many of it stand before the first of another class.
    """

    digest: str
    num_train: Count
    num_test: Count
    num_outputs: Count
    is_classification: bool
    input_shape: Annotated[tuple[int, ...], Field(strict=False)]  # JSON has no tuples
    first_class: int | None = None
    num_of_first_class: int = 0


OFFICIAL_CIFAR10 = DatasetFacts(
    digest="", num_train=50_000, num_test=10_000, num_outputs=10, is_classification=True,
    input_shape=(32, 32, 3),
)  # fmt: skip
"""What is known of the official archive before it is downloaded."""


def load_dataset(spec: DatasetSpec, data_dir: str | None) -> Dataset:
    """Load a data set, its training split cut to the first `num_train` examples.

    A plugin "package.module:function" is called with (settings, data_dir).

    Raises:
        UserError: The name is unknown, the data are missing or damaged or too few or do not fit
            in memory, or hold gaps or false labels; a plugin raises anything or does not return a
            `Dataset`.
    """
    load = resolve("dataset", spec.name, where="dataset.name")
    if not callable(load):
        raise _bad_plugin(spec.name, f"is {type(load).__name__}, not a function")
    argument = spec.settings if isinstance(spec, PluginSpec) else spec
    told = Exception if isinstance(spec, PluginSpec) else MemoryError
    try:
        dataset = load(argument, data_dir)
    except UserError:
        raise
    except told as error:
        raise _cannot_load(spec.name, error) from error
    if not isinstance(dataset, Dataset):
        raise _bad_plugin(spec.name, f"returned {type(dataset).__name__}, not a Dataset")
    faults = faults_of(dataset)
    if faults:
        raise UserError(faults)
    return dataset


def dataset_facts(spec: DatasetSpec, data_dir: str | None) -> DatasetFacts:
    """Give the facts of a data set; for built-in ones a second call decodes and imports nothing.

    Facts are cached by path, size and time of change of the source files (cifar10), the version of
    scikit-learn (digits), or the spec and the version of NumPy (synthetic). A plugin's data may
    depend on anything, so it is loaded each time.

    Raises:
        UserError: As `load_dataset` does.
    """
    whole = whole_facts(spec, data_dir)
    return cut_facts(whole, spec) if isinstance(spec, Cifar10Spec | DigitsSpec) else whole


def whole_facts(spec: DatasetSpec, data_dir: str | None) -> DatasetFacts:
    """Give the facts of a data set before `num_train` and `num_test` cut it, as `dataset_facts` does.

    Raises:
        UserError: As `load_dataset` does.
    """
    if isinstance(spec, PluginSpec):
        return _facts(load_dataset(spec, data_dir))
    uncut = spec
    if isinstance(spec, Cifar10Spec | DigitsSpec):
        uncut = spec.model_copy(update={"num_train": None, "num_test": None})
    return _remembered(_key(uncut, data_dir), lambda: _facts(load_dataset(uncut, data_dir)))


def is_at_hand(spec: DatasetSpec, data_dir: str | None) -> bool:
    """Whether the facts can be had without a download."""
    return not isinstance(spec, Cifar10Spec) or cifar10.is_at_hand(data_dir)


def cut_faults(whole: DatasetFacts, spec: Cifar10Spec | DigitsSpec) -> list[Fault]:
    """List what is wrong with the first `num_train` and `num_test` examples, and is not with the whole."""
    faults = too_few_examples(spec, whole.num_train, whole.num_test)
    num_train, label = spec.num_train or whole.num_train, whole.first_class
    if not faults and label is not None and num_train <= whole.num_of_first_class:
        faults = [one_class(num_train, label, "dataset.num_train")]
    return faults


def cut_facts(whole: DatasetFacts, spec: Cifar10Spec | DigitsSpec) -> DatasetFacts:
    """Give the facts of the first `num_train` and `num_test` examples.

    Raises:
        UserError: There are fewer, or those for training are of one class.
    """
    faults = cut_faults(whole, spec)
    if faults:
        raise UserError(faults)
    asked = {"num_train": spec.num_train, "num_test": spec.num_test}
    return whole.model_copy(update={key: each for key, each in asked.items() if each is not None})


def _key(spec: DatasetSpec, data_dir: str | None) -> JsonValue:
    if isinstance(spec, Cifar10Spec):
        stored = cifar10.source_key(data_dir)
    elif isinstance(spec, DigitsSpec):
        stored = digits.source_key(data_dir)
    else:
        stored = {"spec": spec.model_dump(mode="json"), "numpy": version("numpy")}
    return {"facts": _FACTS_VERSION, "dataset": spec.name, "stored": stored}


def _remembered(key: JsonValue, compute: Callable[[], DatasetFacts]) -> DatasetFacts:
    path = cache.cache_folder() / "facts" / f"{cache.key_digest(key)}.json"
    with contextlib.suppress(ValidationError):  # none yet, or damaged
        return DatasetFacts.model_validate(cache.read_json(path))
    facts = compute()
    cache.write_json(path, facts.model_dump(mode="json"))
    return facts


def _facts(dataset: Dataset) -> DatasetFacts:
    label, count = first_class(dataset.train) if dataset.is_classification else (None, 0)
    return DatasetFacts(
        digest=dataset.digest,
        num_train=len(dataset.train),
        num_test=len(dataset.test),
        num_outputs=dataset.num_outputs,
        is_classification=dataset.is_classification,
        input_shape=dataset.input_shape,
        first_class=label,
        num_of_first_class=count,
    )


def _cannot_load(name: str, error: Exception) -> UserError:
    return user_error(
        f"the data set {name!r} cannot be loaded: {type(error).__name__}: {error}",
        where="dataset.name",
        mend="give a smaller data set"
        if isinstance(error, MemoryError)
        else "mend the function, which is called with (settings, data_dir)",
    )


def _bad_plugin(name: str, fault: str) -> UserError:
    return user_error(
        f"the data set {name!r} {fault}",
        where="dataset.name",
        mend="return a workers.datasets.dataset.Dataset from a function of (settings, data_dir)",
    )
