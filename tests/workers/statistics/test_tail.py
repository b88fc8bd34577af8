"""`tail` against the exact stationary second moments of SGD on linear regression."""

from __future__ import annotations

import dataclasses
import os
import re

import keras
import numpy as np
import pytest
import scipy.stats

from workers.contract.catalog import resolve
from workers.contract.errors import Drained
from workers.contract.quantities import STATISTIC_QUANTITIES
from workers.contract.specs import TrainingSpec, TrialSpec
from workers.datasets.dataset import Dataset, Split
from workers.datasets.digits import DigitsSpec
from workers.models.mlp import MLPSpec
from workers.numerics.probes import half_width
from workers.resumable.passes import Passes
from workers.statistics.algorithms.tail import rows_of
from workers.statistics.excursions.excursion import Excursion
from workers.statistics.excursions.tail_run import Blocks, TailRun
from workers.statistics.excursions.tail_schedule import NUM_BLOCKS, legs_of
from workers.statistics.excursions.tail_stream import WatchedStream
from workers.statistics.excursions.tail_values import block_values, why_runaway
from workers.statistics.measuring.context import MeasurementContext
from workers.statistics.measuring.split_rows import SplitRows
from workers.statistics.tail import TailSpec, measure

NUM_SEEDS = int(os.environ.get("MINIMA_COVERAGE_SEEDS", "40"))
NUM_TRAIN, BATCH_SIZE, WEIGHT_DECAY, LEARNING_RATE = 30, 3, 0.05, 0.1
EXACT = (
    "excess_loss",
    "harmonic_excess_loss",
    "expected_gradient_norm_squared",
    "batch_gradient_norm_squared",
    "velocity_norm_squared",
    "gradient_noise_trace",
)
BALANCE = ("fluctuation_dissipation_ratio", "fluctuation_dissipation_gap")


def spec(**settings) -> TailSpec:
    chosen = {"burn_in_steps": 200, "num_steps": 4000, "num_records": 128}
    return TailSpec(**chosen | {"num_directions": 2, "max_lanczos_steps": 20} | settings)


def make_dataset() -> Dataset:
    """Draw three orthogonal features without a mean, and targets with noise."""
    generator = np.random.default_rng(7)
    ones = np.ones((NUM_TRAIN, 1))
    basis, _ = np.linalg.qr(np.hstack([ones, generator.normal(size=(NUM_TRAIN, 3))]))
    features = basis[:, 1:] * np.sqrt(NUM_TRAIN) * [1.2, 1.0, 0.9]
    targets = features @ [[1.0], [-2.0], [0.5]] + 0.7 * generator.normal(size=(NUM_TRAIN, 1))
    split = Split(features.astype(np.float32), targets.astype(np.float32))
    zero, one = np.zeros((), np.float32), np.ones((), np.float32)
    return Dataset(split, split, zero, one, is_classification=False, digest="none")


@dataclasses.dataclass(frozen=True)
class Regression:
    """Linear regression with three features, a bias and L2, near its minimum."""

    tools: object
    dataset: Dataset

    def __call__(self, partials=None, *, away=0.0, momentum=0.0, **changes) -> MeasurementContext:
        trial = TrialSpec(
            model=MLPSpec(),
            dataset=DigitsSpec(),
            data_digest="none",
            loss="squared_error",
            training=TrainingSpec(epochs=1, weight_decay=WEIGHT_DECAY, momentum=momentum),
            **{"batch_size": BATCH_SIZE, "learning_rate": LEARNING_RATE, "seed": 0} | changes,
        )
        inputs = keras.Input((3,))
        model = keras.Model(inputs, keras.layers.Dense(1, name="outputs")(inputs))
        model.set_weights([np.float32([[1], [-2], [0.5]]) + away, np.float32([away])])
        loss = resolve("loss", "squared_error")()
        return MeasurementContext(
            model, self.dataset, loss, trial, partials or self.tools.partials()
        )


@pytest.fixture(scope="module")
def regression(tools):
    """Make contexts of one linear regression."""
    return Regression(tools, make_dataset())


