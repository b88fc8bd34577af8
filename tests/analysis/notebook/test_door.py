from __future__ import annotations

import os
import shutil
import subprocess
import sys

import matplotlib.figure
import pandas as pd
import pytest

from analysis import open_store
from analysis.aggregation.aggregate import aggregate
from workers.contract.errors import UserError
from workers.contract.identity import trial_id
from workers.contract.schema import VIEWS
from workers.contract.store import Store

_ASK = """
import sys, time
from analysis import open_store
assert not {"pandas", "pyarrow"} & set(sys.modules), "importing the package alone is cheap"
frame = open_store(sys.argv[1]).cells("toy")
assert not {"tensorflow", "keras", "ray", "matplotlib", "scipy"} & set(sys.modules)
print(len(frame), time.process_time())
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory, sweep_in):
    """The folder of a store of a finished sweep of two cells and three seeds, and of one of a single other trial."""
    folder = tmp_path_factory.mktemp("finished") / "store"
    made = Store.open(str(folder))
    sweep_in(made).fill()
    sweep_in(made, name="other", pairs=[(50, 0.1)], seeds=[7]).fill()
    for sweep in ("toy", "other"):
        aggregate(made, sweep)
    return folder


@pytest.fixture
def door(store, finished):
    """A copy of that store, opened."""
    shutil.copytree(finished, store.uri, dirs_exist_ok=True)
    return open_store(store.uri)


@pytest.mark.parametrize("place", ["folder", "bucket"])
def test_cells_are_there_at_once_without_tensorflow_or_ray(place, request, sweep_in):
    """From a fresh interpreter, in less than 2 s of its processor, imports included."""
    found = request.getfixturevalue("store" if place == "folder" else "s3_store")
    sweep_in(found, pairs=[(100, 0.1)], seeds=[0]).fill()
    aggregate(found, "toy")
    command = [sys.executable, "-c", _ASK, found.uri]
    asked = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert asked.returncode == 0, asked.stderr
    num_cells, seconds = asked.stdout.split()
    assert num_cells == "1"
    assert float(seconds) < 2.0


def test_what_is_no_store_is_refused(tmp_path):
    """A folder that is not there, a file, and a folder that holds none of a store's folders."""
    (tmp_path / "file").write_text("")
    (tmp_path / "other" / "models").mkdir(parents=True)
    mend = (
        r"\n  mend:  give the place that `minima run --store` wrote to, by default ./minima-store$"
    )
    for name in ("gone", "file"):
        place = tmp_path / name
        where = rf"\n  where: open_store\('{place}'\)"
        with pytest.raises(UserError, match=f"^there is no folder {place}{where}{mend}"):
            open_store(place)
    place = tmp_path / "other"
    with pytest.raises(
        UserError, match=f"^{place} is not a store: it holds none of cell_measurements, "
    ):
        open_store(str(place))


def test_an_empty_bucket_is_no_store(s3_store):
    """And a bucket that is not there neither."""
    with pytest.raises(
        UserError, match=r"some/prefix\?.* is not a store: it holds none of .*, sweeps,"
    ):
        open_store(s3_store.uri)


def test_sweeps_are_named(door, store):
    """Sorted, and the store says where it is."""
    assert door.sweeps() == ["other", "toy"]
    assert repr(door) == f"open_store({store.uri!r})"


@pytest.mark.parametrize("view", sorted(VIEWS))
def test_every_view_is_a_frame_that_says_what_it_holds(door, store, view):
    """The rows of the store; unit and meaning of every column in `attrs`."""
    frame = getattr(door, view)()
    pd.testing.assert_frame_equal(frame, store.read(view).to_pandas())
    columns = frame.attrs["columns"]
    assert list(columns) == VIEWS[view].names
    assert all(column["meaning"] for column in columns.values())


def test_units_are_the_glossarys(door):
    """A trace's mean has the unit of the trace; η that of parameter²/loss; a name none."""
    columns = door.cells("toy").attrs["columns"]
    assert columns["gradient_noise_trace_mean"]["unit"] == "loss²/parameter²"
    assert columns["gradient_noise_trace_stderr"]["meaning"].startswith(
        "Standard error over seeds of tr σ²: Trace of one example's"
    )
    assert columns["learning_rate"] == {
        "unit": "parameter²/loss", "meaning": "η at the start of training."
    }  # fmt: skip
    assert columns["sweep"]["unit"] is None


def test_a_sweep_has_its_own_rows(door, store, synthetic_sweep):
    """By name where the view has it, else by the trials of the plan, shared ones too."""
    assert set(door.cells("toy")["batch_size"]) == {100, 200}
    assert set(door.cell_measurements("other")["sweep"]) == {"other"}
    (only,) = synthetic_sweep(pairs=[(50, 0.1)], seeds=[7]).trials()
    for view in ("trials", "epochs", "measurements"):
        assert set(getattr(door, view)("other")["trial_id"]) == {trial_id(only)}
        assert trial_id(only) not in set(getattr(door, view)("toy")["trial_id"])
    synthetic_sweep(name="shared", pairs=[(50, 0.1), (100, 0.1)], seeds=[7]).plan()
    assert list(door.trials("shared")["trial_id"]) == [trial_id(only)]


