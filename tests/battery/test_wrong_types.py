"""A value of any other type, at any key of a sweep, is a fault or another sweep: never an error of ours."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.planning.checks import check_sweep
from orchestrator.planning.sweep import read_sweep
from workers.contract.errors import Fault, UserError

FULL = Path(__file__).parent / "full.yaml"
VALUES = [
    None, True, 3, -1, 2.5, float("nan"), 10**99, "x", "", "a.b:c", [], {}, [[]], [{}], [None], {"x": 1},
    {"name": "x"}, {"name": "kld"}, {"name": {"name": []}}, {1: {2: [3]}}, [[[[[0]]]]],
]  # fmt: skip

Keys = tuple[str | int, ...]


def places(value: object, keys: Keys = ()) -> Iterator[Keys]:
    """Every key path of a document, those to mappings and lists and into lists too."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield (*keys, key)
        if isinstance(inner, dict | list):
            yield from places(inner, (*keys, key))


def replaced(document: dict[str, object], keys: Keys, value: object) -> dict[str, object]:
    changed = copy.deepcopy(document)
    place = changed
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    return changed


def test_every_wrong_value_at_every_key_is_told_with_its_place():
    """2,121 documents; a fault names the file, what is wrong and the cure, and all take seconds."""
    document, where = read_sweep(str(FULL), [])
    check_sweep(document, where, None)  # sound, so that each fault is of the change alone
    every = list(places(document))
    started, num_refused = time.monotonic(), 0
    for keys in every:
        for value in VALUES:
            faults = faults_of(replaced(document, keys, value), where)
            num_refused += bool(faults)
            assert all(fault.where.startswith(str(FULL)) for fault in faults), keys
            assert all(fault.what and fault.mend for fault in faults), keys
            assert all(len(str(fault)) < 1500 and " at 0x" not in str(fault) for fault in faults)
    assert len(every) > 80
    assert num_refused > 0.8 * len(every) * len(VALUES)
    assert time.monotonic() - started < 60  # 4 s on one core


def faults_of(document: dict[str, object], where: str) -> tuple[Fault, ...]:
    try:
        check_sweep(document, where, None)
    except UserError as error:
        return error.faults
    return ()


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_document_that_is_one_wrong_value_is_told(value, tmp_path):
    """The file may hold anything."""
    path = tmp_path / "a.yaml"
    path.write_text(repr(value))
    with pytest.raises(UserError):
        check_sweep(*read_sweep(str(path), []), None)
