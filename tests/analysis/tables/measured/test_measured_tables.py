"""Every quantity of the glossary is shown; the tables by cell hold what was measured and no more."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis.report.web.shown_table import file_name
from analysis.tables.measured.everything_tables import everything_tables, layer_tables
from analysis.tables.measured.measured_tables import measured_tables
from workers.contract.quantities import GLOSSARY
from workers.statistics.hessian import HessianSpec
from workers.statistics.tail import TailSpec


def _value(place):
    """Give a number that no other quantity has."""
    return 1000.0 + 7 * place


def _all_tables(data, frame, found):
    tables = everything_tables(data, frame, found.states)
    return [*tables, *measured_tables(found), *layer_tables(data, frame, found.states)]


def test_every_quantity_of_the_glossary_is_shown(store, synthetic_sweep, seen, measured_in):
    """Symbol and value in one row of one table, whichever quantity a statistic records."""
    sweep = synthetic_sweep(pairs=[(100, 0.1)], seeds=[0, 1]).fill()
    rows = [seen(name, _value(place)) for place, name in enumerate(GLOSSARY)]
    sweep.add(TailSpec(), lambda seed: rows)
    data, frame, found = measured_in(store)
    shown = {
        (row[0], row[-1])
        for table in everything_tables(data, frame, found.states)
        for row in table.rows
    }
    for place, quantity in enumerate(GLOSSARY.values()):
        assert (quantity.symbol, f"{_value(place):,.0f} ± 0") in shown


def test_curvature_stands_with_the_verdict_on_both_rates(store, synthetic_sweep, seen, measured_in):
    """λ₁ = 20: ηλ₁ = 2 at η = 0.1 is the edge, 0.2 after the milestone is stable."""
    sweep = synthetic_sweep(pairs=[(100, 0.1)], seeds=[0, 1]).fill()
    sweep.add(HessianSpec(), lambda seed: [seen("hessian_top_eigenvalue", 20.0, index=0)])
    _, _, found = measured_in(store)
    curvature = measured_tables(found)[0]
    assert curvature.columns == (
        "BS/LR", "BS", "LR", "seeds", "λ₁", "ηλ₁, initial η", "ηλ₁, final η", "tr H",
    )  # fmt: skip
    assert curvature.rows[0][3:7] == ("2/2", "20 ± 0", "2 ± 0 edge", "0.2 ± 0 stable")
    assert any("unstable above 2.2" in note for note in curvature.notes)


def test_a_column_of_the_training_split_names_that_split_alone(
    store, synthetic_sweep, seen, measured_in
):
    """Of tr H on both splits the training one is tabulated, and no source of another; losses have both."""
    sweep = synthetic_sweep(pairs=[(100, 0.1)], seeds=[0, 1]).fill()
    both = [
        seen(name, value, split=split)
        for name, value in (
            ("hessian_trace", 5.0),
            ("mean_loss", 0.1),
            ("parameter_norm_squared", 3.0),
        )
        for split in ("train", "test")
    ]
    sweep.add(TailSpec(), lambda seed: both)
    _, _, found = measured_in(store)
    curvature, _, outcome, *_ = measured_tables(found)
    assert not [note for note in curvature.notes if "test" in note]
    assert any("test" in note for note in outcome.notes)
    assert outcome.columns[4:] == ("L train", "L test", "accuracy train", "accuracy test", "‖θ‖²")


def test_nothing_empty_is_shown(store, synthetic_sweep, measured_in):
    """Before anything is trained there is no table; with losses and traces no column of dashes."""
    sweep = synthetic_sweep()
    sweep.plan()
    assert _all_tables(*measured_in(store)) == []
    sweep.fill()
    tables = _all_tables(*measured_in(store))
    assert tables
    for table in tables:
        assert table.rows
        assert all(len(row) == len(table.columns) for row in table.rows)
        assert all(set(column) != {"–"} for column in zip(*table.rows, strict=True))


def test_incomplete_and_diverged_cells_are_marked(store, synthetic_sweep, measured_in):
    """A star for what is missing, a dagger for what diverged, each explained once."""
    sweep = synthetic_sweep(seeds=[0, 1])
    sweep.plan()
    first, lost, third, _ = sweep.trials()
    for trial in (first, third):
        sweep.train(trial)
        sweep.measure(trial)
    sweep.train(lost, outcome="diverged")
    sweep.measure(lost, skipped_reason="diverged: the loss ran away")
    data, frame, found = measured_in(store)
    outcome = measured_tables(found)[-1]
    assert [row[3] for row in outcome.rows] == ["1/2†", "1/2*"]
    assert {note[0] for note in outcome.notes[-2:]} == {"*", "†"}
    everything = everything_tables(data, frame, found.states)[0]
    assert everything.columns[-2:] == ("100, 0.1†", "200, 0.2*")
    assert everything.rows[0][-1].endswith("[1]")


@pytest.mark.parametrize("num_cells", [1, 12, 13, 25, 60])
def test_many_cells_are_parted_and_none_is_lost(store, synthetic_sweep, measured_in, num_cells):
    """At most twelve beside each other: whole-model tables hold each cell once, layers a choice."""
    pairs = [(10 * (number + 1), 0.1) for number in range(num_cells)]
    sweep = synthetic_sweep(pairs=pairs, seeds=[0])
    sweep.plan()
    first = sweep.trials()[0]
    sweep.train(first)
    sweep.measure(first)
    data, of_first, found = measured_in(store)
    frame = pd.concat([of_first.assign(batch_size=size) for size, _ in pairs])
    tables = everything_tables(data, frame, found.states)
    of_losses = [table for table in tables if "losses" in table.title]
    assert len(of_losses) == -(-num_cells // 12)
    assert len({file_name(table) for table in tables}) == len(
        tables
    )  # what a page leaves out is in files
    heads = [head for table in of_losses for head in table.columns[6:]]
    assert [head.rstrip("*") for head in heads] == [f"{size}, {rate}" for size, rate in pairs]
    layers = layer_tables(data, frame, found.states)
    assert {len(table.columns) - 1 for table in layers} == {min(num_cells, 12)}
    told = any("further cells are in view cell_measurements" in n for n in layers[0].notes)
    assert told is (num_cells > 12)


def test_layers_stand_in_the_order_of_the_network(store, synthetic_sweep, measured_in):
    synthetic_sweep(layers=("stem", "block", "dense")).fill()
    data, frame, found = measured_in(store)
    for table in layer_tables(data, frame, found.states):
        assert [row[0] for row in table.rows] == ["stem", "block", "dense"]