@pytest.mark.parametrize("view", ["cells", "trials"])
def test_an_unknown_sweep_is_refused(door, view):
    """With the nearest name there is."""
    with pytest.raises(
        UserError, match=r"no sweep 'toyy' in the store\n.*\n  mend:  did you mean 'toy'"
    ):
        getattr(door, view)("toyy")


def test_sql_is_that_of_the_query_command(door):
    """A frame; what does not read is refused."""
    found = door.sql("SELECT count(*) AS n, min(hessian_trace_mean) AS least FROM cells")
    assert found["n"].tolist() == [3]
    assert found["least"].tolist() == pytest.approx([5 / 0.2 + 2 + 0.5])
    with pytest.raises(UserError, match="a query may not CREATE"):
        door.sql("CREATE TABLE x AS SELECT 1")


def test_table_1_shows_itself_and_computes(door):
    """HTML for the notebook, text for a console, numbers in a frame, LaTeX for a paper."""
    table = door.table1("toy")
    html = table._repr_html_()
    assert html.count("<table ") == 4
    assert "<button" not in html  # no script of ours runs there
    assert 'data-title="Table 1 · toy · traces per example (mean loss)"' in html
    assert "Table 1 · toy · traces per example" in repr(table)
    assert table.to_latex().count(r"\begin{table}") == 4
    frame = table.frame
    assert frame["gradient_noise_trace_mean"].tolist() == pytest.approx([101.0, 401.0])
    assert frame["hessian_trace_sum_mean"].tolist() == pytest.approx([50_000 * 51.5, 50_000 * 27.5])
    columns = frame.attrs["columns"]
    assert list(columns) == list(frame.columns)
    assert all(column["meaning"] for column in columns.values())
    assert columns["hessian_trace_sum_mean"] == {
        "unit": "loss/parameter²", "meaning": "Mean over seeds of tr H, × N."
    }  # fmt: skip
    assert columns["magnitude_difference_stderr"]["unit"] == "loss"
    assert columns["wang_4_45_final_mean"] == {
        "unit": "loss",
        "meaning": "Mean over seeds of the excess loss that wang_4_45 gives with the final η.",
    }


def test_figures_are_those_of_the_report(door):
    """By name, as figures of Matplotlib; of a sweep only those that show something."""
    names = ["learning_curves", "traces", "trace_ratio", "layers", "heat_maps", "spectra", "fork_curve", "parity", "covariance"]  # fmt: skip
    assert door.figures() == names
    assert door.figures("toy") == names[:5]
    figure = door.figure("trace_ratio", "toy")
    assert isinstance(figure, matplotlib.figure.Figure)
    assert figure.axes[0].get_ylabel() == "tr σ² / tr H"
    drawn = sorted(marks.lines[0].get_ydata()[0] for marks in figure.axes[0].containers)
    assert drawn == pytest.approx(sorted(door.table1("toy").frame["magnitude_difference_mean"]))


def test_figures_of_the_laws_need_measured_excursions(store, forked_sweep):
    """The report's other three, from forks, and the spectra beside them."""
    forked_sweep(pairs=[(50, 0.1)], seeds=[0, 1]).fill()
    door = open_store(store.uri)
    assert door.figures("toy")[-4:] == ["spectra", "fork_curve", "parity", "covariance"]
    assert door.figure("spectra", "toy").axes
    assert len(door.figure("parity", "toy").axes) == 1


def test_figures_that_are_not_there_are_refused(door):
    """An unknown name, and one of which nothing is measured."""
    with pytest.raises(UserError, match=r"no figure named 'ratio'\n  where: figure\('ratio', 'toy'\)\n  mend:  did you mean"):  # fmt: skip
        door.figure("ratio", "toy")
    with pytest.raises(UserError, match=r"nothing of the figure 'parity' is measured in 'toy' yet\n.*\n  mend:  figures\('toy'\) names those"):  # fmt: skip
        door.figure("parity", "toy")


@pytest.mark.parametrize("value", [3, 1.5, b"toy", ["toy"], object])
@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        (lambda door, value: open_store(value), "the place of a store"),
        (lambda door, value: door.cells(value), "the name of a sweep"),
        (lambda door, value: door.trials(value), "the name of a sweep"),
        (lambda door, value: door.table1(value), "the name of a sweep"),
        (lambda door, value: door.figures(value), "the name of a sweep"),
        (lambda door, value: door.figure(value, "toy"), "the name of a figure"),
        (lambda door, value: door.figure("trace_ratio", value), "the name of a sweep"),
        (lambda door, value: door.sql(value), "a statement"),
        (lambda door, value: door.model(value), "the identity of a trial"),
    ],
)
def test_what_is_not_text_is_refused_by_its_type(door, call, wanted, value):
    """With the call and what stands there, whatever was given."""
    with pytest.raises(UserError) as caught:
        call(door, value)
    (fault,) = caught.value.faults
    assert fault.what == f"{value!r} is a {type(value).__name__}, not text"
    assert fault.mend == f"give {wanted} in quotes"


@pytest.mark.parametrize("uri", ["a\0b", "s3://bucket/a\0b"])
def test_a_zero_byte_in_a_store_s_place_is_refused(uri):
    """Arrow ended the whole process over it."""
    with pytest.raises(UserError, match="the store's URI holds a zero byte"):
        open_store(uri)
