"""The made store is one that the commands take for finished, with as many rows as asked for."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pandas as pd
import pyarrow.compute as pc
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from process_cost import cost_of
from scale_peers import QUERY, by_duckdb, by_pandas
from scaled_store import make_store, pattern_of, sweep_of, with_num_rows

from analysis.query.sql import query
from orchestrator.planning.prepare import Options, prepare
from workers.contract.store import Store

FINISHED = Path(__file__).parents[2] / "analysis/aggregation/kept_stores/small"
NUM_TRIALS, NUM_ROWS = 10, 20


@pytest.fixture(scope="module")
def pattern():
    return pattern_of(Store.open(str(FINISHED)))


@pytest.fixture(scope="module", params=[False, True], ids=["merged", "loose"])
def made(request, pattern, tmp_path_factory):
    """A store of two cells, and its sweep."""
    folder = tmp_path_factory.mktemp("scaled")
    store, sweep = Store.open(str(folder / "store")), folder / "big.yaml"
    make_store(pattern, store, sweep, NUM_TRIALS, num_rows=NUM_ROWS, is_loose=request.param)
    return store, sweep, request.param


def test_nothing_is_left_to_do(made):
    """The sweep written beside it, planned anew, is the plan in the store, and all of it is done."""
    store, sweep, _ = made
    prepared = prepare(str(sweep), Options(store.uri))
    assert len(prepared.missing) == NUM_TRIALS
    assert prepared.open_work == []
    assert [prepared.plan.revision] == store.read("sweep_trials")["revision"].unique().to_pylist()


def test_every_trial_has_the_rows_asked_for(made):
    """Read as the store reads them, no warning of a damaged file among them: warnings are errors here."""
    store, _, is_loose = made
    trials, rows = store.read("trials"), store.read("measurements")
    assert trials.num_rows == len(trials["weights_sha256"].unique()) == NUM_TRIALS
    assert rows.num_rows == NUM_TRIALS * NUM_ROWS
    assert pc.value_counts(rows["trial_id"]).field("counts").unique().to_pylist() == [NUM_ROWS]
    assert len(store.names("measurements")) == (2 * NUM_TRIALS if is_loose else 1)


def test_trials_say_of_themselves_what_the_plan_says_of_them(made):
    """Batch size, learning rate and seed of the record, the plan's rows and the spec that is hashed."""
    found = query(
        made[0],
        "SELECT count(*) AS n FROM trials t JOIN sweep_trials s USING (trial_id) WHERE"
        " (t.batch_size, t.learning_rate, t.seed) = (s.batch_size, s.learning_rate, s.seed) AND"
        " (spec->>'batch_size')::INT = t.batch_size AND (spec->>'seed')::INT = t.seed",
    )
    assert found.to_pylist() == [{"n": NUM_TRIALS}]


def test_peers_answer_as_the_query_does(made, capsys):
    """Counts, means and spreads of every quantity; to rounding, as sums are taken in another order."""
    store = made[0]
    ours = query(store, QUERY.format(rows="measurements")).to_pandas()
    by_duckdb(store.uri)
    in_sql = pd.read_csv(io.StringIO(capsys.readouterr().out))
    by_pandas(store.uri)
    in_frames = pd.read_csv(io.StringIO(capsys.readouterr().out))
    for theirs in (in_sql, in_frames.set_axis(ours.columns, axis=1)):
        keys = ["quantity", "objective", "layer"]
        pd.testing.assert_frame_equal(
            theirs.sort_values(keys, ignore_index=True),
            ours.sort_values(keys, ignore_index=True),
            check_dtype=False,
            rtol=1e-12,
        )


@pytest.mark.parametrize("num_rows", [14, 134, 300])
def test_rows_are_cut_or_repeated_as_further_layers(pattern, num_rows):
    """The 14 rows of the whole network stay, once each; no layer's row is there twice."""
    rows = with_num_rows(pattern.rows["measurements"], num_rows)
    assert rows.num_rows == num_rows
    assert rows["layer"].null_count == 14
    keys = ["quantity", "layer", "objective", "split"]
    assert rows.group_by(keys).aggregate([]).num_rows == num_rows
    assert rows["statistic_id"].to_pylist() == sorted(rows["statistic_id"].to_pylist())


def test_what_cannot_be_made_is_refused(pattern, tmp_path):
    rows = pattern.rows["measurements"]
    with pytest.raises(ValueError, match=r"^13 rows a trial: give at least 14$"):
        with_num_rows(rows, 13)
    whole = rows.filter(pc.is_null(rows["layer"]))
    with pytest.raises(ValueError, match=r"^15 rows a trial: the finished one has 14, no layer$"):
        with_num_rows(whole, 15)
    for number in (0, 7, 505):
        with pytest.raises(ValueError, match=rf"^{number} trials: give a multiple of 5, beyond"):
            sweep_of(pattern.sweep, number)
    empty = Store.open(str(tmp_path))
    with pytest.raises(ValueError, match=r"holds no finished trial$"):
        pattern_of(empty)


@pytest.mark.parametrize(
    ("number", "cells"), [(5, (1, 1)), (1_000, (100, 2)), (100_000, (100, 200))]
)
def test_cells_are_a_grid(pattern, number, cells):
    grid = sweep_of(pattern.sweep, number)["grid"]
    assert (len(grid["batch_size"]), len(grid["learning_rate"])) == cells


def test_a_process_is_charged_with_what_it_did(tmp_path):
    """50 MB held and 0.1 s of CPU by a child of the process, which started itself with little."""
    work = "import time; x = b'1' * 50_000_000\nwhile time.process_time() < 0.1: pass"
    start = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {work!r}])"
    cost = cost_of([sys.executable, "-c", start], folder=tmp_path, environment={}, repeats=1)
    assert cost.cpu_seconds >= 0.1
    assert cost.peak_bytes >= 50_000_000
    assert cost.cpu_spread_seconds == 0.0
    assert cost.num_requests is None


def test_a_process_that_fails_ends_the_benchmark(tmp_path):
    """With what it told."""
    command = [sys.executable, "-c", "import sys; sys.exit('no such store')"]
    with pytest.raises(SystemExit, match=r"ended with 1:\nno such store"):
        cost_of(command, folder=tmp_path, environment={})
