"""Hessian-vector products and the largest eigenvalues, beside curvlinops and PyHessian."""

from __future__ import annotations

import numpy as np
import pytest
from peers import peer
from scipy.sparse.linalg import LinearOperator, eigsh

torch = peer("torch")
curvlinops = peer("curvlinops")

NUM_EIGENVALUES = 5


def torch_losses():
    """The project's losses of outputs and labels, averaged over a batch, in PyTorch's words."""
    functional = torch.nn.functional

    class Named(torch.nn.Module):
        reduction = "mean"

        def __init__(self, per_example):
            super().__init__()
            self.per_example = per_example

        def forward(self, outputs, labels):
            targets = functional.one_hot(labels, outputs.shape[-1]).to(outputs.dtype)
            return self.per_example(outputs, targets).mean()

    def error(outputs, targets):
        return torch.softmax(outputs, -1) - targets

    return {
        "kld": torch.nn.CrossEntropyLoss(),
        "gradlog_l1": Named(lambda z, y: error(z, y).abs().sum(-1)),
        "gradlog_l2": Named(lambda z, y: error(z, y).square().sum(-1)),
        "squared_error": Named(lambda z, y: (z - y).square().sum(-1) / 2),
    }


def peer_operator(case):
    """The peer's Hessian of the mean loss over the case's batches."""
    params = list(case.twin.parameters())
    loss = torch_losses()[case.loss_name]
    data = case.torch_data()
    return curvlinops.HessianLinearOperator(case.twin, loss, params, data)


def flat(named, network):
    """Join arrays by name into a vector [P] in the order of the peer."""
    return np.concatenate([named[name].ravel() for name, _ in network.named_parameters()])


def products(case, seed=0):
    """Multiply one random v with both Hessians; both answers in the order of the peer."""
    from workers.network.risk import Risk

    risk = Risk(case.model, case.loss)
    variables, by_name = case.model.trainable_variables, case.torch_twin.by_name
    vector = np.random.default_rng(seed).normal(size=risk.num_params)
    product = risk.hessian_vector_product(case.batches(), vector)
    dtype = getattr(torch, case.model.dtype)
    direction = torch.tensor(flat(by_name(variables, vector), case.twin), dtype=dtype)
    ours = flat(by_name(variables, product), case.twin)
    return ours, (peer_operator(case) @ direction).numpy()


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("float64", 1e-9)])
@pytest.mark.parametrize("kind", ["mlp", "he2015", "keras_example"])
def test_products_agree(make_case, kind, dtype, tolerance):
    """‖Hv - Hv'‖ is a fraction of ‖Hv‖; the last batch is smaller and counts by its size."""
    ours, theirs = products(make_case(kind, dtype=dtype))
    difference = np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)
    print(f"Hv, {kind}, {dtype}: {difference:.1e}")
    assert difference < tolerance


@pytest.mark.parametrize("loss", ["gradlog_l1", "gradlog_l2", "squared_error"])
def test_products_agree_for_every_loss(make_case, loss):
    """The losses' second derivatives are those of the peer's own formulas."""
    ours, theirs = products(make_case("keras_example", dtype="float64", loss=loss, num_examples=8))
    difference = np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)
    print(f"Hv, {loss}: {difference:.1e}")
    assert difference < 1e-9


def our_largest_eigenvalues(case):
    from workers.network.risk import Risk

    risk, batches = Risk(case.model, case.loss), case.batches()
    operator = LinearOperator(
        (risk.num_params, risk.num_params),
        matvec=lambda vector: risk.hessian_vector_product(batches, vector.ravel()),
        dtype=np.float64,
    )
    return largest_eigenvalues(operator)


def largest_eigenvalues(operator):
    start = np.random.default_rng(1).normal(size=operator.shape[0])
    found = eigsh(operator, k=NUM_EIGENVALUES, which="LA", v0=start, tol=1e-5, ncv=20)
    return np.sort(found[0])[::-1]


def test_the_largest_eigenvalues_agree(make_case):
    """The five largest, by SciPy's Lanczos on our products and on the peer's."""
    case = make_case("he2015", num_examples=10)
    ours = our_largest_eigenvalues(case)
    theirs = largest_eigenvalues(peer_operator(case).to_scipy())
    print(f"eigenvalues {ours}, {np.abs(ours / theirs - 1).max():.1e}")
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    assert ours[-1] > 0


def test_the_statistics_eigenvalues_are_those_of_the_peer(make_case):
    """Five by `hessian`, each within its residual norm of the peer's products' by SciPy, and float32's rounding.

    Its tr H, which the same Lanczos space and 64 probes beside it give, is within four of its errors of
    the exact trace by first derivatives.
    """
    from workers.statistics import hessian, traces
    from workers.statistics.hessian import HessianSpec
    from workers.statistics.traces import TracesSpec

    case = make_case("he2015", num_examples=10)
    settings = HessianSpec(
        num_eigenpairs=NUM_EIGENVALUES, eigenvalue_tolerance=1e-4, bn_mode="moving_average"
    )
    rows = hessian.measure(case.context, settings)
    ours, residuals = (
        np.array([row.value for row in rows if row.quantity == quantity])
        for quantity in ("hessian_top_eigenvalue", "hessian_residual_norm")
    )
    theirs = largest_eigenvalues(peer_operator(case).to_scipy())
    print(f"hessian: eigenvalues {ours}, {np.abs(ours / theirs - 1).max():.1e}")
    assert (residuals <= 1e-4 * ours[0]).all()
    assert (np.abs(ours - theirs) <= residuals + 1e-5 * theirs[0]).all()
    [trace] = [row for row in rows if (row.quantity, row.layer) == ("hessian_trace", None)]
    [exact] = [
        row.value
        for row in traces.measure(
            case.context, TracesSpec(columns="exact", bn_mode="moving_average")
        )
        if (row.quantity, row.layer, row.objective) == ("hessian_trace", None, "data")
    ]
    print(f"hessian: tr H {trace.value:.5g} ± {trace.stderr:.2g}, exactly {exact:.5g}")
    assert abs(trace.value - exact) < 4 * trace.stderr
