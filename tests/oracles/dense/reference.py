"""What the statistics state, computed whole: every example's gradient [N, P] and the Hessian [P, P], float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from dense.layers import Layers, Moments
from torch import Tensor
from torch.func import grad, jacrev, vmap

Array = np.ndarray
Outputs = Callable[[Layers, Tensor], Tensor]

_CHUNK = 16
"""Rows of the Hessian taken together."""

_NOT_TRAINED = ("moving_mean", "moving_variance")


def _error(outputs: Tensor, targets: Tensor) -> Tensor:
    return torch.softmax(outputs, -1) - targets


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "kld": lambda z, y: -(y * torch.log_softmax(z, -1)).sum(-1),
    "gradlog_l1": lambda z, y: _error(z, y).abs().sum(-1),
    "gradlog_l2": lambda z, y: _error(z, y).square().sum(-1),
    "squared_error": lambda z, y: (z - y).square().sum(-1) / 2,
}
"""ℓ(z, y) [N] of one-hot targets."""


@dataclass(frozen=True)
class Function:
    """A network as a function of θ [P], its trained parameters, in the order of its weights.

    Attributes:
        outputs: z of weights by name and images.
        weights: All of them by "layer/name".
        untrained: Layers left alone.
        loss: Name.
        moments: What the batch norms hold; those without take the moments of the examples.
    """

    outputs: Outputs
    weights: Mapping[str, Array]
    untrained: tuple[str, ...]
    loss: str
    moments: Moments

    @cached_property
    def names(self) -> list[str]:
        """Names of the trained tensors."""
        return [
            name
            for name in self.weights
            if name.split("/")[0] not in self.untrained and name.split("/")[1] not in _NOT_TRAINED
        ]

    @cached_property
    def sizes(self) -> list[int]:
        """Count the values of each of them."""
        return [self.weights[name].size for name in self.names]

    @cached_property
    def params(self) -> Tensor:
        """θ [P]."""
        return torch.cat([_tensor(self.weights[name]).reshape(-1) for name in self.names])

    @cached_property
    def layers(self) -> Array:
        """Name each parameter's layer [P]."""
        return np.repeat([name.split("/")[0] for name in self.names], self.sizes)

    @cached_property
    def is_decayed(self) -> Array:
        """1 for kernels, else 0 [P]."""
        return np.repeat([float(name.endswith("/kernel")) for name in self.names], self.sizes)

    def run(self, params: Tensor, images: Tensor) -> tuple[Tensor, Moments]:
        """Give z [N, C], and the moments of batch norms that hold none."""
        weights = {name: _tensor(value) for name, value in self.weights.items()}
        pieces = params.split(self.sizes)
        for name, piece in zip(self.names, pieces, strict=True):
            weights[name] = piece.reshape(self.weights[name].shape)
        fixed = {
            name: (weights[f"{name}/moving_mean"], weights[f"{name}/moving_variance"])
            for name in self.untrained
            if f"{name}/moving_mean" in weights
        }
        layers = Layers(weights, {**fixed, **self.moments})
        return self.outputs(layers, images), layers.seen

    def losses(self, params: Tensor, images: Tensor, targets: Tensor) -> Tensor:
        """ℓ_i [N]."""
        return LOSSES[self.loss](self.run(params, images)[0], targets)

    def mean_loss(self, params: Tensor, images: Tensor, targets: Tensor) -> Tensor:
        """L of these examples."""
        return self.losses(params, images, targets).mean()


def population_moments(function: Function, images: Array) -> Moments:
    """Take mean and variance of what each batch norm sees over all examples, those before it being so fixed.

    One pass with all examples in one batch: each normalises by the moments of all.
    """
    return function.run(function.params, _tensor(images))[1]