@pytest.fixture(scope="module")
def stationary(regression):
    """Measure a long run near the minimum."""
    return measure(regression(), spec(num_records=512))


def exact_values(context: MeasurementContext) -> dict[str, float]:
    """Solve for the stationary second moments S of (u, v), u = θ - θ*, on finite data.

    g_B = M u + b, M and b means over the m examples drawn with replacement of M_n = a_n a_nᵀ + γD and
    b_n = ∇ℓ_n(θ*) + γDθ*, so z ← Fz + f with F = [[I-ηM, -ημI], [M, μI]], f = (-ηb, b), E f = 0,
    and S = E[F S Fᵀ] + E[f fᵀ], where E[F ⊗ F] = F̄ ⊗ F̄ + (mean_n F_n ⊗ F_n - F̄ ⊗ F̄)/m.
    """
    split, training = context.dataset.train, context.trial.training
    rate, momentum = context.trial.learning_rate, training.momentum
    rows = np.hstack([split.inputs, np.ones((NUM_TRAIN, 1))]).astype(np.float64)
    size = rows.shape[1]
    identity = np.eye(size)
    decay = training.weight_decay * np.diag([1.0, 1, 1, 0])
    curvatures = rows[:, :, None] * rows[:, None, :] + decay
    hessian = curvatures.mean(axis=0)
    minimum = np.linalg.solve(hessian, (rows * split.targets).mean(axis=0))
    slopes = curvatures @ minimum - rows * split.targets
    forth = np.array(
        [
            np.block([[identity - rate * each, -rate * momentum * identity], [each, momentum * identity]])
            for each in curvatures
        ]
    )  # fmt: skip
    kicks = np.hstack([-rate * slopes, slopes])
    mean = np.kron(forth.mean(axis=0), forth.mean(axis=0))
    each = np.mean([np.kron(one, one) for one in forth], axis=0)
    moving = mean + (each - mean) / BATCH_SIZE
    kick = (kicks.T @ kicks / NUM_TRAIN / BATCH_SIZE).ravel()
    joint = np.linalg.solve(np.eye(len(moving)) - moving, kick).reshape(2 * size, 2 * size)
    spread = joint[:size, :size]
    squared_gradient = np.trace(hessian @ spread @ hessian)
    second = (curvatures @ spread @ curvatures).trace(axis1=1, axis2=2).mean()
    noise = second - squared_gradient + np.square(slopes).sum(axis=1).mean()
    excess = np.trace(hessian @ spread) / 2
    return {
        "excess_loss": excess,
        "harmonic_excess_loss": excess,
        "expected_gradient_norm_squared": squared_gradient,
        "batch_gradient_norm_squared": squared_gradient + noise / BATCH_SIZE,
        "velocity_norm_squared": np.trace(joint[size:, size:]),
        "gradient_noise_trace": noise,
        "fluctuation_dissipation_ratio": 1.0,
        "fluctuation_dissipation_gap": 0.0,
    }


def by_name(rows):
    return {(row.quantity, row.index): row for row in rows if row.method == "tail"}


def holds(row, exact):
    return abs(row.value - exact) <= half_width(row.stderr, row.num_samples)


def assert_agree(rows, context):
    found = by_name(rows)
    for quantity, exact in exact_values(context).items():
        row = found[quantity, None]
        assert abs(row.value - exact) < 4 * row.stderr, (quantity, row, exact)
        assert quantity == "fluctuation_dissipation_gap" or row.stderr < 0.08 * exact


def test_a_long_run_agrees_with_the_exact_stationary_moments(stationary, regression):
    """Every quantity is within 4 of its errors, which are below 8 %."""
    assert_agree(stationary, regression())


def test_with_momentum_too(regression):
    """On the joint state of weights and velocity, far from the one without."""
    context = regression(momentum=0.8)
    assert_agree(measure(context, spec(num_steps=8000, num_records=512)), context)


