"""A store of as many finished trials as wanted: the records of one, repeated under other identities.

    python tests/benchmarks/scale/scaled_store.py SOURCE TARGET SWEEP_FILE [--trials 1000] [--rows 134] [--loose]

SOURCE is a store with a finished trial. SWEEP_FILE is written: the sweep `big`, five seeds a cell, of which
TARGET then has every record, so that a run finds nothing to do. Measured values differ by up to a tenth from
trial to trial, and so do weights' digests; everything else is as in the one trial.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orchestrator.planning.plan import publish_plan
from orchestrator.planning.prepare import Options, prepare
from orchestrator.planning.store_state import read_state
from workers.contract.commits import KEY_COLUMNS
from workers.contract.lacking import lacking
from workers.contract.parquet_file import Part, encode
from workers.contract.plan_document import PlanDocument, PlannedTrial
from workers.contract.plans import list_sweeps, newest_plan
from workers.contract.store import Store, new_attempt_id

SWEEP = "big"
NUM_SEEDS = 5
NUM_ROWS = 134
"""Measurement rows of a trial of `quickstart`."""

_VIEWS = ("trials", "epochs", "measurements", "spectra")
_MOST_BATCH_SIZES = 100
_SMALLEST_BATCH, _SMALLEST_RATE = 16, 0.001
_SPREAD = 0.1


@dataclass(frozen=True)
class Pattern:
    """One finished trial: the sweep it is of, and by view its rows, those of a statistic together."""

    sweep: dict[str, object]
    rows: dict[str, pa.Table]


def pattern_of(source: Store) -> Pattern:
    """Read the first trial of a store that has all its plan asks for.

    Raises:
        ValueError: No trial is finished.
    """
    state = read_state(source)
    for plan in filter(None, (newest_plan(source, sweep) for sweep in list_sweeps(source))):
        done = [item.planned.trial_id for item in lacking(plan, state) if item.is_done]
        if done:
            return Pattern(plan.spec, {view: _rows_of(source, view, done[0]) for view in _VIEWS})
    raise ValueError(f"the store {source.uri} holds no finished trial")


def make_store(
    pattern: Pattern,
    target: Store,
    sweep_file: Path,
    num_trials: int,
    *,
    num_rows: int = NUM_ROWS,
    is_loose: bool = False,
) -> PlanDocument:
    """Write the sweep, its plan and every record, in one merged file a view, or loose: in one an id.

    Of measurements each trial gets `num_rows` rows. The number of trials is a multiple of 5, beyond 500 of
    500, as cells are a grid of at most 100 batch sizes.
    """
    sweep_file.write_text(json.dumps(sweep_of(pattern.sweep, num_trials)), "utf-8")
    plan = publish_plan(target, prepare(str(sweep_file), Options(target.uri)).plan)
    trials = sorted(plan.trials, key=lambda planned: planned.trial_id)
    now = datetime.now(UTC)
    attempts = [f"{new_attempt_id(now)}-{place:06d}" for place in range(num_trials)]
    for view, rows in pattern.rows.items():
        wanted = with_num_rows(rows, num_rows) if view == "measurements" else rows
        if wanted.num_rows:
            _write(target, view, wanted, trials, attempts, now=now, is_loose=is_loose)
    return plan


def sweep_of(pattern: dict[str, object], num_trials: int) -> dict[str, object]:
    """Return a sweep of so many trials, all else as in the sweep given.

    Raises:
        ValueError: The number is not that of whole cells on a grid.
    """
    num_sizes = min(_MOST_BATCH_SIZES, num_trials // NUM_SEEDS)
    if num_trials < NUM_SEEDS or num_trials % (NUM_SEEDS * num_sizes):
        raise ValueError(f"{num_trials} trials: give a multiple of 5, beyond 500 of 500")
    num_rates = num_trials // (NUM_SEEDS * num_sizes)
    grid = {
        "batch_size": [_SMALLEST_BATCH + place for place in range(num_sizes)],
        "learning_rate": [round(_SMALLEST_RATE * (1 + place), 6) for place in range(num_rates)],
    }
    kept = {key: value for key, value in pattern.items() if key != "pairs" and value is not None}
    return kept | {"name": SWEEP, "grid": grid, "seeds": NUM_SEEDS}


def with_num_rows(rows: pa.Table, num_rows: int) -> pa.Table:
    """Cut or lengthen a trial's measurements: the rows of the whole network stay, those of layers vary.

    Raises:
        ValueError: Fewer rows are wanted than the whole network has.
    """
    is_whole = pc.is_null(rows["layer"])
    whole, layers = rows.filter(is_whole), rows.filter(pc.invert(is_whole))
    if num_rows < whole.num_rows:
        raise ValueError(f"{num_rows} rows a trial: give at least {whole.num_rows}")
    if num_rows > whole.num_rows and not layers.num_rows:
        raise ValueError(
            f"{num_rows} rows a trial: the finished one has {whole.num_rows}, no layer"
        )
    places = np.arange(num_rows - whole.num_rows)
    rounds, places = np.divmod(places, max(layers.num_rows, 1))
    picked = layers.take(pa.array(places))
    names = [
        f"{name}_{turn}" if turn else name
        for name, turn in zip(picked["layer"].to_pylist(), rounds, strict=True)
    ]
    found = pa.concat_tables([whole, _with(picked, layer=pa.array(names, pa.string()))])
    return found.take(pc.sort_indices(found, [("statistic_id", "ascending")]))


def _rows_of(source: Store, view: str, trial_id: str) -> pa.Table:
    rows = source.read(view)
    rows = rows.filter(pc.equal(rows["trial_id"], trial_id))
    keys = [(column, "ascending") for column in KEY_COLUMNS[view]]
    return rows.take(pc.sort_indices(rows, keys))


def _write(
    target: Store,
    view: str,
    rows: pa.Table,
    trials: Sequence[PlannedTrial],
    attempts: Sequence[str],
    *,
    now: datetime,
    is_loose: bool,
) -> None:
    table = _repeated(view, rows, trials, attempts)
    parts = _parts(view, rows, trials, attempts, now)
    if not is_loose:
        moment = now.isoformat(timespec="microseconds")
        content = encode(view, table, committed_at=moment, attempt_id="", parts=parts)
        target.write_bytes(target.compacted_path(view, new_attempt_id(now)), content)
        return
    begin = 0
    for part in parts:
        target.commit(view, part.key, part.attempt_id, table.slice(begin, part.num_rows))
        begin += part.num_rows


def _repeated(
    view: str, rows: pa.Table, trials: Sequence[PlannedTrial], attempts: Sequence[str]
) -> pa.Table:
    """Repeat the rows once for each trial, with what tells the trials apart."""
    table = rows.take(pa.array(np.tile(np.arange(rows.num_rows), len(trials))))
    owners = pa.array(np.repeat(np.arange(len(trials)), rows.num_rows))
    ids = [planned.trial_id for planned in trials]
    table = _with(table, trial_id=pa.array(ids, pa.string()).take(owners))
    if view == "measurements":
        factors = 1 + _SPREAD * np.random.default_rng(0).random(table.num_rows)
        return _with(table, value=pc.multiply(table["value"], pa.array(factors)))
    if view != "trials":
        return table
    specs = [planned.trial for planned in trials]
    rates = np.array([spec.learning_rate for spec in specs])
    decayed = pc.divide(table["final_learning_rate"], table["learning_rate"])
    return _with(
        table,
        attempt_id=pa.array(attempts),
        batch_size=pa.array([spec.batch_size for spec in specs]),
        learning_rate=pa.array(rates),
        final_learning_rate=pc.multiply(decayed, pa.array(rates)),
        seed=pa.array([spec.seed for spec in specs]),
        spec=pa.array([spec.model_dump_json() for spec in specs]),
        weights_sha256=pa.array([hashlib.sha256(one.encode()).hexdigest() for one in ids]),
    )


def _parts(
    view: str,
    rows: pa.Table,
    trials: Sequence[PlannedTrial],
    attempts: Sequence[str],
    now: datetime,
) -> list[Part]:
    """List the commits in the order of their rows."""
    others = KEY_COLUMNS[view][1:]
    counted = rows.group_by(list(others), use_threads=False).aggregate([([], "count_all")])
    sizes = [(tuple(row[name] for name in others), row["count_all"]) for row in counted.to_pylist()]
    moment = now.isoformat(timespec="microseconds")
    return [
        Part((planned.trial_id, *key), moment, attempt, size)
        for planned, attempt in zip(trials, attempts, strict=True)
        for key, size in sizes
    ]


def _with(table: pa.Table, **columns: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Replace columns, each cast to the type it had."""
    for name, values in columns.items():
        field = table.schema.field(name)
        place = table.schema.get_field_index(name)
        table = table.set_column(place, field, values.cast(field.type))
    return table


def main() -> None:
    """Make one store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("sweep_file", type=Path)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=NUM_ROWS)
    parser.add_argument("--loose", action="store_true")
    asked = parser.parse_args()
    make_store(
        pattern_of(Store.open(asked.source)),
        Store.open(asked.target),
        asked.sweep_file,
        asked.trials,
        num_rows=asked.rows,
        is_loose=asked.loose,
    )


if __name__ == "__main__":
    main()
