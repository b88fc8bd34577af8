"""The query beside each figure gives the numbers of its file, and so those that are drawn."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from analysis.aggregation.aggregate import aggregate
from analysis.query.sql import query
from workers.contract.schema import VIEWS
from workers.contract.store import Store

_NOT_IN_THE_STORE = {"paper_gradient_noise_trace", "paper_hessian_trace", "paper_trace_ratio"}

_KEYS = {
    "learning_curves": ["epoch"],
    "layers": ["layer"],
    "fork_curve": ["prediction", "num_steps"],
    "parity": ["prediction", "target"],
    "covariance": ["trial", "direction"],
    "spectra": [],
}
"""What tells rows of one cell apart; rows of spectra by their order."""


@pytest.fixture(scope="module")
def stores(tmp_path_factory, forked_sweep_in, report_of):
    """Reports of a whole sweep, and of one with gaps and eleven cells."""
    found = {}
    for name, settings in {
        "whole": {"pairs": [(size, rate) for size in (50, 100) for rate in (0.1, 0.2)]},
        "gaps": {"pairs": [(10 * place, 0.1 + 0.1 * (place % 2)) for place in range(1, 12)], "seeds": [0, 1]},
    }.items():  # fmt: skip
        store = Store.open(str(tmp_path_factory.mktemp(name)))
        sweep = forked_sweep_in(store, power=1.5, strength=0.01, scatter=0.1, **settings)
        plan = sweep.plan()
        key = (plan.sweep, plan.revision)
        rows = [
            {"sweep": plan.sweep, "revision": plan.revision, "trial_id": item.trial_id, "seed": item.trial.seed,
             "batch_size": item.trial.batch_size, "learning_rate": item.trial.learning_rate}
            for item in plan.trials
        ]  # fmt: skip
        planned = pa.Table.from_pylist(rows, schema=VIEWS["sweep_trials"])
        store.commit("sweep_trials", key, plan.revision, planned)
        for place, trial in enumerate(sweep.trials()):
            is_lost = name == "gaps" and place == 3
            sweep.train(trial, outcome="diverged" if is_lost else "converged")
            if not is_lost and (name, place) != ("gaps", 0):
                sweep.measure(trial)
        aggregate(store, sweep.name)
        found[name] = (store, plan, report_of(store, sweep.name))
    return found


@pytest.mark.parametrize("name", ["whole", "gaps"])
@pytest.mark.parametrize(
    "figure",
    ["learning_curves", "traces", "trace_ratio", "layers", "fork_curve", "parity", "covariance", "heat_maps", "spectra"],
)  # fmt: skip
def test_the_query_gives_what_is_drawn(stores, name, figure):
    """Every row and number of the figure's file, but the printed ones of the paper."""
    store, plan, report = stores[name]
    (one,) = [each for each in report.figures if each.name == figure]
    wanted = pd.read_csv(io.StringIO(one.csv))
    given = query(store, one.query(plan)).to_pandas()
    columns = [column for column in wanted if column not in _NOT_IN_THE_STORE]
    assert set(columns) <= set(given)
    keys = ["loss", "batch_size", "learning_rate", *_KEYS.get(figure, [])]
    numbers = [column for column in columns if column not in keys]
    wanted = wanted.dropna(how="all", subset=numbers)
    both = [
        frame.sort_values([*keys, *(["eigenvalue"] if figure == "spectra" else [])])
        for frame in (wanted, given)
    ]
    assert len(both[0]) == len(both[1]) > 0
    for column in columns:
        first, second = (frame[column] for frame in both)
        if pd.api.types.is_bool_dtype(first) or not pd.api.types.is_numeric_dtype(first):
            assert first.tolist() == second.tolist(), column
        else:
            np.testing.assert_allclose(
                second.astype(float), first.astype(float), rtol=1e-9, atol=1e-12, err_msg=column
            )