def test_on_a_quadratic_the_two_excess_losses_agree(stationary):
    """½⟨(θ-θ̄)·∇L⟩ and ⟨L⟩ - L(θ̄) differ by the part of ∇L(θ̄) alone, far below their error."""
    found = by_name(stationary)
    excess, harmonic = found["excess_loss", None], found["harmonic_excess_loss", None]
    assert abs(excess.value - harmonic.value) < 0.1 * excess.stderr


def test_without_momentum_the_velocity_is_the_direction(stationary):
    """‖v‖² = ‖g_B‖², to the rounding of float32."""
    found = by_name(stationary)
    value = found["velocity_norm_squared", None].value
    assert value == pytest.approx(found["batch_gradient_norm_squared", None].value, rel=1e-6)


def test_rows_and_their_columns(stationary):
    """One row of each quantity, of the gap one more for each half, of the eigenvalues k."""
    assert list(dict.fromkeys(row.quantity for row in stationary)) == list(
        STATISTIC_QUANTITIES["tail"]
    )
    numbers = {key: row.num_samples for key, row in by_name(stationary).items()}
    gap = "fluctuation_dissipation_gap"
    assert numbers == {(name, None): NUM_BLOCKS for name in (*EXACT, *BALANCE)} | {
        (gap, 0): NUM_BLOCKS // 2,
        (gap, 1): NUM_BLOCKS // 2,
    }
    assert [row.index for row in stationary if row.method == "lanczos"] == [0, 0, 1, 1]
    columns = {(row.split, row.objective, row.bn_mode, row.layer) for row in stationary}
    assert columns == {("train", "total", "frozen", None)}
    (cost,) = {row.cost_gradients for row in stationary}
    assert cost == pytest.approx(4200 * BATCH_SIZE / NUM_TRAIN + 512 + NUM_BLOCKS + 1 + 3 * 20)


def test_a_shuffled_sampler_gives_the_noise_of_one_example(regression):
    """The factor (N-1)/(N-m) makes tr σ² of both samplers one; the excess loss is lower.

    At a small rate: θ_t knows the batches before it, so those left in its epoch push it on, which adds
    about η tr(σ²H) to the noise, 1 % here.
    """
    context = regression(learning_rate=0.01)
    shuffled = by_name(measure(context, spec(sampler="shuffle")))
    exact = exact_values(context)
    row = shuffled["gradient_noise_trace", None]
    assert row.value == pytest.approx(exact["gradient_noise_trace"], rel=0.04)
    assert 0 < shuffled["excess_loss", None].value < exact["excess_loss"] / 4


def test_a_stationary_run_is_told_from_one_that_still_falls(stationary, regression):
    """Far off, at a rate that needs many blocks to come near, no interval of run or first half holds 0."""
    gap = "fluctuation_dissipation_gap"
    found = by_name(stationary)
    for index in (None, 0, 1):
        assert holds(found[gap, index], 0.0)
    assert holds(found["fluctuation_dissipation_ratio", None], 1.0)
    settings = spec(learning_rate=0.002, burn_in_steps=1)
    falling = by_name(measure(regression(away=3.0), settings))
    for index in (None, 0):
        assert not holds(falling[gap, index], 0.0)
    assert not holds(falling["fluctuation_dissipation_ratio", None], 1.0)


def test_an_unstable_rate_is_an_outcome(regression):
    """Η above 2(1+μ)/λ₁ is recorded with the number and the rate that would do; nothing runs away."""
    context = regression(momentum=0.5)
    features = context.dataset.train.inputs.astype(np.float64)
    rows = np.hstack([features, np.ones((NUM_TRAIN, 1))])
    hessian = rows.T @ rows / NUM_TRAIN + WEIGHT_DECAY * np.diag([1.0, 1, 1, 0])
    largest = np.linalg.eigvalsh(hessian)[-1]
    rows = measure(context, spec(learning_rate=3.3 / largest))
    assert [row.quantity for row in rows] == list(STATISTIC_QUANTITIES["tail"])
    assert {(row.value, row.stderr, row.num_samples) for row in rows} == {(None, None, 0)}
    assert {row.skipped_reason for row in rows} == {
        f"unstable: λ₁ = {largest:.4g} is not below 2(1+μ)/η = {largest / 1.1:.4g}; choose a learning "
        f"rate below {3 / largest:.4g}"
    }


