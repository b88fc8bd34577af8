"""`spectrum` against dense float64 matrices: exact sums of each draw, moments, errors, restarts."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest

from workers.contract.errors import Drained
from workers.contract.records import Measurement, SpectrumNode
from workers.network.resident import make_resident
from workers.network.risk import Risk
from workers.resumable.passes import Passes
from workers.statistics.measuring.groups import groups_of
from workers.statistics.noise.noise_vectors import NoiseVectors
from workers.statistics.spectrum import SpectrumSpec, measure

NUM_PARAMS = 313
"""Of the case's network."""


def fast(**settings):
    """Take few steps, at the moving averages the twin holds."""
    chosen = {"num_steps": 12, "num_draws": 3, "bn_mode": "moving_average"}
    return SpectrumSpec(**chosen | settings)


def split_rows(found):
    """Give the nodes by (kind, draw) as arrays [2, M], and the values by quantity."""
    nodes = [row for row in found if isinstance(row, SpectrumNode)]
    spectra = {
        key: np.array([(n.node, n.weight) for n in nodes if (n.kind, n.draw) == key]).T
        for key in dict.fromkeys((n.kind, n.draw) for n in nodes)
    }
    return spectra, {row.quantity: row for row in found if isinstance(row, Measurement)}


@pytest.fixture(scope="module")
def smooth(tools):
    """A smooth network and its dense reference."""
    case = tools.make_case("kld", activation="tanh")
    return case, tools.dense_reference(case)


@pytest.fixture
def case(smooth, tools):
    return dataclasses.replace(smooth[0], partials=tools.partials())


@pytest.fixture
def noise_vectors(case, tools):
    """Make the drawer of noise vectors of a seed, saving nothing that another seed would find."""
    network = case.model
    variables = [each.variable for each in groups_of(network).parameters]
    risk = Risk(network, case.context.loss, variables)
    train = make_resident(case.dataset.train, case.dataset)
    return lambda seed: NoiseVectors(risk, train, seed, Passes(tools.partials(), 24))


def test_noise_vectors_have_the_covariance_of_the_noise(noise_vectors, smooth):
    """Over 300 draws E‖w‖² and E⟨w, a⟩² are tr σ² and aᵀσ²a, within 4 errors; E w = 0.

    The draws share the gradients of the dense reference, whose parameters are in another order
    only where a layer's are, so a is constant over each layer.
    """
    gradients = smooth[1].gradients
    centred = gradients - gradients.mean(axis=0)
    vectors = noise_vectors(0)
    drawn = np.array([vectors.draw(number) for number in range(300)])
    squared = np.square(drawn).sum(axis=1)
    expected = np.square(centred).sum() / 24
    assert abs(squared.mean() - expected) < 4 * squared.std() / np.sqrt(300)
    along = drawn.sum(axis=1)
    expected = np.square(centred.sum(axis=1)).sum() / 24
    assert abs(np.square(along).mean() - expected) < 4 * np.square(along).std() / np.sqrt(300)
    assert abs(along.mean()) < 4 * along.std() / np.sqrt(300)


def test_a_noise_vector_is_a_signed_sum_of_centred_gradients(noise_vectors, smooth):
    """One draw lies in the span of g_i - ḡ with coefficients ±1/√N up to a common shift."""
    gradients = smooth[1].gradients
    layer_sums = np.array(
        [
            gradients[:, [each == layer for each in smooth[1].layers]].sum(axis=1)
            for layer in dict.fromkeys(smooth[1].layers)
        ]
    )
    vectors = noise_vectors(7)
    groups = groups_of(smooth[0].model)
    sizes = [each.values.size for each in groups.parameters]
    layers = np.repeat([each.layer for each in groups.parameters], sizes)
    from workers.numerics.estimators import rademacher_signs
    from workers.statistics.noise import noise_vectors as module

    signs = rademacher_signs(7, module._SIGNS + 5, np.arange(24), ()).astype(float)
    centred = layer_sums - layer_sums.mean(axis=1, keepdims=True)
    expected = centred @ signs / np.sqrt(24)
    drawn = vectors.draw(5)
    found = [drawn[layers == layer].sum() for layer in dict.fromkeys(smooth[1].layers)]
    np.testing.assert_allclose(found, expected, atol=2e-6 * np.abs(expected).max())


def test_every_draw_holds_the_mass_of_its_start(case):
    """Σ ω = P for a Rademacher start; all weights of a noise start sum to the mean's part, ‖w‖²."""
    spectra, rows = split_rows(measure(case.context, fast()))
    assert set(spectra) == {(kind, draw) for kind in ("hessian", "noise") for draw in range(3)}
    for (kind, _), (nodes, weights) in spectra.items():
        assert len(nodes) == 12
        assert (weights >= 0).all()
        assert (np.diff(nodes) > 0).all()
        if kind == "hessian":
            assert weights.sum() == pytest.approx(NUM_PARAMS, rel=1e-12)
    masses = [weights.sum() for (kind, _), (_, weights) in spectra.items() if kind == "noise"]
    assert rows["gradient_noise_trace"].value == pytest.approx(np.mean(masses), rel=1e-14)


