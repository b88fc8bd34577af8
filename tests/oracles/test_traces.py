"""The statistic `traces` with exact columns, layer by layer, beside BackPACK, nngeometry and torch.func.

For cross-entropy of a softmax the Fisher matrix is the generalised Gauss-Newton matrix, and for
networks that are piecewise linear in each layer's parameters its trace is tr H.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from peers import peer

torch = peer("torch")
backpack = peer("backpack")
peer("nngeometry")

KINDS = ["mlp", "he2015", "keras_example"]


def measured(case, quantity):
    """Values of our statistic by layer, None for the whole network, and their method."""
    from workers.statistics.traces import TracesSpec, measure

    rows = measure(case.context, TracesSpec(columns="exact", bn_mode="moving_average"))
    chosen = [row for row in rows if row.quantity == quantity and row.objective == "data"]
    assert all(row.stderr == 0 for row in chosen)
    return {row.layer: row.value for row in chosen}


def by_layer(case, of_parameters):
    """Add values of parameters up to layers, and to the whole network under None."""
    sums = defaultdict(float)
    for name, value in of_parameters.items():
        sums[case.torch_twin.layer_of(name)] += float(value)
        sums[None] += float(value)
    return dict(sums)


def assert_agree(ours, theirs, tolerance, what):
    assert ours.keys() == theirs.keys()
    differences = {layer: abs(ours[layer] / theirs[layer] - 1) for layer in ours}
    print(f"{what}: {max(differences.values()):.1e} over {len(ours) - 1} layers")
    assert max(differences.values()) < tolerance, differences
    assert min(theirs.values()) > 0


def diagonal_of_gauss_newton(case):
    from backpack_twin import diagonal_sums, with_graph_extended

    return diagonal_sums(with_graph_extended(case.twin), case.torch_data())


@pytest.mark.parametrize("kind", KINDS)
def test_the_hessian_trace_is_the_exact_gauss_newton_diagonal(make_case, kind):
    """Every layer has the same tr H: kernels, biases, γ and β."""
    case = make_case(kind)
    ours = measured(case, "hessian_trace")
    theirs = by_layer(case, diagonal_of_gauss_newton(case))
    assert_agree(ours, theirs, 1e-4, f"tr H beside BackPACK's diagonal, {kind}")


def test_the_traces_agree_on_real_images(make_case, cifar10_pixels):
    """64 images of CIFAR-10: tr H beside BackPACK, tr σ² beside single gradients."""
    pixels, labels = cifar10_pixels
    case = replace(make_case("he2015"), pixels=pixels, labels=labels)
    theirs = by_layer(case, noise_of_single_gradients(case))
    assert_agree(measured(case, "gradient_noise_trace"), theirs, 1e-4, "tr σ² on CIFAR-10")
    theirs = by_layer(case, diagonal_of_gauss_newton(case))
    assert_agree(measured(case, "hessian_trace"), theirs, 1e-4, "tr H on CIFAR-10")


@pytest.mark.parametrize("kind", KINDS)
def test_the_hessian_trace_is_that_of_the_fisher_matrix(make_case, kind):
    """Of the whole network, from nngeometry's diagonal Fisher matrix in closed form."""
    from nngeometry.metrics import FIM
    from nngeometry.object import PMatDiag

    case = make_case(kind, num_examples=12)
    data = torch.utils.data.TensorDataset(*case.torch_data(len(case.labels))[0])
    loader = torch.utils.data.DataLoader(data, batch_size=6)
    theirs = FIM(case.twin, loader, PMatDiag, variant="classif_logits").trace().item()
    ours = measured(case, "hessian_trace")[None]
    print(f"tr H beside nngeometry, {kind}: {abs(ours / theirs - 1):.1e}")
    assert ours == pytest.approx(theirs, rel=1e-4)


def single_gradients(case):
    """∇ℓ_i of every example, by name [N, …]."""
    params = {name: param.detach() for name, param in case.twin.named_parameters()}

    def loss(params, x, y):
        outputs = torch.func.functional_call(case.twin, params, (x[None],))
        return torch.nn.functional.cross_entropy(outputs, y[None])

    [(x, y)] = case.torch_data(len(case.labels))
    gradients = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(params, x, y)
    return {name: each.numpy().astype(np.float64) for name, each in gradients.items()}


def noise_of_single_gradients(case):
    """(1/N) Σ ‖g_i - ḡ‖² of each parameter."""
    return {
        name: np.square(each - each.mean(axis=0)).sum() / len(each)
        for name, each in single_gradients(case).items()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_the_noise_trace_is_the_spread_of_single_gradients(make_case, kind):
    """Every layer has the same tr σ²: centred, divided by N."""
    case = make_case(kind)
    theirs = by_layer(case, noise_of_single_gradients(case))
    ours = measured(case, "gradient_noise_trace")
    assert_agree(ours, theirs, 1e-4, f"tr σ² beside torch.func, {kind}")


@pytest.mark.parametrize("kind", KINDS)
def test_every_example_has_the_norm_that_backpack_finds(make_case, kind):
    """‖∂ℓ_b/∂θ_w‖² of each example and parameter tensor, beside BatchL2Grad."""
    from backpack.extensions import BatchL2Grad
    from backpack_twin import with_leaves_extended

    from workers.per_example.compiled import CompiledNorms
    from workers.per_example.dissection import dissect

    case = make_case(kind)
    dissection = dissect(case.model)
    norms = CompiledNorms(dissection, case.loss, num_columns=0)
    signs = [np.zeros((len(x), *norms.signs_shape), np.float32) for x, _ in case.batches()]
    found = [norms(x, y, each) for (x, y), each in zip(case.batches(), signs, strict=True)]
    names = [case.torch_twin.torch_name(each.variable) for each in dissection.parameters]
    ours = np.concatenate([each.gradient_norms for each in found])

    network = with_leaves_extended(case.twin)
    loss = backpack.extend(torch.nn.CrossEntropyLoss(reduction="sum"))
    theirs = []
    for x, y in case.torch_data():
        with backpack.backpack(BatchL2Grad()):
            loss(network(x.detach().requires_grad_()), y).backward()
        params = dict(network.named_parameters())
        theirs.append(torch.stack([params[name].batch_l2 for name in names], dim=1).numpy())
    differences = np.abs(ours / np.concatenate(theirs) - 1)
    print(f"‖g_i‖² beside BackPACK, {kind}: {differences.max():.1e} over {differences.shape}")
    assert differences.max() < 1e-3
