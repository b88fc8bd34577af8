"""`noise_curvature` against a dense float64 reference; its probes, one by one; stopping and resuming."""

from __future__ import annotations

import numpy as np
import pytest

from workers.contract.errors import Drained
from workers.network.batch_norm import copy_network
from workers.network.resident import make_resident
from workers.network.risk import Risk
from workers.per_example.compiled import CompiledNorms
from workers.per_example.dissection import dissect
from workers.per_example.vectors import CompiledVectors
from workers.resumable.passes import Passes
from workers.statistics import noise_curvature
from workers.statistics.measuring.groups import Groups
from workers.statistics.noise.noise_probes import NoiseProbes, compile_shares
from workers.statistics.noise_curvature import NoiseCurvatureSpec
from workers.statistics.norms.example_norms import measure_norms

SETTINGS = NoiseCurvatureSpec(num_probes=64, bn_mode="moving_average")
EXACT = ("gradient_noise_trace", "gradient_norm_squared", "gradient_curvature")
RELATIVE = 1e-5
"""Float32 networks against float64: roundings of 10⁻⁷ over some hundred operations."""


def make_probes(case, tools, probe_seed=0):
    """Make the probes of a case's training set at its own moving statistics."""
    network = copy_network(case.model)
    dissection = dissect(network)
    loss, groups = case.context.loss, Groups(dissection.parameters)
    train = make_resident(case.dataset.train, case.dataset)
    passes = Passes(tools.partials(), len(train))
    norms = measure_norms("train", CompiledNorms(dissection, loss, 1), train, passes, probe_seed)
    risk = Risk(network, loss, groups.variables)
    vectors = CompiledVectors(dissection, loss)
    return NoiseProbes(norms, vectors, risk, groups, train, compile_shares(groups), probe_seed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "activation"),
    [("kld", "relu"), ("kld", "tanh"), ("squared_error", "relu"), ("gradlog_l2", "relu")],
)
def test_probes_are_unbiased_for_every_layer(loss, activation, tools):
    """Over 300 probes each mean is within 4.5 of its errors; with tanh the residual part is not small."""
    case = tools.make_case(loss, activation=activation)
    probes, reference = make_probes(case, tools), tools.dense_reference(case)
    values = np.array([probes.measure(number) for number in range(300)])
    truth = [reference.value("hessian_noise_trace", layer) for layer in probes.groups.names]
    stderr = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    assert (np.abs(values.mean(axis=0) - truth) < 4.5 * stderr + RELATIVE * np.abs(truth)).all()
    assert stderr[0] < 0.15 * abs(truth[0])


def test_a_probe_depends_on_its_seed_and_number_alone(tools):
    """Not on what was measured before it."""
    case = tools.make_case("kld")
    first, second = make_probes(case, tools), make_probes(case, tools)
    expected = [first.measure(number) for number in range(3)]
    np.testing.assert_array_equal(second.measure(2), expected[2])
    assert (expected[0] != expected[1]).all()
    assert (make_probes(case, tools, probe_seed=1).measure(0) != expected[0]).any()


def test_layers_add_up_to_the_whole(tools):
    """In every probe: a layer's value is its share of the whole."""
    found = make_probes(tools.make_case("kld"), tools).measure(0)
    assert found[1:].sum() == pytest.approx(found[0], rel=1e-12)


@pytest.mark.parametrize("split", ["train", "test"])
def test_exact_quantities_are_exact(split, tools):
    """Both objectives, whole model and every layer; their errors are 0."""
    case = tools.make_case("kld")
    settings = SETTINGS.model_copy(update={"splits": [split]})
    rows = noise_curvature.measure(case.context, settings)
    reference = tools.dense_reference(case, split)
    exact = [row for row in rows if row.quantity in EXACT]
    assert len(exact) == 3 * 2 * 11
    for row in exact:
        decay = tools.weight_decay if row.objective == "total" else 0.0
        expected = reference.value(row.quantity, row.layer, decay)
        scale = abs(reference.value(row.quantity, None, decay))
        assert row.value == pytest.approx(expected, rel=RELATIVE, abs=RELATIVE * scale)
        assert row.stderr == 0
        assert row.num_samples == len(getattr(case.dataset, split))


def test_the_total_objective_adds_the_decayed_noise(tools):
    """tr(σ²(H + λD)) = tr(σ²H) + λ tr(σ²D), with the same error."""
    case = tools.make_case("kld")
    rows = noise_curvature.measure(case.context, SETTINGS)
    reference = tools.dense_reference(case)
    found = {
        (row.objective, row.layer): row for row in rows if row.quantity == "hessian_noise_trace"
    }
    for layer in {layer for _, layer in found}:
        data, total = found["data", layer], found["total", layer]
        added = reference.value("hessian_noise_trace", layer, tools.weight_decay)
        added -= reference.value("hessian_noise_trace", layer)
        assert total.value - data.value == pytest.approx(added, rel=RELATIVE, abs=1e-8)
        assert total.stderr == data.stderr
        assert total.num_samples == data.num_samples == 64


def test_noise_scales_are_ratios_with_their_errors(tools):
    """B_simple is exact; B_noise has the relative error of tr(σ²H)."""
    rows = noise_curvature.measure(tools.make_case("kld").context, SETTINGS)
    found = {
        name: tools.whole_model(rows, name, "total") for name in (*EXACT, "hessian_noise_trace")
    }
    simple, scale = (
        tools.whole_model(rows, name, "total") for name in ("simple_noise_scale", "noise_scale")
    )
    noise = found["hessian_noise_trace"]
    curvature = found["gradient_curvature"].value
    ratio = found["gradient_noise_trace"].value / found["gradient_norm_squared"].value
    assert simple.value == pytest.approx(ratio)
    assert simple.stderr == 0
    assert scale.value == pytest.approx(noise.value / curvature)
    assert scale.stderr == pytest.approx(noise.stderr / abs(curvature))


@pytest.mark.parametrize("stop_after", [1, 2, 3, 4, 20, 35])
def test_a_stopped_measurement_goes_on_to_the_same_bits(stop_after, tools):
    """Stopped in the pass of batch norm, of norms, in a product, or between probes."""
    settings = NoiseCurvatureSpec(num_probes=64)
    expected = noise_curvature.measure(tools.make_case("kld").context, settings)
    case = tools.make_case("kld")
    case.partials.stop_after = stop_after
    with pytest.raises(Drained):
        noise_curvature.measure(case.context, settings)
    case.partials.stop_after = None
    found = noise_curvature.measure(case.context, settings)
    assert [row.value for row in found] == [row.value for row in expected]
    assert [row.stderr for row in found] == [row.stderr for row in expected]


def test_probes_are_taken_until_the_interval_is_narrow(tools):
    """Not one look more than needed, and never more than allowed."""
    rows = noise_curvature.measure(
        tools.make_case("kld").context,
        NoiseCurvatureSpec(num_probes=64, until=0.05, max_probes=2000),
    )
    noise = tools.whole_model(rows, "hessian_noise_trace")
    assert 64 < noise.num_samples < 2000
    assert 1.9 * noise.stderr < 0.05 * noise.value
    few = NoiseCurvatureSpec(num_probes=64, until=1e-6, max_probes=80)
    rows = noise_curvature.measure(tools.make_case("kld").context, few)
    assert tools.whole_model(rows, "hessian_noise_trace").num_samples == 80