def test_a_run_that_leaves_the_finite_numbers_is_an_outcome(regression):
    """Noise that grows with θ can carry a run off below 2/λ₁ too."""
    rows = measure(regression(batch_size=1), spec(learning_rate=1.3, num_steps=1000))
    (why,) = {row.skipped_reason for row in rows}
    assert re.fullmatch(r"unstable: the run left the finite numbers before step \d+", why)


def test_a_run_that_climbs_is_an_outcome():
    """A second half above 10 times the first one is no stationary state, finite or not."""
    shown = np.zeros((NUM_BLOCKS, 3))
    shown[:, 0] = np.repeat([2.0, 21.0], NUM_BLOCKS // 2)
    nothing = np.zeros((NUM_BLOCKS, 1))
    blocks = Blocks(None, np.zeros(1), nothing, nothing, nothing, np.zeros((NUM_BLOCKS, 3)), shown)
    assert why_runaway(blocks) == (
        "the mean loss in the second half of the run, 21, is above 10 times that of the first, 2"
    )
    shown[:, 0] = np.repeat([2.0, 20.0], NUM_BLOCKS // 2)
    assert why_runaway(blocks) is None


def test_the_kept_weights_are_not_moved(regression):
    """SGD moves a copy."""
    context = regression()
    before = [each.copy() for each in context.model.get_weights()]
    measure(context, spec(num_steps=1000, num_records=64))
    for old, new in zip(before, context.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_same_bits_after_any_stop(regression, tools):
    """Stopped at every 150th turn and started again in a fresh network, every value is the same."""
    settings = spec(sampler="shuffle", burn_in_steps=100, num_steps=1000, num_records=64)
    straight = measure(regression(momentum=0.5), settings)
    partials = tools.partials(stop_after=150)
    for _ in range(20):
        try:
            resumed = measure(regression(partials, momentum=0.5), settings)
            break
        except Drained:
            partials.progress.clear()
    assert [(row.quantity, row.index, row.value, row.stderr) for row in resumed] == [
        (row.quantity, row.index, row.value, row.stderr) for row in straight
    ]


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_the_same_bits_after_a_stop_at_every_turn(regression, tools, momentum):
    """Each chunk of steps, record and block is a place to stop; the network holds what it will then."""
    settings = spec(burn_in_steps=100, num_steps=1000, num_records=64)
    one = prepared(regression(momentum=momentum), settings)

    def run(partials):
        passes = Passes(partials, 0)
        here = dataclasses.replace(one, excursion=dataclasses.replace(one.excursion, passes=passes))
        blocks = here.run()
        return block_values(one.excursion, blocks, here.at_means(blocks))

    straight = run(Forgetful())
    partials, num_stops = tools.partials(stop_after=1), 0
    while True:
        try:
            resumed = run(partials)
            break
        except Drained:
            num_stops += 1
            assert num_stops < 1000
            partials.progress.clear()
            one.excursion.place(np.full(4, 9.0), np.full(4 if momentum else 0, 9.0))
    assert num_stops > 200
    for quantity, values in straight.items():
        np.testing.assert_array_equal(resumed[quantity], values)


@pytest.mark.parametrize("bn_mode", ["frozen", "batch"])
def test_a_network_with_batch_norm(tiny, bn_mode):
    """Every value is a number, in the mode that was asked for."""
    context = tiny(num_train=6, batch_size=3, has_norm=True, dtype="float32")
    settings = spec(num_steps=1000, num_records=64, learning_rate=1e-3, bn_mode=bn_mode)
    rows = measure(context, settings)
    assert {row.bn_mode for row in rows} == {bn_mode}
    assert np.isfinite([row.value for row in rows]).all()


@pytest.mark.parametrize(("num_steps", "num_records"), [(1000, 64), (1001, 100), (4000, 4000)])
def test_records_are_spread_over_the_run(num_steps, num_records):
    """Blocks are of one size up to one step; each has its share of records, one in every piece of it."""
    settings = spec(num_steps=num_steps, num_records=num_records)
    legs = legs_of(settings, 0)
    assert legs[:2] == [(100, "forget"), (200, "centre")]
    ends = [leg.end for leg in legs]
    assert ends == sorted(ends)
    blocks = [leg.end for leg in legs if leg.then == "block"]
    assert len(blocks) == NUM_BLOCKS
    assert blocks[-1] == 200 + num_steps
    assert set(np.diff([200, *blocks])) <= {num_steps // NUM_BLOCKS, num_steps // NUM_BLOCKS + 1}
    records = np.array([leg.end for leg in legs if leg.then == "record"])
    assert len(records) == num_records
    pieces = np.searchsorted(blocks, records, side="right")
    assert set(np.bincount(pieces, minlength=NUM_BLOCKS)) <= {
        num_records // NUM_BLOCKS,
        -(-num_records // NUM_BLOCKS),
    }
    assert legs_of(settings, 0) == legs
    assert (legs_of(settings, 1) == legs) == (num_records == num_steps)


@pytest.mark.parametrize("num_steps", [1000, 1023, 1024])
@pytest.mark.parametrize("num_left_out", [1, 2, 16, 31])
def test_nearly_every_step_can_be_recorded(num_steps, num_left_out):
    """No block is asked for more records than it has steps, and all of them are taken, at steps of their own."""
    settings = spec(num_steps=num_steps, num_records=num_steps - num_left_out)
    legs = legs_of(settings, 0)
    records = [leg.end for leg in legs if leg.then == "record"]
    assert len(set(records)) == len(records) == settings.num_records
    blocks = [leg.end for leg in legs if leg.then == "block"]
    pieces = np.searchsorted(blocks, records, side="right")
    assert (np.bincount(pieces) <= np.diff([200, *blocks])).all()


@pytest.mark.release
@pytest.mark.slow
@pytest.mark.parametrize(("momentum", "learning_rate"), [(0.0, 0.2), (0.5, 0.1)])
def test_intervals_cover_the_exact_stationary_moments(regression, momentum, learning_rate):
    """95 % of intervals hold the exact value; for the gap also those of each half of the run."""
    context = regression(momentum=momentum, learning_rate=learning_rate)
    exact = exact_values(context)
    gap = "fluctuation_dissipation_gap"
    covered = dict.fromkeys([*((name, None) for name in exact), (gap, 0), (gap, 1)], 0)
    about = SplitRows("train", "frozen", 0.0, 0.0)
    for values in runs(context, spec(num_steps=2048, num_records=64)):
        for row in rows_of(about, values):
            covered[row.quantity, row.index] += int(holds(row, exact[row.quantity]))
    shares = {quantity: count / NUM_SEEDS for quantity, count in covered.items()}
    print(NUM_SEEDS, "seeds:", shares)
    assert not [name for name, count in covered.items() if not is_plausible(count)], shares


def runs(context, settings):
    """Give what the blocks show for each seed, all from one compiled stream."""
    one = prepared(context, settings)
    for seed in range(NUM_SEEDS):
        chosen = settings.model_copy(update={"stream_seed": seed})
        run = dataclasses.replace(one, settings=chosen)
        blocks = run.run()
        yield block_values(run.excursion, blocks, run.at_means(blocks))


def prepared(context, settings) -> TailRun:
    """Make a run ready that saves nothing."""
    excursion = Excursion.prepare(context, settings, Passes(Forgetful(), 0))
    return TailRun(settings, excursion, WatchedStream(excursion), excursion.params())


def is_plausible(count: int) -> bool:
    """Hold a full study to 93-97 %; fewer seeds must not contradict that."""
    if NUM_SEEDS >= 2000:
        return 0.93 <= count / NUM_SEEDS <= 0.97
    too_few = scipy.stats.binom.cdf(count, NUM_SEEDS, 0.93) < 1e-4
    return not too_few and scipy.stats.binom.sf(count - 1, NUM_SEEDS, 0.97) > 1e-4


class Forgetful:
    """Saves nothing, so that a run can be made again."""

    def restore(self, key):
        return None

    def advance(self, key, partial, done, total):
        pass
