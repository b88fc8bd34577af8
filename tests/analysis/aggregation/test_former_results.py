"""Derived views equal those of an earlier version, which computed them cell by cell.

`kept_stores` holds records with the views that version made of them: `small`, two traces alone; `laws`,
forks and spectra of six cells; `gaps`, the same with trials, statistics and numbers missing, diverged,
not finite and at odds. That version said of a broken assumption "in 2 of 3 seeds" where two were tested.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from analysis.aggregation.aggregate import aggregate_records
from analysis.records.load import load_sweep
from workers.contract.commits import DERIVED_VIEWS
from workers.contract.plans import list_sweeps
from workers.contract.store import Store

KEPT = Path(__file__).parent / "kept_stores"
_OF_SEEDS = re.compile(r"(?<=not so in \d) of \d(?= seeds)")


@pytest.fixture(scope="module", params=sorted(path.name for path in KEPT.iterdir()))
def kept(request):
    """Return a kept store, and what is aggregated of it now."""
    store = Store.open(str(KEPT / request.param))
    (sweep,) = list_sweeps(store)
    return store, aggregate_records(load_sweep(store, sweep))


@pytest.mark.parametrize("view", DERIVED_VIEWS)
def test_the_rows_are_those_of_before(kept, view):
    """To 1e-12 of each number: means over seeds are sums without rounding now, and were not."""
    store, now = kept
    former, found = store.read(view).to_pylist(), getattr(now, view).to_pylist()
    assert len(found) == len(former) > 0
    for one, other in zip(former, found, strict=True):
        for name in one:
            assert _are_equal(one[name], other[name]), (name, one, other)


def test_gaps_are_among_them():
    """The store of gaps lacks trials, and has cells that are not whole and laws without a verdict."""
    views = Store.open(str(KEPT / "gaps"))
    whole = Store.open(str(KEPT / "laws"))
    assert views.read("trials").num_rows < whole.read("trials").num_rows
    assert not all(views.read("cells").column("complete").to_pylist())
    assert views.read("cells").column("num_diverged").to_numpy().any()
    assert views.read("predictions").column("verdict").null_count > 0


def _are_equal(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        both_nan = math.isnan(one) and math.isnan(other)
        return both_nan or one == other or math.isclose(one, other, rel_tol=1e-12)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_are_equal, one, other))
    if isinstance(one, str) and isinstance(other, str):
        return _OF_SEEDS.sub("", one) == _OF_SEEDS.sub("", other)
    return one == other
