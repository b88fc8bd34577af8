"""Whether a committed file may be believed: what every sound one of its view has, beside its digest.

A file can be signed and yet not be ours: made by hand, or by a program with a fault. Whatever reads
records may rely on this: known columns are there once, with their type; ids can be names of files; what
a record always has is there; times are times.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from workers.contract.file_names import PART
from workers.contract.records import (
    EpochRecord,
    FailureRecord,
    Measurement,
    Outcome,
    Record,
    SpectrumNode,
    TrialRecord,
)
from workers.contract.schema import VIEWS

_RECORDS: dict[str, type[Record]] = {
    "trials": TrialRecord,
    "epochs": EpochRecord,
    "measurements": Measurement,
    "spectra": SpectrumNode,
    "failures": FailureRecord,
}

_IDS: dict[str, tuple[str, ...]] = {
    "sweep_trials": ("sweep", "revision", "trial_id"),
    "measurements": ("trial_id", "statistic", "statistic_id"),
    "spectra": ("trial_id", "statistic_id"),
}

_NAME = re.compile(PART)

_FIRST_YEAR = 1970

_EARLIEST, _LATEST = (
    round(datetime(year, 1, 1, tzinfo=UTC).timestamp() * 1e6) for year in (_FIRST_YEAR, 9999)
)
"""In microseconds, as the store's times are."""

_LABELS = ("view", "committed_at", "attempt_id", "compacted", "parts")


def _never_null(view: str) -> tuple[str, ...]:
    """List the columns without gaps: ids, and the fields of the record that have neither None nor a default."""
    record = _RECORDS.get(view)
    fields = {} if record is None else record.model_fields
    needed = [
        name
        for name, field in fields.items()
        if field.is_required() and type(None) not in get_args(field.annotation)
    ]
    known = ("sweep",) if "sweep" in VIEWS[view].names else ()
    return tuple(dict.fromkeys([*_IDS.get(view, known), *needed]))


NEVER_NULL = {view: _never_null(view) for view in VIEWS}
"""Of every view the columns that each row has; those added later are not among them."""


def label_fault(labels: Mapping[str, str]) -> str | None:
    """Return what is wrong with the labels of a file; None when nothing is."""
    for name in _LABELS:
        if name not in labels:
            return f"the label {name!r} is missing"
    if labels["compacted"] not in {"True", "False"}:
        return f"the label 'compacted' is {labels['compacted']!r:.60}"
    return commit_fault(labels["committed_at"], labels["attempt_id"])


def commit_fault(committed_at: str, attempt_id: str) -> str | None:
    """Return what is wrong with when and by whom something was committed; None when nothing is."""
    if not _is_time(committed_at):
        return f"it was committed at {committed_at!r:.60}, which is no time"
    if attempt_id and not _NAME.fullmatch(attempt_id):
        return f"{attempt_id!r:.60} cannot be an attempt"
    return None


def key_fault(key: Sequence[str]) -> str | None:
    """Return what is wrong with an id; None when it can name a file."""
    return next(
        (f"{part!r:.60} cannot be an id" for part in key if not _NAME.fullmatch(part)), None
    )


def schema_fault(view: str, stored: pa.Schema) -> str | None:
    """Return what no schema of a sound file of the view has; None when nothing is wrong with it."""
    return None if stored.equals(VIEWS[view]) else next(_schema_faults(view, stored), None)


def values_fault(view: str, table: pa.Table) -> str | None:
    """Return what no rows of the view have, as read from a file of a sound schema; None of sound ones.

    Texts may be dictionaries.

    Raises:
        pa.ArrowException: A text is not UTF-8, or a list goes beyond its bounds.
    """
    table.validate(full=True)
    return next(_value_faults(view, table), None)


def _schema_faults(view: str, stored: pa.Schema) -> Iterator[str]:
    for field in VIEWS[view]:
        places = stored.get_all_field_indices(field.name)
        if len(places) > 1:
            yield f"the column {field.name!r} is there {len(places)} times"
        elif places and (kind := stored.field(places[0]).type) != field.type:
            yield f"the column {field.name!r} holds {kind}, not {field.type}"
        elif not places and field.name in NEVER_NULL[view]:
            yield f"the column {field.name!r} is missing"


def _value_faults(view: str, table: pa.Table) -> Iterator[str]:
    for name in NEVER_NULL[view]:
        if table.column(name).null_count:
            yield f"the column {name!r} has gaps"
            return
    for field in VIEWS[view]:
        if pa.types.is_timestamp(field.type) and not _are_times(table.column(field.name)):
            yield f"the column {field.name!r} holds times before 1970 or after 9998"
    if view == "trials":
        for name in ("batch_size", "learning_rate"):
            values = table.column(name).to_numpy()
            if not np.all((values > 0) & np.isfinite(values)):
                yield f"the column {name!r} holds what is no finite number above 0"
        outcomes = {str(outcome) for outcome in table.column("outcome").unique().to_pylist()}
        if unknown := outcomes - set(get_args(Outcome)):
            yield f"there is no outcome {min(unknown)!r:.60}"


def _are_times(column: pa.ChunkedArray[pa.TimestampScalar]) -> bool:
    found = pc.min_max(column)
    if not found["min"].is_valid:
        return True
    first, last = (found[name].cast(pa.int64()).as_py() for name in ("min", "max"))
    return bool(first >= _EARLIEST and last <= _LATEST)


def _is_time(text: str) -> bool:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return False
    return moment.year >= _FIRST_YEAR
