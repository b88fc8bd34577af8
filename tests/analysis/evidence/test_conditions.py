from __future__ import annotations

import pytest

from analysis.evidence.agreement import agreement
from analysis.evidence.conditions import all_conditions
from analysis.records.cell_states import cell_states
from analysis.records.load import load_sweep
from workers.contract.identity import statistic_id
from workers.contract.records import SpectrumNode
from workers.statistics.batch_noise import BatchNoiseSpec
from workers.statistics.fork import ForkSpec
from workers.statistics.hessian import HessianSpec
from workers.statistics.noise_curvature import NoiseCurvatureSpec
from workers.statistics.spectrum import SpectrumSpec
from workers.statistics.tail import TailSpec
from workers.statistics.traces import TracesSpec

TOTAL_SPECTRUM = SpectrumSpec(objective="total")


@pytest.fixture
def sweep(synthetic_sweep):
    """Plan a sweep of one cell that has no statistics yet."""
    made = synthetic_sweep(weight_decay=0.1, sampler="replacement", pairs=[(100, 0.1)], seeds=[0])
    made.statistics = []
    made.plan()
    for trial in made.trials():
        made.train(trial)
    return made


@pytest.fixture
def conditions_of(store):
    """Give the conditions of the last excursion."""

    def make(sweep):
        data = load_sweep(store, sweep.name)
        return all_conditions(data, cell_states(data), agreement(data))[-1]

    return make


def _one(row):
    return lambda seed: [row]


def test_what_is_known_of_the_trial_is_there(sweep, conditions_of):
    """N, m, η, μ and the trials by seed."""
    found = conditions_of(sweep)
    assert found.state.num_train == 50_000
    assert (found.sgd.learning_rate, found.sgd.momentum, found.sgd.batch_size) == (
        pytest.approx(0.01), 0.0, 100,
    )  # fmt: skip
    assert list(found.trial_ids) == [0]
    assert (found.inputs, found.spectra, found.is_shuffled) == ({}, None, False)


def test_an_exact_trace_counts_before_the_first_listed(sweep, seen, conditions_of):
    """Then the listing counts, and what few draws of a spectrum say comes last."""
    rows = [
        (TOTAL_SPECTRUM, seen("gradient_noise_trace", 1.0, stderr=None)),
        (NoiseCurvatureSpec(), seen("gradient_noise_trace", 2.0, stderr=0.1)),
        (TracesSpec(), seen("gradient_noise_trace", 3.0)),
    ]
    for number, (statistic, row) in enumerate(rows, start=1):
        sweep.add(statistic, _one(row))
        found = conditions_of(sweep).inputs["gradient_noise_trace"]
        assert (found.by_seed, found.statistic) == ({0: number}, statistic.name)


def test_traces_along_an_excursion_are_no_input(sweep, seen, conditions_of):
    """The tr σ² of a tail is of its whole run; the eigenvalue is of the kept weights, and serves."""

    def rows(seed):
        yield seen("gradient_noise_trace", 1.0)
        yield seen("hessian_top_eigenvalue", 5.0, index=0)
        yield seen("hessian_top_eigenvalue", 4.0, index=1)

    found = conditions_of(sweep.add(TailSpec(), rows)).inputs
    assert found.keys() == {"hessian_top_eigenvalue"}
    assert found["hessian_top_eigenvalue"].by_seed == {0: 5.0}


def test_other_objectives_and_modes_are_no_input(sweep, seen, conditions_of):
    """With weight decay tr H of the data objective is not that of the total; nor is another mode's."""
    sweep.add(HessianSpec(), _one(seen("hessian_trace", 1.0, objective="data")))
    sweep.add(
        HessianSpec(bn_mode="moving_average", objective="total"),
        _one(seen("hessian_trace", 2.0, bn_mode="moving_average")),
    )
    assert conditions_of(sweep).inputs == {}
    sweep.add(HessianSpec(objective="total"), _one(seen("hessian_trace", 3.0)))
    assert conditions_of(sweep).inputs["hessian_trace"].by_seed == {0: 3.0}


def test_batch_mode_takes_batch_noise_at_its_batch_size(sweep, seen, conditions_of):
    """Of several multiples the one of m = 100; all of them tell whether the noise is additive."""

    def rows(seed):
        for size, value in ((100, 7.0), (200, 8.0)):
            for objective in ("data", "total"):
                yield seen(
                    "gradient_noise_trace", value, method=f"batch_pairs_{size}",
                    bn_mode="batch", objective=objective,
                )  # fmt: skip

    nodes = [SpectrumNode(kind="noise", draw=0, node=1.0, weight=1.0)]
    sweep.add(BatchNoiseSpec(), rows).add(TOTAL_SPECTRUM, lambda seed: [], nodes)
    frozen = conditions_of(sweep)
    assert (frozen.inputs, frozen.additivity) == ({}, None)
    assert frozen.spectra.statistic_id == statistic_id(TOTAL_SPECTRUM)
    fork = ForkSpec(bn_mode="batch", num_windows=1)
    sweep.add(fork, _one(seen("excess_loss", 1.0, index=512, bn_mode="batch")))
    found = conditions_of(sweep)
    assert found.inputs["gradient_noise_trace"].by_seed == {0: 7.0}
    assert {size: values.by_seed[0] for size, values in found.additivity.items()} == {
        100: 7.0, 200: 8.0,
    }  # fmt: skip
    assert (found.spectra, found.noise_spectra) == (None, {})


def test_the_mass_of_the_noise_spectrum_is_the_trace_measured_apart(sweep, seen, conditions_of):
    """An exact tr σ² = 3; without one the draws' own mass, also where `spectrum` wrote it down."""
    nodes = [SpectrumNode(kind="noise", draw=0, node=1.0, weight=10.0)]
    sweep.add(TOTAL_SPECTRUM, _one(seen("gradient_noise_trace", 10.0, stderr=None)), nodes)
    alone = conditions_of(sweep).noise_spectra[0]
    assert (alone.mass, alone.integral(alone.nodes).value) == (None, 10.0)
    sweep.add(TracesSpec(), _one(seen("gradient_noise_trace", 3.0)))
    found = conditions_of(sweep).noise_spectra[0]
    assert (found.mass.value, found.integral(found.nodes).value) == (3.0, 3.0)
