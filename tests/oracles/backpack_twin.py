"""The twins as BackPACK reads them: every operation a module that it knows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from backpack import backpack, extend
from backpack.custom_module.graph_utils import convert_module_to_backpack
from backpack.extensions import DiagGGNExact
from torch import nn

Batches = Iterable[tuple[torch.Tensor, torch.Tensor]]


def with_leaves_extended(twin: nn.Module) -> nn.Module:
    """Extend for first-order quantities, for which containers need not be understood."""
    for module in twin.modules():
        if not list(module.children()):
            extend(module)
    return twin


def with_graph_extended(twin: nn.Module) -> nn.Module:
    """Extend for second-order quantities: sums become modules, padding of channels a fixed convolution.

    BackPACK's own padding asks for an indexing that PyTorch 2.13 no longer has. The trained
    parameters stay those of the twin, under the same names.
    """
    converted = convert_module_to_backpack(twin, debug=False)
    for parent in list(converted.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.ConstantPad3d):
                setattr(parent, name, _widening(child.padding[4]))
    return extend(converted).eval()


def _widening(margin: int) -> nn.Conv2d:
    """Copy channels to the middle of twice as many, as the stages of the residual networks do."""
    convolution = nn.Conv2d(2 * margin, 4 * margin, 1, bias=False).requires_grad_(
        requires_grad=False
    )
    convolution.weight.zero_()
    for channel in range(2 * margin):
        convolution.weight[margin + channel, channel] = 1
    return convolution


def diagonal_sums(network: nn.Module, batches: Batches) -> dict[str, float]:
    """Give the trace of each parameter's block of the Gauss-Newton matrix of the mean cross-entropy.

    Args:
        network: Extended with its graph.
        batches: Inputs and labels; they count by their sizes.
    """
    loss = extend(nn.CrossEntropyLoss())
    trained = {name: each for name, each in network.named_parameters() if each.requires_grad}
    sums: dict[str, float] = defaultdict(float)
    num_examples = 0
    for x, y in batches:
        with backpack(DiagGGNExact()):
            loss(network(x.detach().requires_grad_()), y).backward()
        for name, param in trained.items():
            sums[name] += param.diag_ggn_exact.sum().item() * len(y)
            del param.diag_ggn_exact
        num_examples += len(y)
    return {name: total / num_examples for name, total in sums.items()}
