"""`fork` and `tail`, measured on a network, against the exact second moments of the same SGD."""

from __future__ import annotations

import numpy as np
import pytest

from workers.statistics.fork import ForkSpec
from workers.statistics.tail import TailSpec

RATE = 0.1
FORK = {"num_streams": 600, "num_steps": 16, "num_windows": 3, "records_per_window": 2}
TAIL = {"burn_in_steps": 200, "num_steps": 6000, "num_records": 512}
DIRECTIONS = {"num_directions": 2, "max_lanczos_steps": 3}


def _sampler(is_shuffled):
    return "shuffle" if is_shuffled else "replacement"


def _fork_exactly(exact, start, settings):
    """Give every quantity that a fork estimates by (quantity, index)."""
    moments, norms = exact.run(start, settings.num_steps)
    at_looks = {
        "excess_loss": exact.excess_loss,
        "harmonic_excess_loss": exact.excess_loss,
        "expected_gradient_norm_squared": exact.spread_of_gradient,
        "gradient_norm_squared": exact.squared_gradient,
    }
    found, first = {}, 0
    for window in settings.windows():
        end = window[-1]
        for name, value in at_looks.items():
            found[name, end] = np.mean([value(moments[step]) for step in window])
        found["batch_gradient_norm_squared", end] = norms[first:end].mean()
        found["gradient_noise_trace", end] = np.mean([exact.noise(s) for s in moments[first:end]])
        first = end
    vectors = np.linalg.eigh(exact.hessian)[1]
    spread = np.mean([exact.covariance(moments[step]) for step in window], axis=0)
    for place in range(settings.num_directions):
        vector = vectors[:, -1 - place]
        found["direction_variance", place] = vector @ spread @ vector
    return found


@pytest.mark.parametrize(
    ("num_train", "batch_size", "momentum", "is_shuffled"),
    [
        (6, 3, 0.0, False),
        (5, 1, 0.8, False),
        (6, 2, 0.0, True),
        (5, 1, 0.6, True),
        (6, 2, 0.9, True),
    ],
)
def test_a_fork_is_exact_in_every_window(
    make_regression, num_train, batch_size, momentum, is_shuffled
):
    """Every quantity, of streams that fall from far off while their noise shrinks, within 4.5 errors.

    About 20 numbers of each of 5 cases are looked at; all errors are below a half.
    """
    from workers.statistics.fork import measure

    context, exact, start = make_regression(
        num_train,
        away=np.array([1.0, -2.0, 1.5]),
        batch_size=batch_size,
        learning_rate=RATE if momentum < 0.7 else RATE / 4,
        momentum=momentum,
        is_shuffled=is_shuffled,
    )
    settings = ForkSpec(sampler=_sampler(is_shuffled), **FORK, **DIRECTIONS)
    rows = [row for row in measure(context, settings) if row.method == "forks"]
    expected = _fork_exactly(exact, start, settings)
    assert {(row.quantity, row.index) for row in rows} == expected.keys()
    for row in rows:
        value = expected[row.quantity, row.index]
        assert abs(row.value - value) < 4.5 * row.stderr, (row.quantity, row.index, row, value)
        assert row.stderr < value / 2


@pytest.mark.parametrize(("momentum", "rate"), [(0.0, 0.2), (0.6, 0.06)])
def test_a_shuffled_tail_is_exact(make_regression, momentum, rate):
    """Mean over the phases of an epoch, of every quantity, within 4.5 errors of at most 12 %.

    The noise is m(N-1)/(N-m)·(E‖g_B‖² - E‖∇L‖²), with what the batches left in an epoch add to it.
    """
    from workers.statistics.tail import measure

    context, exact, _ = make_regression(
        6, away=0.0, batch_size=2, learning_rate=rate, momentum=momentum, is_shuffled=True
    )
    rows = measure(context, TailSpec(sampler="shuffle", **TAIL, **DIRECTIONS))
    moments, norms = exact.stationary()
    after = [*moments[1:], moments[0]]
    size = exact.num_params
    gradient = np.mean([exact.squared_gradient(each) for each in moments])
    excess = np.mean([exact.excess_loss(each) for each in moments])
    # The mean iterate differs by phase, and L* of a tail is at their mean.
    places = np.array([each[:size, -1] for each in moments]) - exact.minimum
    about = places - places.mean(axis=0)
    excess += np.einsum("ri,ij,rj->r", about, exact.hessian, about).mean() / 2
    expected = {
        "excess_loss": excess,
        "harmonic_excess_loss": excess,
        "expected_gradient_norm_squared": gradient,
        "batch_gradient_norm_squared": norms.mean(),
        "velocity_norm_squared": np.mean([np.trace(each[size:-1, size:-1]) for each in after]),
        "gradient_noise_trace": 2 * 5 / 4 * (norms.mean() - gradient),
    }
    found = {row.quantity: row for row in rows if row.index is None}
    for quantity, value in expected.items():
        row = found[quantity]
        assert abs(row.value - value) < 4.5 * row.stderr, (quantity, row, value)
        assert row.stderr < 0.12 * value
