"""What the peers do to one batch, each as fast as it is offered, and their estimators of a trace."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "oracles"))

import numpy as np
import torch
from backpack import backpack
from backpack.extensions import BatchL2Grad
from backpack_twin import diagonal_sums, with_graph_extended, with_leaves_extended
from curvlinops import HessianLinearOperator, hutchpp_trace, xtrace
from nngeometry.metrics import FIM
from nngeometry.object import PMatDiag
from pyhessian import hessian
from torch import nn
from torch_twin import twin_of

from workers.network.risk import Batch, Risk

Call = Callable[[], object]
COLUMNS_AT_ONCE = 4
"""Vectors that curvlinops multiplies in one vectorised call; more do not fit a small machine."""


@dataclass(frozen=True)
class PeerCall:
    """One thing a peer does to some images.

    Attributes:
        call: Does it.
        num_images: As many as it is done to.
        times: Done at once, such as products with several vectors.
    """

    call: Call
    num_images: int
    times: int = 1

    def seconds_per_image(self) -> float:
        """Time it once."""
        started = time.perf_counter()
        self.call()
        return (time.perf_counter() - started) / self.num_images / self.times


def peer_calls(
    make_twin: Callable[[], nn.Module], x: torch.Tensor, y: torch.Tensor, num_diagonal: int
) -> dict[str, PeerCall]:
    """Set up every peer on one batch; the exact diagonals, which hold most, on its first images.

    Args:
        make_twin: Builds the network in evaluation mode; every peer gets its own.
        x: Inputs [B, 3, H, W].
        y: Labels [B].
        num_diagonal: Images of the exact diagonals.
    """
    loss, size = nn.CrossEntropyLoss(), len(y)
    few = (x[:num_diagonal].clone(), y[:num_diagonal])
    plain, last = make_twin(), make_twin().to(memory_format=torch.channels_last)
    x_last = x.to(memory_format=torch.channels_last)
    params, params_last = list(plain.parameters()), list(last.parameters())
    multiplied = make_twin()
    operator = HessianLinearOperator(
        multiplied, loss, list(multiplied.parameters()), [(x, y)], check_deterministic=False
    )
    vectors = torch.sign(torch.randn(operator.shape[0], COLUMNS_AT_ONCE))
    pyhessian = _pyhessian(make_twin(), x, y)
    leaves, graph = with_leaves_extended(make_twin()), with_graph_extended(make_twin())
    return {
        "gradient": PeerCall(lambda: torch.autograd.grad(loss(plain(x), y), params), size),
        "gradient, channels last": PeerCall(
            lambda: torch.autograd.grad(loss(last(x_last), y), params_last), size
        ),
        "PyHessian product": PeerCall(pyhessian, size),
        "curvlinops product": PeerCall(lambda: operator @ vectors[:, 0], size),
        "curvlinops products at once": PeerCall(
            lambda: operator @ vectors, size, times=COLUMNS_AT_ONCE
        ),
        "BackPACK norms": PeerCall(lambda: _norms(leaves, x, y), size),
        "BackPACK diagonal": PeerCall(lambda: diagonal_sums(graph, [few]), num_diagonal),
        "nngeometry diagonal": PeerCall(lambda: _fisher_trace(plain, *few), num_diagonal),
    }


def _pyhessian(network: nn.Module, x: torch.Tensor, y: torch.Tensor) -> Call:
    """Make one product of its data loader's route, at the vector that its `trace` would draw."""
    peer = hessian(network, nn.CrossEntropyLoss(), data=(x[:1], y[:1]), cuda=False)
    peer.data, peer.full_dataset = [(x, y)], True
    signs = [torch.sign(torch.randn_like(param)) for param in peer.params]
    return lambda: peer.dataloader_hv_product(signs)


def _norms(network: nn.Module, x: torch.Tensor, y: torch.Tensor) -> None:
    with backpack(BatchL2Grad()):
        nn.functional.cross_entropy(network(x.detach().requires_grad_()), y).backward()


def _fisher_trace(network: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=len(y))
    return float(FIM(network, data, PMatDiag, variant="classif_logits").trace())


@dataclass
class RecordedHessian:
    """H of the mean loss over batches, for the peers' estimators; remembers vᵀHv of v = ±1.

    The products are our own compiled ones, which agree with the peers' to rounding and are
    faster; the peers' time is measured apart.
    """

    risk: Risk
    batches: list[Batch]
    quadratic_forms: list[float] = field(default_factory=list)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    dtype: torch.dtype = torch.float64

    @property
    def shape(self) -> tuple[int, int]:
        return self.risk.num_params, self.risk.num_params

    def __matmul__(self, vectors: torch.Tensor) -> torch.Tensor:
        columns = [
            self.risk.hessian_vector_product(self.batches, vector) for vector in vectors.numpy().T
        ]
        products = np.stack(columns, axis=1)
        is_signs = (np.abs(vectors.numpy()) == 1).all(axis=0)
        forms = np.einsum("pk,pk->k", vectors.numpy(), products)
        self.quadratic_forms += forms[is_signs].tolist()
        return torch.tensor(products)


@dataclass(frozen=True)
class Spread:
    """How far peers' estimates of one trace are off.

    Attributes:
        num_products: Spent by each estimate.
        error: Root mean square, relative to the exact value.
        num_estimates: Behind it.
    """

    num_products: int
    error: float
    num_estimates: int

    def products_for(self, target: float, rate: float) -> float:
        """Extrapolate to an error; it falls as num_products^-rate. At least those spent once."""
        return max(self.num_products * (self.error / target) ** (1 / rate), 1.0)


def peer_spreads(
    hessian: RecordedHessian, exact: float, *, num_products: int, repeats: int
) -> dict[str, Spread]:
    """Run curvlinops' XTrace and Hutch++; their random first vectors are Hutchinson's probes too."""
    torch.manual_seed(0)
    estimators = {"XTrace": xtrace, "Hutch++": hutchpp_trace}
    spreads = {}
    for name, estimate in estimators.items():
        found = np.array([float(estimate(hessian, num_products)) for _ in range(repeats)])
        spreads[name] = Spread(num_products, _root_mean_square(found / exact - 1), repeats)
    probes = np.array(hessian.quadratic_forms) / exact - 1
    spreads["Hutchinson"] = Spread(1, _root_mean_square(probes), len(probes))
    return spreads


def _root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def make_twin_factory(network: object) -> Callable[[], nn.Module]:
    """Give a function that builds the twin of a Keras network anew."""
    return lambda: twin_of(network)
