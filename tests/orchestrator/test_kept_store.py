"""A store made by an earlier version is read, resumed and extended; nothing of it is done again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from analysis.records.load import load_sweep
from workers.contract.compaction import compact
from workers.contract.schema import VIEWS
from workers.contract.store import Store

HERE = Path(__file__).parent
LONGEST_SECONDS = 300
NEW_SEED = "2"


@pytest.fixture
def place(tmp_path):
    """A copy of the store: two trained seeds, one of which lacks its last statistic."""
    shutil.copytree(HERE / "kept_store", tmp_path / "minima-store")
    shutil.copy(HERE / "kept_store.yaml", tmp_path)
    return tmp_path


def minima(place, *arguments):
    """Run the command to its end; give its code, standard output and standard error."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "orchestrator", *arguments],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(HERE.parents[1]), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def trial(place, seed, *options):
    """Do one trial of the kept sweep in the foreground."""
    names = ("--batch-size", "20", "--learning-rate", "0.2", "--seed", seed)
    code, out, err = minima(place, "trial", "kept_store.yaml", *names, *options)
    assert code == 0, out + err
    return err


def files(place):
    """List what was trained and measured, with its bytes."""
    folders = ("trials", "epochs", "measurements", "models")
    return {
        path.relative_to(place): path.read_bytes()
        for folder in folders
        for path in (place / "minima-store" / folder).iterdir()
    }


def test_its_records_are_what_the_plan_asks_for(place):
    """A plan made now finds them done, says that an earlier version measured them, and writes nothing."""
    before = files(place)
    code, out, err = minima(place, "plan", "kept_store.yaml", "--json")
    assert code == 0, err
    [cell] = json.loads(out)["cells"]
    assert (cell["done"], cell["to_measure"], cell["to_train"]) == (1, 1, 0)
    assert "losses, traces, noise_curvature of 2 trials were measured by an earlier version" in err
    code, out, _ = minima(place, "plan", "kept_store.yaml", "--json", "--remeasure")
    [cell] = json.loads(out)["cells"]
    assert (code, cell["done"], cell["to_measure"], cell["to_train"]) == (0, 0, 2, 0)
    assert files(place) == before


def test_its_views_are_read(place):
    """The sweep as it stands: an earlier version planned it and measured it, and that is told."""
    data = load_sweep(Store.open(str(place / "minima-store")), "small")
    assert (len(data.trials), data.measurements["trial_id"].nunique()) == (2, 2)
    assert data.measurements["is_earlier"].all()
    for view in ("trials", "measurements"):  # nobody noted which code it was
        found = Store.open(str(place / "minima-store")).read(view)
        assert found["code_digest"].null_count == found.num_rows > 0


def test_it_is_merged_with_what_a_later_version_records(place):
    """A column that came later is null in its rows, and kept in the new one's."""
    store = Store.open(str(place / "minima-store"))
    [old, *_] = store.read("trials").to_pylist()
    new = old | {"trial_id": "new", "environment": "{}", "code_commit": "c"}
    rows = pa.Table.from_pylist([new], schema=VIEWS["trials"])
    store.commit("trials", ("new",), "later", rows)
    compact(store, now=datetime(2027, 1, 1, tzinfo=UTC))
    assert len(store.names("trials")) == 1
    found = {row["trial_id"]: row for row in store.read("trials").to_pylist()}
    assert (len(found), found[old["trial_id"]], found["new"]) == (3, old, new)
    assert old["environment"] is old["python_version"] is old["code_commit"] is None


@pytest.mark.slow
def test_it_is_resumed_and_extended_without_training_again(place):
    """What is missing is measured on the kept model, a further seed is trained, all else stays.

    The values of the earlier version stand in the cell beside the new ones, and are told apart.
    """
    before = files(place)
    for seed in ("1", "0"):
        trial(place, seed)
    resumed = files(place)
    assert before.items() <= resumed.items()
    assert {path.parts[1] for path in resumed.keys() - before.keys()} == {"measurements"}
    assert len(resumed) == len(before) + 1
    trial(place, NEW_SEED, "--set", "seeds=3")
    extended = files(place)
    new = sorted(path.parts[1] for path in extended.keys() - resumed.keys())
    assert new == ["epochs", *["measurements"] * 3, "models", "trials"]
    assert before.items() <= extended.items()
    store = Store.open(str(place / "minima-store"))
    data = load_sweep(store, "small")
    told = data.measurements.groupby(["seed", "statistic"])["is_earlier"].first()
    assert told.to_dict() == {
        (seed, name): seed < 2 and (seed, name) != (1, "noise_curvature")
        for seed in range(3)
        for name in ("losses", "noise_curvature", "traces")
    }
    [cell] = store.read("cells").to_pylist()
    assert (cell["num_seeds"], cell["complete"]) == (3, True)


@pytest.mark.slow
def test_it_is_measured_anew_when_asked(place):
    """Beside the earlier records, which stay, and count no more."""
    before = files(place)
    trial(place, "0", "--remeasure")
    after = files(place)
    assert before.items() <= after.items()
    assert [path.parts[1] for path in after.keys() - before.keys()] == ["measurements"] * 3
    data = load_sweep(Store.open(str(place / "minima-store")), "small")
    assert not data.measurements["is_earlier"].any()
    assert set(data.measurements["seed"]) == {0}
