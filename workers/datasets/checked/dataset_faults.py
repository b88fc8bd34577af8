"""What is wrong with a data set's arrays, so that a user's own is refused before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from workers.contract.errors import Fault
from workers.datasets.dataset import Dataset, Split

_WHERE = "dataset"
_OF_DIGEST = "give workers.datasets.dataset.digest_of(train, test)"

Flags = npt.NDArray[np.bool_]


def faults_of(dataset: Dataset) -> list[Fault]:
    """List what is wrong with the arrays' types and shapes; if nothing is, with their values.

    A training set of one class is refused: every network that always gives that class is right, the
    loss has no minimum but at infinity, and no number measured there says anything of one.
    """
    parts = {"training": dataset.train, "test": dataset.test}
    found = [fault for name, split in parts.items() for fault in _array_faults(name, split)]
    found = found or [
        *_fit_faults(dataset),
        *_normalisation_faults(dataset),
        *_fact_faults(dataset),
    ]
    if found:
        return found
    found = [fault for name, split in parts.items() for fault in _value_faults(name, split)]
    if dataset.is_classification and not found:
        found = [fault for name, split in parts.items() for fault in _label_faults(name, split)]
        found = found or list(_class_faults(dataset.train))
    return found


def first_class(train: Split) -> tuple[int, int]:
    """Find the class of the first training example, and how many of that class stand before the first other one."""
    differs = (train.targets != train.targets[0]).any(axis=1)
    count = int(differs.argmax()) if differs.any() else len(train)
    return int(train.targets[0].argmax()), count


def one_class(num_train: int, label: int, where: str) -> Fault:
    """Build the fault of training examples that are all of one class."""
    what = f"all {num_train} training examples are of class {label}"
    return Fault(what, where, "use more of the data, or shuffle them before they are cut")


def _array_faults(name: str, split: object) -> Iterator[Fault]:
    if not isinstance(split, Split):
        what = f"the {name} split is {type(split).__name__}, not a Split"
        yield Fault(what, _WHERE, "give workers.datasets.dataset.Split(inputs, targets)")
        return
    inputs, targets = split.inputs, split.targets
    if not _is_array(inputs, (np.uint8, np.float32)) or inputs.ndim < 2:
        what = f"the {name} inputs are {_described(inputs)}, not uint8 or float32 [examples, …]"
        yield Fault(what, _WHERE, "convert them, such as with inputs.astype(np.float32)")
    if not _is_array(targets, (np.float32,)) or targets.ndim != 2:
        what = f"the {name} targets are {_described(targets)}, not float32 [examples, outputs]"
        mend = "give one-hot labels (workers.datasets.dataset.one_hot), or regression targets"
        yield Fault(what, _WHERE, mend)
    elif np.shape(inputs)[:1] != targets.shape[:1] or not len(targets):
        num_inputs = np.shape(inputs)[0] if np.ndim(inputs) else 0
        what = f"the {name} split has {num_inputs} inputs and {len(targets)} targets"
        yield Fault(what, _WHERE, "give at least one example, and a target for each")


def _is_array(values: object, kinds: tuple[type[np.generic], ...]) -> bool:
    return isinstance(values, np.ndarray | np.generic) and values.dtype in kinds


def _described(values: object) -> str:
    if isinstance(values, np.ndarray | np.generic):
        return f"{values.dtype} of shape {values.shape}"
    return type(values).__name__


def _fit_faults(dataset: Dataset) -> Iterator[Fault]:
    """Compare the two splits."""
    pairs = {"inputs": (dataset.train.inputs, dataset.test.inputs),
             "targets": (dataset.train.targets, dataset.test.targets)}  # fmt: skip
    for name, (train, test) in pairs.items():
        if train.shape[1:] != test.shape[1:]:
            what = f"training {name} have the shape {train.shape[1:]}, test {name} {test.shape[1:]}"
            yield Fault(what, _WHERE, "give both splits examples of one shape")


def _normalisation_faults(dataset: Dataset) -> Iterator[Fault]:
    for name, values in {"offset": dataset.offset, "scale": dataset.scale}.items():
        fits = _is_array(values, (np.float32,)) and _broadcasts(values.shape, dataset.input_shape)
        if not fits:
            what = f"{name} is {_described(values)}, which does not normalise {dataset.input_shape}"
            mend = "give a float32 array that broadcasts to one example, such as [channels]"
            yield Fault(what, _WHERE, mend)
        elif not np.isfinite(values).all():
            what = f"{name} holds values that are not finite numbers"
            yield Fault(what, _WHERE, "a feature that never varies has no deviation: scale it by 1")


def _broadcasts(shape: tuple[int, ...], example: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, example) == example
    except ValueError:
        return False


def _fact_faults(dataset: Dataset) -> Iterator[Fault]:
    if not isinstance(dataset.digest, str) or not dataset.digest:
        yield Fault(f"the digest is {dataset.digest!r}, not text", _WHERE, _OF_DIGEST)
    if not isinstance(dataset.is_classification, bool):
        what = f"is_classification is {dataset.is_classification!r}, not True or False"
        yield Fault(what, _WHERE, "say True where targets are one-hot labels")


def _value_faults(name: str, split: Split) -> Iterator[Fault]:
    for kind, values in {"inputs": split.inputs, "targets": split.targets}.items():
        if values.dtype == np.uint8:
            continue
        rows = np.isfinite(values).reshape(len(values), -1)
        is_bad = np.asarray(~rows.all(axis=1))
        if is_bad.any():
            what = f"{kind} of {_counted(is_bad, name)} are not finite numbers"
            yield Fault(what, _WHERE, "remove these examples, or fill their gaps")


def _label_faults(name: str, split: Split) -> Iterator[Fault]:
    targets = split.targets
    is_one_hot = ((targets == 0) | (targets == 1)).all(axis=1) & (targets.sum(axis=1) == 1)
    if not is_one_hot.all():
        what = f"targets of {_counted(~is_one_hot, name)} are not one-hot labels"
        mend = "give rows with a single 1 (workers.datasets.dataset.one_hot), or say "
        yield Fault(what, _WHERE, f"{mend}is_classification=False")


def _class_faults(train: Split) -> Iterator[Fault]:
    label, count = first_class(train)
    if count == len(train):
        yield one_class(count, label, _WHERE)


def _counted(is_bad: Flags, split: str) -> str:
    first = int(np.argmax(is_bad))
    return f"{int(is_bad.sum())} of {len(is_bad)} {split} examples (the first is number {first})"
