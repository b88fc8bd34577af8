"""The Hessian of a split's mean loss, as an operator whose products can be stopped and resumed."""

from __future__ import annotations

from typing import final

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from workers.network.resident import ResidentSplit
from workers.network.risk import Risk, mean_over_examples
from workers.resumable.passes import Passes, State, batch_edges

Array = npt.NDArray[np.float64]

PRODUCTS_BATCH_SIZE = 100


@final
class Curvature:
    """v ↦ Hv, H = ∇²[(1/n) Σ ℓ_i + ½ Σ_p d_p θ_p²] over n examples of a split.

    Args:
        risk: The risk of the network, its parameters in the order of the vectors.
        split: The examples.
        places: The indices of the n examples [n].
        decay: d [P]: weight_decay where it acts for the objective `total`, 0 for `data`.
        passes: Runs the products; each counts as n examples of the progress.
        name: Name of the operator, under which its stopped products are saved.
        batch_size: Examples that go through the network together; None for the usual number.
    """

    def __init__(
        self,
        risk: Risk,
        split: ResidentSplit,
        places: npt.NDArray[np.int64],
        decay: Array,
        passes: Passes,
        *,
        name: str = "product",
        batch_size: int | None = None,
    ) -> None:
        """Keep the arguments; places [n], decay [P]."""
        self._risk, self._split, self._places = risk, split, places
        self._decay, self._passes, self._name = decay, passes, name
        self._batch_size = batch_size or PRODUCTS_BATCH_SIZE

    @property
    def num_params(self) -> int:
        """The number of parameters, P."""
        return self._risk.num_params

    @property
    def num_examples(self) -> int:
        """The number of examples, n."""
        return len(self._places)

    def product(self, vector: Array, repetition: int) -> Array:
        """Return Hv [P].

        Args:
            vector: v [P].
            repetition: Number of this product among the operator's, from 0; a stopped product is resumed
                only under its own number.

        Raises:
            Drained: A stop was asked for; the partial sum has been saved.
        """

        def step(state: State, positions: npt.NDArray[np.int64]) -> State:
            """Add the sum [P] over the examples at these positions [B] of `places`."""
            batch = self._split.batch(tf.constant(self._places[positions]))
            return {"sum": state["sum"] + self._risk.batch_hessian_vector_product(*batch, vector)}

        edges = batch_edges(self.num_examples, self._batch_size)
        start = {"sum": np.zeros(self.num_params)}
        total = self._passes.run(self._name, step, start, edges, repetition=repetition)["sum"]
        return mean_over_examples(total, self.num_examples) + self._decay * vector
