"""Everything the statistics state of small trained networks, beside a dense float64 computation."""

from __future__ import annotations

import numpy as np
import pytest
from peers import peer

peer("torch")

NETWORKS = ["smooth", "normalised", "partly_trained", "residual"]
PIECEWISE_LINEAR = NETWORKS[1:]
LOSSES = ["kld", "gradlog_l2", "squared_error"]
ALL_LOSSES = [*LOSSES, "gradlog_l1"]
BOTH = ["train", "test"]


@pytest.mark.parametrize("loss", ALL_LOSSES)
@pytest.mark.parametrize("network", NETWORKS)
def test_losses(subject, ledger, network, loss):
    """Mean loss of both objectives and accuracy, of both splits."""
    from workers.statistics import losses
    from workers.statistics.losses import LossesSpec

    case = subject(network, loss)
    rows = losses.measure(case.context, LossesSpec())
    assert len(rows) == 2 * 3
    ledger.check(case.compare(rows, "losses"))


@pytest.mark.parametrize("loss", ALL_LOSSES)
@pytest.mark.parametrize("network", PIECEWISE_LINEAR)
def test_traces_with_all_columns(subject, ledger, network, loss):
    """Both traces and both norms of every layer, exactly."""
    from workers.statistics import traces
    from workers.statistics.traces import TracesSpec

    case = subject(network, loss)
    rows = traces.measure(case.context, TracesSpec(columns="exact", splits=BOTH))
    assert all(row.stderr == 0 for row in rows)
    ledger.check(case.compare(rows, "traces"))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("network", NETWORKS)
def test_traces_with_one_column(subject, ledger, network, loss):
    """The same with tr H by random columns, or by products where activations are smooth."""
    from workers.statistics import traces
    from workers.statistics.traces import TracesSpec

    case = subject(network, loss)
    rows = traces.measure(case.context, TracesSpec(splits=BOTH, probe_seed=3))
    assert any(row.stderr > 0 for row in rows)
    ledger.check(case.compare(rows, "traces"))


@pytest.mark.parametrize(
    "options",
    [{"objective": "data", "num_eigenpairs": 0}, {"objective": "total", "num_eigenpairs": 4}],
    ids=["probes_alone", "total_with_eigenpairs"],
)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("network", NETWORKS)
def test_hessian(subject, ledger, network, loss, options):
    """Both traces of every layer, and each eigenvalue within the distance that is stated."""
    from workers.statistics import hessian
    from workers.statistics.hessian import HessianSpec

    case = subject(network, loss)
    seed = 4 + options["num_eigenpairs"]
    settings = HessianSpec(max_lanczos_steps=40, splits=BOTH, probe_seed=seed, **options)
    rows = hessian.measure(case.context, settings)
    ledger.check(case.compare(rows, "hessian"))
    ledger.check(compare_eigenvalues(case, rows, "hessian"))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("network", NETWORKS)
def test_noise_curvature(subject, ledger, network, loss):
    """tr(σ²H), ∇LᵀH∇L and both noise scales, of both objectives and splits."""
    from workers.statistics import noise_curvature
    from workers.statistics.noise_curvature import NoiseCurvatureSpec

    case = subject(network, loss)
    settings = NoiseCurvatureSpec(splits=BOTH, probe_seed=9)
    ledger.check(case.compare(noise_curvature.measure(case.context, settings), "noise_curvature"))


def test_population_statistics_of_many_batches(subject, ledger):
    """Batch norms are frozen at what they read over all images, more than go through at once."""
    from workers.statistics import losses, noise_curvature
    from workers.statistics.losses import LossesSpec
    from workers.statistics.noise_curvature import NoiseCurvatureSpec

    case = subject("normalised", "kld", num_train=600)
    ledger.check(case.compare(losses.measure(case.context, LossesSpec()), "losses"))
    settings = NoiseCurvatureSpec(probe_seed=15)
    ledger.check(case.compare(noise_curvature.measure(case.context, settings), "noise_curvature"))


@pytest.mark.parametrize(
    ("loss", "objective"), [("kld", "total"), ("gradlog_l2", "data"), ("squared_error", "total")]
)
@pytest.mark.parametrize("network", NETWORKS)
def test_spectrum(subject, ledger, network, loss, objective):
    """Moments of both measures, up to the highest that the nodes give exactly."""
    from workers.statistics import spectrum
    from workers.statistics.spectrum import SpectrumSpec

    case = subject(network, loss)
    settings = SpectrumSpec(num_steps=3, num_draws=64, objective=objective, probe_seed=11)
    found = spectrum.measure(case.context, settings)
    rows = [each for each in found if hasattr(each, "quantity")]
    ledger.check(case.compare(rows, "spectrum"))
    nodes = [each for each in found if not hasattr(each, "quantity")]
    ledger.check(compare_moments(case, nodes, objective))