@dataclass(frozen=True)
class Reference:
    """Dense values of one split.

    Attributes:
        losses: ℓ_i [N].
        is_right: Whether the largest output is the label [N].
        gradients: ∇ℓ_i [N, P].
        hessian: ∇² of the mean loss [P, P].
        params: θ [P].
        layers: Names of the parameters' layers [P].
        is_decayed: 1 where weight decay acts [P].
    """

    losses: Array
    is_right: Array
    gradients: Array
    hessian: Array
    params: Array
    layers: Array
    is_decayed: Array

    @classmethod
    def of(cls, function: Function, images: Array, targets: Array) -> Reference:
        """Differentiate everything."""
        x, y, params = _tensor(images), _tensor(targets), function.params

        def single(params: Tensor, image: Tensor, target: Tensor) -> Tensor:
            return function.mean_loss(params, image[None], target[None])

        outputs = function.run(params, x)[0]
        whole = partial(function.mean_loss, images=x, targets=y)
        return cls(
            losses=function.losses(params, x, y).numpy(),
            is_right=(outputs.argmax(-1) == y.argmax(-1)).numpy(),
            gradients=vmap(grad(single), in_dims=(None, 0, 0))(params, x, y).numpy(),
            hessian=jacrev(grad(whole), chunk_size=_CHUNK)(params).numpy(),
            params=params.numpy(),
            layers=function.layers,
            is_decayed=function.is_decayed,
        )

    @property
    def layer_names(self) -> set[str]:
        """The layers that hold parameters."""
        return set(self.layers)

    @cached_property
    def noise(self) -> Array:
        """σ² = (1/N) Σ (g_i - ḡ)(g_i - ḡ)ᵀ [P, P]."""
        centred = self.gradients - self.gradients.mean(axis=0)
        return centred.T @ centred / len(centred)

    def total_hessian(self, decay: float) -> Array:
        """H + λD [P, P]."""
        return self.hessian + decay * np.diag(self.is_decayed)

    def value(self, quantity: str, layer: str | None, decay: float) -> float:
        """Give a quantity of the objective with L2 of this strength; a layer's is its share Σ_{p ∈ layer}."""
        if quantity in _WHOLE:
            return float(_WHOLE[quantity](self, decay))
        shares = _SHARES[quantity](self, decay)
        return float(shares[(self.layers == layer) | (layer is None)].sum())

    def gradient(self, decay: float) -> Array:
        """∇L [P]."""
        return self.gradients.mean(axis=0) + decay * self.is_decayed * self.params

    def eigenvectors(self, decay: float) -> tuple[Array, Array]:
        """Give eigenvalues [P], falling, and their vectors as rows."""
        values, vectors = np.linalg.eigh(self.total_hessian(decay))
        return values[::-1], vectors.T[::-1]

    def power(self, degree: int, decay: float) -> Array:
        """H^degree [P, P]."""
        return np.linalg.matrix_power(self.total_hessian(decay), degree)


_SHARES: dict[str, Callable[[Reference, float], Array]] = {
    "gradient_noise_trace": lambda r, decay: np.diag(r.noise),
    "hessian_trace": lambda r, decay: np.diag(r.total_hessian(decay)),
    "hessian_noise_trace": lambda r, decay: np.diag(r.noise @ r.total_hessian(decay)),
    "hessian_frobenius_squared": lambda r, decay: np.diag(r.power(2, decay)),
    "gradient_norm_squared": lambda r, decay: r.gradient(decay) ** 2,
    "gradient_curvature": lambda r, decay: (
        r.gradient(decay) * (r.total_hessian(decay) @ r.gradient(decay))
    ),
    "parameter_norm_squared": lambda r, decay: r.params**2,
}
"""What each parameter has of a quantity [P]."""


def _ratio(above: str, below: str) -> Callable[[Reference, float], float]:
    return lambda r, decay: r.value(above, None, decay) / r.value(below, None, decay)


_WHOLE: dict[str, Callable[[Reference, float], float]] = {
    "mean_loss": lambda r, decay: r.losses.mean() + decay / 2 * (r.is_decayed @ r.params**2),
    "accuracy": lambda r, decay: r.is_right.mean(),
    "simple_noise_scale": _ratio("gradient_noise_trace", "gradient_norm_squared"),
    "noise_scale": _ratio("hessian_noise_trace", "gradient_curvature"),
}
"""Quantities of the whole model alone."""


def _tensor(values: Array) -> Tensor:
    return torch.tensor(np.asarray(values, np.float64))
