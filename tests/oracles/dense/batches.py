"""Means over random batches of a network in training mode, by many float64 draws, each mean with its error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from dense.reference import Function
from torch import Tensor
from torch.func import grad, vmap

Array = np.ndarray
Shares = Array
"""Of each draw, what each parameter has of a quantity [K, P]."""

_CHUNK = 250
"""Batches put through together."""


@dataclass(frozen=True)
class BatchReference:
    """Draws independent batches without replacement and averages what they show.

    Attributes:
        function: Its batch norms hold no moments.
        images: All examples.
        targets: Theirs.
        num_draws: K.
        seed: Of all draws.
    """

    function: Function
    images: Array
    targets: Array
    num_draws: int
    seed: int

    def noise(self, size: int) -> dict[str, Shares]:
        """Give b (N-1)/(N-b) ½(g_A - g_B)² and both objectives' g_A g_B, of pairs of batches."""
        num_examples = len(self.images)
        one, other = (self._gradients(size, stream) for stream in (1, 2))
        factor = size * (num_examples - 1) / (num_examples - size)
        return {
            "gradient_noise_trace": factor / 2 * (one - other) ** 2,
            "gradient_norm_squared": one * other,
            "sum_of_gradients": one + other,
        }

    def curvature(self, size: int) -> Shares:
        """Give v (∇²L_B v) with a v of random signs for each batch."""
        function, params = self.function, self.function.params
        signs = self._generator(size, 3).choice([-1.0, 1.0], (self.num_draws, len(params)))

        def product(images: Tensor, targets: Tensor, v: Tensor) -> Tensor:
            def slope(params: Tensor) -> Tensor:
                return grad(function.mean_loss)(params, images, targets) @ v

            return v * grad(slope)(params)

        return self._over_batches(product, size, 4, torch.tensor(signs))

    def _gradients(self, size: int, stream: int) -> Shares:
        def gradient(images: Tensor, targets: Tensor) -> Tensor:
            return grad(self.function.mean_loss)(self.function.params, images, targets)

        return self._over_batches(gradient, size, stream)

    def _over_batches(
        self, measure: Callable[..., Tensor], size: int, stream: int, *arguments: Tensor
    ) -> Shares:
        generator = self._generator(size, stream)
        places = generator.permuted(
            np.tile(np.arange(len(self.images)), (self.num_draws, 1)), axis=1
        )[:, :size]
        data = [torch.tensor(each, dtype=torch.float64) for each in (self.images, self.targets)]
        batches = [each[torch.tensor(places)] for each in data]
        return vmap(measure, chunk_size=_CHUNK)(*batches, *arguments).numpy()

    def _generator(self, size: int, stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, size, stream])
