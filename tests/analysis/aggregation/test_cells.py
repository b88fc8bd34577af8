from __future__ import annotations

import math

import pytest

from analysis.aggregation.cells import cells
from analysis.records.cell_states import cell_states
from analysis.records.load import load_sweep
from analysis.report.words import headline
from workers.contract.schema import VIEWS
from workers.statistics.fork import ForkSpec
from workers.statistics.losses import LossesSpec
from workers.statistics.tail import TailSpec
from workers.statistics.traces import TracesSpec


def _cells(store, sweep="toy"):
    data = load_sweep(store, sweep)
    table = cells(data, cell_states(data))
    assert table.schema.equals(VIEWS["cells"])
    return table.to_pylist()


def test_a_whole_sweep_is_complete(store, synthetic_sweep):
    """Counts, environments, and the mean and error of each quantity."""
    synthetic_sweep().fill()
    first, second = _cells(store)
    assert (first["batch_size"], second["batch_size"]) == (100, 200)
    assert first["complete"] is True
    assert (first["num_seeds"], first["num_missing"], first["num_diverged"]) == (3, 0, 0)
    assert (first["num_train"], first["environment_ids"]) == (50_000, ["env-a"])
    assert first["batch_size_over_learning_rate"] == 1000.0
    assert first["gradient_noise_trace_mean"] == pytest.approx(100 + 1)
    assert first["gradient_noise_trace_stderr"] == pytest.approx(1 / math.sqrt(3))
    assert first["mean_loss_mean"] == pytest.approx(0.11)
    assert first["hessian_noise_trace_mean"] is None


def test_what_is_lacking_is_counted_and_never_averaged_away(store, synthetic_sweep):
    """Missing, failed and diverged seeds flag the cell; means are over the seeds with values."""
    sweep = synthetic_sweep(pairs=[(100, 0.1)], seeds=[0, 1, 2, 3])
    sweep.plan()
    whole, failed, diverged, _never_started = sweep.trials()
    sweep.train(whole)
    sweep.measure(whole)
    sweep.fail(failed)
    sweep.train(diverged, outcome="nonfinite", environment_id="env-0")
    sweep.measure(diverged, skipped_reason="a loss was not finite")
    (cell,) = _cells(store)
    counted = {name: cell[name] for name in ("num_seeds", "num_missing", "num_failed")}
    assert counted == {"num_seeds": 4, "num_missing": 2, "num_failed": 1}
    assert cell["num_diverged"] == 1
    assert cell["complete"] is False
    assert cell["environment_ids"] == ["env-0", "env-a"]
    assert cell["gradient_noise_trace_mean"] == pytest.approx(100.0)
    assert cell["gradient_noise_trace_stderr"] is None
    state = next(iter(cell_states(load_sweep(store, "toy")).values()))
    assert state.sentence == "1 of 4 seeds missing, 1 of 4 seeds failed, 1 of 4 seeds diverged"
    assert state.lacking == "seeds 1, 3: training, losses, traces"
    assert state.num_done == 1


def test_a_seed_whose_divergence_is_not_yet_recorded_whole_is_counted_once(store, synthetic_sweep):
    """It has diverged and lacks statistics: one seed of two, not two of two."""
    sweep = synthetic_sweep(pairs=[(100, 0.1)], seeds=[0, 1])
    sweep.plan()
    whole, diverged = sweep.trials()
    sweep.train(whole)
    sweep.measure(whole)
    sweep.train(diverged, outcome="diverged")
    states = cell_states(load_sweep(store, "toy"))
    (state,) = states.values()
    assert (state.sentence, state.num_done) == ("1 of 2 seeds diverged", 1)
    assert headline(states) == ("0 of 1 cells are complete; seeds: 1 diverged.", "bad")


