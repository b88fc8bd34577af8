from __future__ import annotations

import pytest

from analysis.records.cell import Cell
from analysis.records.load import load_sweep
from analysis.records.plan import load_plan
from workers.contract.errors import StoreError, UserError
from workers.contract.identity import earlier_statistic_ids, statistic_id, trial_id
from workers.contract.plans import list_revisions, list_sweeps
from workers.contract.records import SpectrumNode, measurement_table
from workers.contract.schema import VIEWS
from workers.statistics.spectrum import SpectrumSpec


@pytest.mark.parametrize("view", sorted(VIEWS))
def test_an_empty_store_gives_empty_frames_with_columns(store, view):
    """Every view loads although no folder exists."""
    frame = store.read(view).to_pandas()
    assert list(frame.columns) == VIEWS[view].names
    assert frame.empty


def test_the_newest_revision_is_the_current_plan(store, synthetic_sweep):
    """Revisions sort by their name, which begins with the time."""
    synthetic_sweep(revision="20260101T000000-zz", seeds=[0]).plan()
    synthetic_sweep(revision="20260201T000000-aa", seeds=[0, 1]).plan()
    assert list_revisions(store, "toy") == ["20260101T000000-zz", "20260201T000000-aa"]
    assert load_plan(store, "toy").seeds == [0, 1]
    assert load_plan(store, "toy", "20260101T000000-zz").seeds == [0]


def test_sweeps_are_listed_by_name(store, synthetic_sweep):
    """Every folder with a plan is a sweep."""
    assert list_sweeps(store) == []
    synthetic_sweep(name="two").plan()
    synthetic_sweep(name="one").plan()
    assert list_sweeps(store) == ["one", "two"]


def test_an_unknown_sweep_is_bad_input(store, synthetic_sweep):
    """The message names the nearest sweep, or says that the store has none."""
    with pytest.raises(UserError, match="no sweep 'paper-kld' in the store") as caught:
        load_plan(store, "paper-kld")
    assert caught.value.faults[0].mend == "run a sweep into this store first"
    synthetic_sweep(name="paper-kld").plan()
    with pytest.raises(UserError, match="did you mean 'paper-kld'"):
        load_plan(store, "paper-kdl")
    with pytest.raises(UserError, match="no revision 'r9' of 'paper-kld'"):
        load_plan(store, "paper-kld", "r9")


def test_a_document_that_is_not_a_plan_is_told(store):
    """A damaged plan names its path."""
    store.write_json("sweeps/toy/r1.json", {"sweep": "toy"})
    with (
        pytest.warns(UserWarning, match=r"sweeps/toy/r1\.json: it is no plan: revision: Field req"),
        pytest.raises(StoreError, match=r"sweeps/toy/r1\.json in the store .* is not a plan"),
    ):
        load_plan(store, "toy")


def test_a_damaged_plan_is_passed_over_for_the_one_before(store, synthetic_sweep):
    """As the planner does; asked for by name it is told."""
    sweep = synthetic_sweep(name="toy")
    sweep.plan()
    current = load_plan(store, "toy")
    store.write_bytes("sweeps/toy/zzz.json", b'{"sweep": ')
    with pytest.warns(UserWarning, match=r"sweeps/toy/zzz\.json: it is not JSON: Expecting value"):
        assert load_plan(store, "toy") == current
    with pytest.raises(StoreError, match=r"sweeps/toy/zzz\.json in the store .* is not a plan"):
        load_plan(store, "toy", "zzz")


def test_records_are_selected_by_the_plan(store, synthetic_sweep):
    """Trials of other sweeps, and statistics not listed, do not belong to a sweep."""
    sweep = synthetic_sweep().fill()
    other = synthetic_sweep(name="other", pairs=[(100, 0.1), (500, 0.5)], seeds=[0, 7])
    other.statistics = other.statistics[:1]
    other.plan()
    for trial in other.trials():
        if trial_id(trial) not in {trial_id(t) for t in sweep.trials()}:
            other.train(trial)
            other.measure(trial)
    data = load_sweep(store, "other")
    assert set(data.trials["seed"]) == {0, 7}
    assert len(data.trials) == 4
    assert set(data.measurements["statistic"]) == {"losses"}
    assert len(load_sweep(store, "toy").trials) == 6


def test_spectra_come_with_their_cell(store, synthetic_sweep, seen):
    """Each node knows its seed; spectra of other statistics are left out."""
    node = SpectrumNode(kind="noise", draw=0, node=2.0, weight=3.0)
    sweep = synthetic_sweep(pairs=[(100, 0.1)], seeds=[5])
    assert load_sweep(store, sweep.add(SpectrumSpec(), lambda seed: [], [node]).name).spectra[
        ["seed", "batch_size", "node", "weight"]
    ].to_numpy().tolist() == [[5, 100, 2.0, 3.0]]
    sweep.statistics.pop()
    sweep.revision += "b"
    sweep.plan()
    assert load_sweep(store, sweep.name).spectra.empty


def test_cells_come_sorted_with_their_ratio(store, synthetic_sweep):
    """A cell is loss, batch size and learning rate; BS/LR follows."""
    synthetic_sweep(pairs=[(200, 0.2), (100, 0.1)]).plan()
    cells = load_sweep(store, "toy").cells
    assert cells == [Cell("kld", 100, 0.1), Cell("kld", 200, 0.2)]
    assert [cell.batch_size_over_learning_rate for cell in cells] == [1000.0, 1000.0]


def test_of_a_trial_the_best_record_of_a_statistic_counts(store, synthetic_sweep):
    """One of an earlier numerics version, marked, where there is no other; else it is passed over."""
    sweep = synthetic_sweep(pairs=[(100, 0.1)], seeds=[0, 1])
    traces = sweep.statistics[1]
    planned = sweep.plan()
    accepting = planned.statistics[1].model_copy(
        update={"earlier_ids": earlier_statistic_ids(traces)}
    )
    sweep.store.write_json(
        sweep.store.plan_path(sweep.name, sweep.revision + "b"),
        planned.model_copy(
            update={"statistics": [planned.statistics[0], accepting], "revision": "zb"}
        ).model_dump(mode="json"),
    )
    for trial in sweep.trials():
        sweep.train(trial)
        rows = sweep._traces(trial)
        for rank, identity in enumerate(accepting.accepted_ids):
            if rank or trial.seed:
                changed = [row.model_copy(update={"value": float(rank)}) for row in rows]
                found = measurement_table(trial_id(trial), traces, identity, changed)
                store.commit("measurements", (trial_id(trial), identity), "a", found)
    rows = load_sweep(store, sweep.name).measurements
    assert set(rows["statistic_id"]) == {statistic_id(traces)}
    assert rows.groupby("seed")["value"].unique().map(list).to_dict() == {0: [1.0], 1: [0.0]}
    assert rows.groupby("seed")["is_earlier"].unique().map(list).to_dict() == {
        0: [True],
        1: [False],
    }
