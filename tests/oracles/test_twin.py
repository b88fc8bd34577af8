"""The twins are the same functions of the same weights: outputs and gradients agree."""

from __future__ import annotations

import numpy as np
import pytest
from peers import peer

torch = peer("torch")

KINDS = ["mlp", "he2015", "keras_example"]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("kind", KINDS)
def test_outputs_agree(make_case, kind, dtype, tolerance):
    """Raw outputs differ by rounding, a fraction of the largest."""
    case = make_case(kind, dtype=dtype)
    ours = np.concatenate([case.model(x, training=False).numpy() for x, _ in case.batches()])
    with torch.no_grad():
        theirs = torch.cat([case.twin(x) for x, _ in case.torch_data()]).numpy()
    difference = np.abs(ours - theirs).max() / np.abs(ours).max()
    print(f"outputs, {kind}, {dtype}: {difference:.1e}")
    assert difference < tolerance
    assert np.abs(ours).max() > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_agree(make_case, kind):
    """∇L of the mean loss agrees parameter by parameter, so each has found its own name."""
    from workers.network.risk import Risk

    case = make_case(kind, dtype="float64")
    gradient = Risk(case.model, case.loss).gradient(case.batches())
    ours = case.torch_twin.by_name(case.model.trainable_variables, gradient)
    [(x, y)] = case.torch_data(batch_size=len(case.labels))
    torch.nn.functional.cross_entropy(case.twin(x), y).backward()
    theirs = {name: param.grad.numpy() for name, param in case.twin.named_parameters()}
    assert ours.keys() == theirs.keys()
    for name, found in ours.items():
        np.testing.assert_allclose(found, theirs[name], rtol=1e-9, atol=1e-14, err_msg=name)
