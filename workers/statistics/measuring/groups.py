"""The whole model and each of its layers, as groups of parameters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import keras
import numpy as np
import numpy.typing as npt

from workers.network.params import Parameter, params_of

Array = npt.NDArray[np.float64]


def groups_of(network: keras.Model) -> Groups:
    """Group the parameters of a network by layer, in the network's order."""
    return Groups(params_of(network))


@dataclass(frozen=True)
class Groups:
    """Sums over the parameters of each group; the whole model first, then the layers in order.

    Attributes:
        parameters: The W parameter tensors.
    """

    parameters: list[Parameter]

    @cached_property
    def names(self) -> list[str | None]:
        """The names of the G groups: None for the whole model, then the layers' names."""
        return [None, *dict.fromkeys(each.layer for each in self.parameters)]

    @cached_property
    def _membership(self) -> Array:
        """1 where a parameter tensor belongs to a group, else 0 [W, G]."""
        layers = [each.layer for each in self.parameters]
        rows = [[1.0] + [float(name == layer) for name in self.names[1:]] for layer in layers]
        return np.array(rows)

    def sums(self, per_parameter: Array) -> Array:
        """Sum values [..., W] over the parameters of each group to [..., G]."""
        return per_parameter @ self._membership

    def squared_norms(self, vector: Array) -> Array:
        """Return ‖·‖² [G] of a flat vector [P] of all parameters, concatenated."""
        return self.sums(np.array([piece @ piece for piece in self.split(vector)]))

    def inner_products(self, left: Array, right: Array) -> Array:
        """Return ⟨·, ·⟩ [G] of two flat vectors [P]."""
        pieces = zip(self.split(left), self.split(right), strict=True)
        return self.sums(np.array([one @ other for one, other in pieces]))

    @property
    def variables(self) -> list[keras.Variable]:
        """The parameters' variables [W]."""
        return [each.variable for each in self.parameters]

    @cached_property
    def sizes(self) -> list[int]:
        """The number of values of each parameter tensor [W]."""
        return [int(np.prod(each.shape)) for each in self.variables]

    @property
    def num_params(self) -> int:
        """The number of parameters, P."""
        return sum(self.sizes)

    @cached_property
    def values(self) -> Array:
        """θ [P], flat."""
        return np.concatenate([each.values.ravel() for each in self.parameters])

    @cached_property
    def decayed_values(self) -> Array:
        """θ [P] where weight decay acts, else 0."""
        return self.values * self.is_decayed

    @cached_property
    def is_decayed(self) -> Array:
        """1 where weight decay acts, else 0 [P]."""
        return np.repeat([float(each.has_decay) for each in self.parameters], self.sizes)

    @cached_property
    def num_decayed(self) -> Array:
        """The number of parameters under weight decay [G]."""
        return self.sums(
            np.array([float(each.values.size * each.has_decay) for each in self.parameters])
        )

    def split(self, vector: Array) -> list[Array]:
        """Cut a flat vector [P] into one flat piece for each parameter tensor."""
        return np.split(vector, np.cumsum(self.sizes)[:-1])