@pytest.mark.parametrize(
    ("network", "loss"),
    [("smooth", "gradlog_l2"), ("partly_trained", "kld"), ("residual", "squared_error")],
)
def test_batch_noise_of_losses_that_add_up(subject, ledger, network, loss):
    """Without batch norm the noise of batches is tr σ² at every size, exactly in the mean."""
    case = subject(network, loss)
    ledger.check(case.compare(measure_batch_noise(case), "batch_noise"))


@pytest.mark.parametrize("loss", ["kld", "gradlog_l2"])
def test_batch_noise_with_batch_norm(subject, ledger, loss):
    """With it, beside 16 times as many draws of float64, both errors counted."""
    case = subject("normalised", loss)
    rows = measure_batch_noise(case)
    ledger.check(compare_batches(case, rows))


@pytest.mark.parametrize("network", NETWORKS)
def test_fork_along_directions(subject, ledger, network):
    """uᵀσ²u along the three steepest directions, and their eigenvalues."""
    from workers.statistics import fork
    from workers.statistics.fork import ForkSpec

    case = subject(network, "kld")
    settings = ForkSpec(
        learning_rate=0.01, num_directions=3, num_streams=32, num_steps=2, num_windows=1
    )
    rows = fork.measure(case.context, settings)
    ledger.check(compare_eigenvalues(case, rows, "fork"))
    reference = case.reference("train")
    _, vectors = reference.eigenvectors(case.decay("total"))
    ledger.check(
        case.comparison(
            row, "fork", float(vectors[row.index] @ reference.noise @ vectors[row.index])
        )
        for row in rows
        if row.quantity == "direction_noise"
    )


def test_comparisons_are_many_and_errors_are_what_they_say(ledger):
    """Over all of them z² is 1 in the mean."""
    z_squared = np.square([each.z for each in ledger.estimates])
    largest = max(each.relative for each in ledger.exact)
    print(f"{len(ledger.exact)} exact values, the largest difference {largest:.1e}")
    print(
        f"{len(z_squared)} estimates, mean z² {z_squared.mean():.2f}, largest |z| {z_squared.max() ** 0.5:.1f}"
    )
    assert len(ledger.entries) >= 1500
    assert 0.7 < z_squared.mean() < 1.4


def measure_batch_noise(case):
    from workers.statistics import batch_noise
    from workers.statistics.batch_noise import BatchNoiseSpec

    settings = BatchNoiseSpec(multiples=[1, 3], probe_seed=13)
    return batch_noise.measure(case.context, settings)


def compare_eigenvalues(case, rows, statistic):
    """Each within its residual norm of the dense eigenvalue of its place."""
    found = {(row.quantity, row.split, row.index): row for row in rows}
    for (quantity, split, index), row in found.items():
        if quantity == "hessian_top_eigenvalue":
            values, _ = case.reference(split).eigenvectors(case.decay(row.objective))
            residual = found["hessian_residual_norm", split, index].value
            yield case.comparison(
                row, statistic, float(values[index]), scale=abs(values[0]), margin=residual
            )


def compare_moments(case, nodes, objective):
    """Σ ω λ^k of higher degrees k than any quantity needs, over draws."""
    from dense.comparisons import Comparison

    reference, decay = case.reference("train"), case.decay(objective)
    weighted = {"hessian": np.eye(len(reference.params)), "noise": reference.noise}
    for kind, degrees in {"hessian": (3, 4, 5), "noise": (2, 3, 4, 5)}.items():
        for degree in degrees:
            moments = np.zeros(1 + max(node.draw for node in nodes))
            for node in nodes:
                if node.kind == kind:
                    moments[node.draw] += node.weight * node.node**degree
            stderr = moments.std(ddof=1) / np.sqrt(len(moments))
            expected = np.trace(weighted[kind] @ reference.power(degree, decay))
            what = (kind, f"moment {degree}", None, objective, "train", "lanczos_quadrature")
            label = f"{case.name} {case.context.trial.loss}"
            yield Comparison(label, "spectrum", what, moments.mean(), stderr, float(expected))


def compare_batches(case, rows):
    from dense.batches import BatchReference
    from dense.subjects import BATCH_SIZE

    function = case.in_training
    targets = case.context.dataset.train.targets
    draws = BatchReference(function, case.images("train"), targets, num_draws=2048, seed=17)
    noise = {size: draws.noise(size) for size in (BATCH_SIZE, 3 * BATCH_SIZE)}
    curvature = draws.curvature(BATCH_SIZE)
    params, is_decayed = function.params.numpy(), function.is_decayed
    for row in rows:
        size, decay = int(row.method.rpartition("_")[2]), case.decay(row.objective)
        decayed = decay * is_decayed * params
        shares = {
            "hessian_trace": curvature + decay * is_decayed,
            "gradient_noise_trace": noise[size]["gradient_noise_trace"],
            "gradient_norm_squared": noise[size]["gradient_norm_squared"]
            + decayed * noise[size]["sum_of_gradients"]
            + decayed**2,
        }[row.quantity]
        values = shares[:, (function.layers == row.layer) | (row.layer is None)].sum(axis=1)
        stderr = values.std(ddof=1) / np.sqrt(len(values))
        yield case.comparison(row, "batch_noise", values.mean(), expected_stderr=stderr)