def test_an_unmeasured_statistic_leaves_the_cell_incomplete(store, synthetic_sweep):
    """A trained trial without its traces is missing; with a failure of them, failed."""
    sweep = synthetic_sweep(pairs=[(100, 0.1)], seeds=[0])
    sweep.plan()
    (trial,) = sweep.trials()
    sweep.train(trial)
    sweep.statistics = [LossesSpec()]
    sweep.measure(trial)
    (cell,) = _cells(store)
    assert (cell["num_missing"], cell["num_failed"], cell["complete"]) == (1, 0, False)
    sweep.fail(trial, LossesSpec(), "early")
    assert _cells(store)[0]["num_failed"] == 0
    sweep.fail(trial, TracesSpec(), "away", failure_class="storage")
    assert _cells(store)[0]["num_failed"] == 0  # it is tried eight times
    sweep.fail(trial, TracesSpec(), "late")
    assert _cells(store)[0]["num_failed"] == 1


def test_a_failure_that_was_mended_is_no_failure(store, synthetic_sweep):
    """An attempt failed and a later one committed: the cell is complete."""
    sweep = synthetic_sweep().fill()
    sweep.fail(sweep.trials()[0])
    assert all(cell["complete"] and cell["num_failed"] == 0 for cell in _cells(store))


def test_a_plan_alone_gives_its_cells(store, synthetic_sweep):
    """Nothing trained yet: every seed is missing, N unknown."""
    synthetic_sweep().plan()
    first, _ = _cells(store)
    assert (first["num_missing"], first["complete"], first["num_train"]) == (3, False, None)
    assert first["environment_ids"] == []


def test_the_first_listed_statistic_gives_a_quantity(store, synthetic_sweep):
    """Two statistics measure tr H; the one listed first under `measure` counts."""
    sweep = synthetic_sweep(pairs=[(100, 0.1)], seeds=[0])
    sweep.statistics = [LossesSpec(), TracesSpec(probe_seed=1), TracesSpec()]
    sweep.plan()
    (trial,) = sweep.trials()
    sweep.train(trial)
    for statistic, value in ((TracesSpec(), 1.0), (TracesSpec(probe_seed=1), 2.0)):
        sweep.statistics = [statistic]
        sweep.measure(trial, changes={"hessian_trace": value})
    assert _cells(store)[0]["hessian_trace_mean"] == 2.0


def test_other_modes_and_splits_do_not_enter(store, synthetic_sweep):
    """Cells show the training split; the test split is in cell_measurements alone."""
    synthetic_sweep(pairs=[(100, 0.1)]).fill()
    (cell,) = _cells(store)
    assert cell["accuracy_mean"] == pytest.approx(0.95)
    assert cell["accuracy_stderr"] == pytest.approx(0.0, abs=1e-15)


def test_of_an_excursion_the_longest_window_counts(store, synthetic_sweep, seen):
    """`excess_loss` is of the total objective, at the largest number of steps; tr σ² is of no excursion."""
    quantities = ("excess_loss", "gradient_noise_trace")
    synthetic_sweep(pairs=[(100, 0.1)], seeds=[0]).fill().add(
        ForkSpec(num_steps=64, num_windows=2),
        lambda seed: [seen(name, 1.0 * end, index=end) for end in (32, 64) for name in quantities],
    )
    (cell,) = _cells(store)
    assert cell["excess_loss_mean"] == 64.0
    assert cell["gradient_noise_trace_mean"] == pytest.approx(100.0)


def test_of_a_run_with_halves_the_whole_counts(store, synthetic_sweep, seen):
    """The gap of the whole run has no index; those of its halves are not shown."""
    gap = "fluctuation_dissipation_gap"
    synthetic_sweep(pairs=[(100, 0.1)], seeds=[0]).fill().add(
        TailSpec(),
        lambda seed: [
            seen(gap, value, index=index) for index, value in ((0, 1), (1, 2), (None, 3))
        ],
    )
    (cell,) = _cells(store)
    assert cell[f"{gap}_mean"] == 3.0
