"""What the statistics of a trial share in the store: found by all, trusted only when it holds."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from workers import trial as entry
from workers.contract.store import Store
from workers.models.resnet import ResNetSpec
from workers.resumable.shared import SharedInStore
from workers.statistics.hessian import HessianSpec
from workers.statistics.losses import LossesSpec
from workers.statistics.noise_curvature import NoiseCurvatureSpec
from workers.statistics.traces import TracesSpec

CONDITIONS = {"environment_id": "here", "weights_sha256": "these"}
MOMENTS = {"mean": np.array([1.0, 1 / 3]), "variance": np.array([2.0, 1e-300])}


@pytest.fixture
def make_shared(store, make_order):
    def make(attempt_id="first", statistic=None, **conditions):
        order = make_order(attempt_id=attempt_id, statistic=statistic or LossesSpec())
        return SharedInStore(store, order, CONDITIONS | conditions)

    return make


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


def test_another_statistic_finds_the_same_bits(make_shared, store):
    """Under its key, outside the checkpoints, which are cleared away."""
    shared = make_shared()
    assert shared.find("moments") is None
    shared.keep("moments", MOMENTS)
    other = make_shared("second", TracesSpec())
    assert_equal(other.find("moments"), MOMENTS)
    assert other.find("others") is None
    assert store.names("checkpoints", recursive=True) == []


@pytest.mark.parametrize("condition", ["environment_id", "weights_sha256"])
def test_what_was_kept_under_other_conditions_is_not_found(make_shared, condition):
    """Each keeps its own, and both are found after."""
    make_shared().keep("moments", MOMENTS)
    elsewhere = make_shared("second", **{condition: "other"})
    assert elsewhere.find("moments") is None
    elsewhere.keep("moments", {"mean": np.zeros(2)})
    assert_equal(make_shared("third").find("moments"), MOMENTS)
    assert_equal(elsewhere.find("moments"), {"mean": np.zeros(2)})


@pytest.mark.parametrize("size", [0, 100])
def test_a_damaged_file_is_not_found(make_shared, store, size, caplog):
    """Empty or cut short; the log says which, and keeping it again mends it."""
    make_shared().keep("moments", MOMENTS)
    [path] = store.names("shared", recursive=True)
    store.write_bytes(path, store.read_bytes(path)[:size])
    with caplog.at_level(logging.WARNING):
        assert make_shared("second").find("moments") is None
    assert f"passed over a damaged checkpoint: {path}" in caplog.text
    make_shared("second").keep("moments", MOMENTS)
    assert_equal(make_shared("third").find("moments"), MOMENTS)


SMALL = {"model": ResNetSpec(depth=8), "epochs": 1}
STATISTICS = {
    "losses": LossesSpec(),
    "traces": TracesSpec(replicate_examples=1000),
    "hessian": HessianSpec(num_probes=64, num_eigenpairs=0, num_examples=5),
    "noise_curvature": NoiseCurvatureSpec(num_probes=64),
}


def never():
    return False


@pytest.fixture
def num_passes(monkeypatch):
    """Count the passes for population statistics."""
    from workers.network import batch_norm

    run, taken = batch_norm._population_moments, []

    def counted(*arguments):
        taken.append(1)
        return run(*arguments)

    monkeypatch.setattr(batch_norm, "_population_moments", counted)
    return lambda: len(taken)


@pytest.fixture
def trained_store(make_order, store):
    """The store, with the trained trial."""
    assert entry.run_order(make_order(**SMALL), never).status == "committed"
    return store


@pytest.fixture
def measure(make_order, store):
    """Take a statistic of a trained trial; give its values, or the answer where there are none."""

    def measure(name, attempt_id, *, uri=None, should_stop=never):
        order = make_order(
            attempt_id=attempt_id,
            statistic=STATISTICS[name],
            order_options={"store": uri or store.uri},
            **SMALL,
        )
        if uri and not Store.open(uri).read("trials").num_rows:
            training = order.model_copy(update={"statistic": None, "statistic_id": None})
            assert entry.run_order(training, never).status == "committed"
        answer = entry.run_order(order, should_stop)
        if answer.status != "committed":
            return answer
        rows = Store.open(order.store).read("measurements").to_pylist()
        mine = [row for row in rows if row["statistic_id"] == order.statistic_id]
        return [{**row, "wall_seconds": None} for row in mine]

    return measure


@pytest.mark.slow
def test_the_statistics_of_a_trial_take_one_pass_and_have_the_values_of_one_each(
    trained_store, tmp_path, measure, num_passes
):
    """Values and costs are those of stores where each statistic took the pass itself."""
    together = {name: measure(name, f"{name}-1") for name in STATISTICS}
    assert num_passes() == 1
    assert trained_store.names("checkpoints", recursive=True) == []
    assert len(trained_store.names("shared", recursive=True)) == 1
    alone = {name: measure(name, f"{name}-2", uri=str(tmp_path / name)) for name in STATISTICS}
    assert num_passes() == 1 + len(STATISTICS)
    assert together == alone


@pytest.mark.parametrize("harm", ["lost", "damaged", "of another environment"])
def test_moments_that_cannot_be_used_are_taken_again(
    trained_store, measure, num_passes, harm, monkeypatch
):
    """To the same values; those of another environment are not even looked at."""
    measure("losses", "first-losses")
    expected = measure_again(trained_store, measure, "second-losses")
    assert num_passes() == 1
    [path] = trained_store.names("shared", recursive=True)
    if harm == "lost":
        trained_store.remove(path)
    elif harm == "damaged":
        content = bytearray(trained_store.read_bytes(path))
        content[len(content) // 2] ^= 1
        trained_store.write_bytes(path, bytes(content))
    else:
        monkeypatch.setattr("workers.process.environment.instruction_sets", lambda: "others")
    assert measure_again(trained_store, measure, "third-losses") == expected
    assert num_passes() == 2


def measure_again(store, measure, attempt_id):
    """Measure the losses as if they had not been committed."""
    for path in store.names("measurements"):
        store.remove(path)
    return measure("losses", attempt_id)


def test_a_pass_that_was_stopped_goes_on(trained_store, measure, monkeypatch):
    """Not kept half done: the next attempt ends it from where it was, and keeps it then."""
    monkeypatch.setattr("workers.network.batch_norm._BATCH_SIZE", 20)
    answers = iter([False, False])
    stopped = measure("losses", "first-losses", should_stop=lambda: next(answers, True))
    assert stopped.status == "drained"
    assert stopped.message.startswith("stopped at 60 of ")
    assert stopped.message.endswith(" of batch_norm")
    assert trained_store.names("shared", recursive=True) == []
    looked = []

    def count():
        looked.append(1)
        return False

    resumed = measure("losses", "second-losses", should_stop=count)
    # 40 of 100 examples, six more stages, the ends of seven, and one batch for each split
    assert len(looked) == 2 + 6 * 5 + 7 + 2
    assert len(trained_store.names("shared", recursive=True)) == 1
    assert measure_again(trained_store, measure, "third-losses") == resumed
