"""From a data set's spec to its arrays, or only to the facts a planner needs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from pydantic import JsonValue, ValidationError

from workers.contract.catalog import resolve
from workers.contract.dataset_facts import DatasetFacts
from workers.contract.errors import Fault, UserError, user_error
from workers.contract.items import CutDatasetItem, DatasetItem
from workers.contract.plugin_call import PluginCall, having_the_word, message_of
from workers.contract.specs import DatasetSpec, PluginSpec
from workers.datasets import cache
from workers.datasets.checked.dataset_faults import faults_of, first_class, one_class
from workers.datasets.dataset import Dataset, too_few_examples

_FACTS_VERSION = 2
"""Raised by hand when facts are computed otherwise or built-in data sets change."""


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
    told = Exception if isinstance(spec, PluginSpec) else MemoryError
    try:
        if isinstance(spec, PluginSpec):
            with having_the_word(PluginCall(kind="dataset", name=spec.name, where="dataset.name")):
                dataset = load(spec.settings, data_dir)
        else:
            dataset = load(spec, data_dir)
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
    """Return the facts of a data set; for built-in ones a second call decodes and imports nothing.

    Facts are cached by the data set's own `source_key`. A plugin's data may depend on anything, so it
    is loaded each time.

    Raises:
        UserError: As `load_dataset` does.
    """
    whole = whole_facts(spec, data_dir)
    return cut_facts(whole, spec) if isinstance(spec, CutDatasetItem) else whole


def whole_facts(spec: DatasetSpec, data_dir: str | None) -> DatasetFacts:
    """Return the facts of a data set before `num_train` and `num_test` cut it, as `dataset_facts` does.

    Raises:
        UserError: As `load_dataset` does.
    """
    if isinstance(spec, PluginSpec):
        return _facts(load_dataset(spec, data_dir))
    uncut = spec
    if isinstance(spec, CutDatasetItem):
        uncut = spec.model_copy(update={"num_train": None, "num_test": None})
    return _remembered(_key(uncut, data_dir), lambda: _facts(load_dataset(uncut, data_dir)))


def facts_before_fetch(spec: DatasetSpec, data_dir: str | None) -> DatasetFacts | None:
    """Return what is known of the whole data before a download; None where none is needed."""
    if isinstance(spec, PluginSpec) or spec.is_at_hand(data_dir):
        return None
    return spec.official_facts


def cut_faults(whole: DatasetFacts, spec: CutDatasetItem) -> list[Fault]:
    """List what is wrong with the first `num_train` and `num_test` examples, and is not with the whole."""
    faults = too_few_examples(spec, whole.num_train, whole.num_test)
    num_train, label = spec.num_train or whole.num_train, whole.first_class
    if not faults and label is not None and num_train <= whole.num_of_first_class:
        faults = [one_class(num_train, label, "dataset.num_train")]
    return faults


def cut_facts(whole: DatasetFacts, spec: CutDatasetItem) -> DatasetFacts:
    """Return the facts of the first `num_train` and `num_test` examples.

    Raises:
        UserError: There are fewer, or those for training are of one class.
    """
    faults = cut_faults(whole, spec)
    if faults:
        raise UserError(faults)
    asked = {"num_train": spec.num_train, "num_test": spec.num_test}
    return whole.model_copy(update={key: each for key, each in asked.items() if each is not None})


def _key(spec: DatasetItem, data_dir: str | None) -> JsonValue:
    return {"facts": _FACTS_VERSION, "dataset": spec.name, "stored": spec.source_key(data_dir)}


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
        f"the data set {name!r} cannot be loaded: {message_of(error)}",
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
