"""Checks of what a statistic returned, so that no record is ambiguous or silently not a number."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

from workers.contract.errors import Fault, UserError, user_error
from workers.contract.records import Measurement, SpectrumNode

_BATCH_NORM_MODES = ("frozen", "moving_average", "batch")
_KEY = ("quantity", "layer", "index", "method", "bn_mode", "split", "objective")


def checked(rows: object, name: str) -> list[Measurement | SpectrumNode]:
    """Return a statistic's rows; values that are not finite are left empty, with the reason.

    Nodes of spectra may be among the rows. An error that is not finite is left empty too, as
    unknown.

    Raises:
        UserError: The rows are not a list of measurements, are empty, or contradict themselves or
            each other; all faults at once.
    """
    returned = _rows(rows, name)
    nodes = [row for row in returned if isinstance(row, SpectrumNode)]
    found = [row for row in returned if isinstance(row, Measurement)]
    faults = [*_row_faults(found, name), *_repeat_faults(found, name)]
    if faults:
        raise UserError(faults)
    return [*(_labelled(row) for row in found), *nodes]


def _rows(rows: object, name: str) -> list[Measurement | SpectrumNode]:
    if not isinstance(rows, list):
        fault = type(rows).__name__
    elif not all(isinstance(row, Measurement | SpectrumNode) for row in rows):
        fault = "something other than Measurements"
    elif not any(isinstance(row, Measurement) for row in rows):
        fault = "no measurements"
    else:
        return rows
    raise user_error(
        f"the statistic {name!r} returned {fault}",
        where="measure",
        mend="return a non-empty list of workers.contract.records.Measurement",
    )


def _row_faults(rows: list[Measurement], name: str) -> Iterator[Fault]:
    for row in rows:
        for what, mend in _contradictions(row):
            yield Fault(f"the statistic {name!r} returned {row.quantity!r} {what}", "measure", mend)


def _contradictions(row: Measurement) -> Iterator[tuple[str, str]]:
    if (row.value is None) == (row.skipped_reason is None):
        what = (
            "without a value or a reason"
            if row.value is None
            else "with a value and skipped_reason"
        )
        yield what, "give either a value or skipped_reason"
    if row.stderr is not None and row.stderr < 0:
        yield (
            f"with stderr={row.stderr}",
            "give the standard error, 0.0 when exact, None when unknown",
        )
    if row.num_samples < 0:
        yield f"with num_samples={row.num_samples}", "give the number of examples or draws used"
    if row.split not in ("train", "test"):
        yield f"of the split {row.split!r}", "name train or test"
    if row.bn_mode not in _BATCH_NORM_MODES:
        yield f"with bn_mode={row.bn_mode!r}", f"give one of {', '.join(_BATCH_NORM_MODES)}"


def _repeat_faults(rows: list[Measurement], name: str) -> Iterator[Fault]:
    counts = Counter(tuple(getattr(row, column) for column in _KEY) for row in rows)
    for key, count in counts.items():
        if count > 1:
            what = f"the statistic {name!r} returned {key[0]!r} {count} times"
            mend = f"tell rows apart by one of {', '.join(_KEY[1:])}"
            yield Fault(what, "measure", mend)


def _labelled(row: Measurement) -> Measurement:
    if row.value is not None and not math.isfinite(row.value):
        reason = f"nonfinite: the value was {row.value}"
        return row.model_copy(update={"value": None, "stderr": None, "skipped_reason": reason})
    if row.stderr is not None and not math.isfinite(row.stderr):
        return row.model_copy(update={"stderr": None})
    return row