def test_rows_are_the_mean_moments_of_the_nodes(case):
    """Each quantity is the mean over draws of its moment; three draws are too few for an error."""
    spectra, rows = split_rows(measure(case.context, fast()))
    degrees = {
        "hessian_trace": ("hessian", 1),
        "hessian_frobenius_squared": ("hessian", 2),
        "gradient_noise_trace": ("noise", 0),
        "hessian_noise_trace": ("noise", 1),
    }
    assert set(rows) == set(degrees)
    for quantity, (kind, degree) in degrees.items():
        moments = [w @ n**degree for (which, _), (n, w) in spectra.items() if which == kind]
        assert rows[quantity].value == pytest.approx(np.mean(moments), rel=1e-12)
        assert rows[quantity].stderr is None
        assert rows[quantity].num_samples == 3
        assert rows[quantity].method == "lanczos_quadrature"


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["data", "total"])
def test_moments_agree_with_dense_matrices_within_their_errors(case, smooth, tools, objective):
    """From 64 draws, within 4 stated errors; decay shifts H alone and leaves σ² as it is."""
    settings = fast(num_draws=64, num_steps=3, objective=objective)
    _, rows = split_rows(measure(case.context, settings))
    hessian = smooth[1].total_hessian(tools.weight_decay if objective == "total" else 0.0)
    gradients = smooth[1].gradients
    noise = np.cov(gradients, rowvar=False, ddof=0)
    expected = {
        "hessian_trace": np.trace(hessian),
        "hessian_frobenius_squared": np.square(hessian).sum(),
        "gradient_noise_trace": np.trace(noise),
        "hessian_noise_trace": np.sum(noise * hessian),
    }
    for quantity, value in expected.items():
        row = rows[quantity]
        assert abs(row.value - value) < 4 * row.stderr + 1e-6 * abs(value)
        assert row.stderr > 0
        assert row.objective == objective


def test_all_steps_give_the_whole_spectrum(tools):
    """With as many steps as parameters every node is an eigenvalue, and every moment exact."""
    case = dataclasses.replace(tools.make_case("squared_error"), model=linear_network())
    settings = fast(num_steps=1000, num_draws=1, kinds=["hessian"])
    spectra, rows = split_rows(measure(case.context, settings))
    nodes, weights = spectra["hessian", 0]
    pixels = np.asarray(case.inputs()).reshape(24, -1)
    features = np.concatenate([pixels, np.ones((24, 1))], axis=1)
    one_output = np.linalg.eigvalsh(features.T @ features / 24)
    rounding = 1e-6 * one_output[-1]
    massive = nodes[weights > 1e-6]
    assert all(np.abs(one_output - node).min() < 10 * rounding for node in massive)
    assert weights.sum() == pytest.approx(3 * 73, rel=1e-12)
    assert rows["hessian_trace"].value == pytest.approx(weights @ nodes)


def linear_network():
    """Build a linear network, whose Hessian is XᵀX/N for every output."""
    inputs = keras.Input((6, 6, 2))
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(inputs)))


def test_a_network_without_noise_has_an_empty_measure(tools):
    """One example: σ² = 0, and every weight of the kind `noise` is 0."""
    case = tools.make_case("squared_error", num_train=1)
    case.model = linear_network()
    spectra, rows = split_rows(measure(case.context, fast(kinds=["noise"], num_draws=2)))
    assert {weights.sum() for _, weights in spectra.values()} == {0.0}
    assert rows["hessian_noise_trace"].value == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("stop_after", [7, 41, 100])
def test_stops_leave_no_trace(tools, monkeypatch, stop_after):
    """Stopped again and again, between and within products, draws and noise vectors."""
    for module in (
        "workers.statistics.measuring.curvature.PRODUCTS_BATCH_SIZE",
        "workers.statistics.noise.noise_vectors.GRADIENTS_BATCH_SIZE",
        "workers.network.batch_norm._BATCH_SIZE",
    ):
        monkeypatch.setattr(module, 9)
    settings = fast(num_steps=6, bn_mode="frozen")
    case = dataclasses.replace(tools.make_case("kld"), model=linear_network())
    undisturbed, progress = measure(case.context, settings), case.partials.progress
    assert progress[-1][0] == progress[-1][1] == 24 * (2 * 3 * 6 + 4)
    saved, num_stops = {}, 0
    while True:
        case.partials = tools.partials(stop_after=stop_after, saved=saved)
        try:
            found = measure(case.context, settings)
        except Drained:
            num_stops += 1
            assert num_stops < 1000
            continue
        break
    assert num_stops >= 150 // stop_after
    for one, other in zip(found, undisturbed, strict=True):
        assert without_time(one) == without_time(other)


def without_time(row):
    return row.model_dump(exclude={"wall_seconds"})


def test_a_subset_changes_the_hessian_and_not_the_noise(case):
    """The noise vectors are of the whole split; costs count the subset's share of each product."""
    _, whole = split_rows(measure(case.context, fast()))
    case.partials.saved.clear()
    _, subset = split_rows(measure(case.context, fast(num_examples=12)))
    assert subset["gradient_noise_trace"].value == pytest.approx(
        whole["gradient_noise_trace"].value, rel=1e-12
    )
    assert subset["hessian_trace"].value != pytest.approx(whole["hessian_trace"].value, rel=1e-3)
    assert subset["hessian_trace"].method == "lanczos_quadrature_of_12_examples"
    assert whole["hessian_trace"].cost_gradients == pytest.approx(3 * 2 * 3 * 12 + 4)
    assert subset["hessian_trace"].cost_gradients == pytest.approx(3 * 2 * 3 * 12 / 2 + 4)
