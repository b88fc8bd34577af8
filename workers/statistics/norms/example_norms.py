"""One pass over a split that keeps every example's norms, by which examples are sampled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from workers.network.resident import ResidentSplit
from workers.network.risk import mean_over_examples
from workers.numerics.estimators import rademacher_signs
from workers.per_example.compiled import CompiledNorms
from workers.resumable.passes import Passes, State, batch_edges
from workers.statistics.norms.trace_passes import NORMS_BATCH_SIZE

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ExampleNorms:
    """The norms from one pass over N examples, for W parameter tensors of P values in all.

    Attributes:
        gradient_norms: ‖g_i‖² [N].
        column_norms: Σ_m |w_m| ‖J_iᵀu_m‖² [N], for one random set of columns u of the loss Hessian.
        mean_squared_norm: (1/N) Σ ‖g_i‖² by parameter tensor [W].
        mean_gradient: ḡ [P].
    """

    gradient_norms: Array
    column_norms: Array
    mean_squared_norm: Array
    mean_gradient: Array


def measure_norms(
    name: str, norms: CompiledNorms, split: ResidentSplit, passes: Passes, seed: int
) -> ExampleNorms:
    """Compute the norms of every example of a split in one pass.

    Args:
        name: Name of the pass.
        norms: The compiled norms of the network, with one column.
        split: The examples.
        passes: Runs the pass.
        seed: Seed of the columns.

    Raises:
        Drained: A stop was asked for; the state has been saved.
    """

    def step(state: State, places: npt.NDArray[np.int64]) -> State:
        """Add the examples at places [B]."""
        signs = rademacher_signs(seed, 0, places, norms.signs_shape)
        found = norms(*split.batch(tf.constant(places)), signs)
        of_examples = found.gradient_norms.sum(axis=1)
        return {
            "gradient_norms": np.concatenate([state["gradient_norms"], of_examples]),
            "column_norms": np.concatenate([state["column_norms"], found.column_norms]),
            "squared_norm": state["squared_norm"] + found.gradient_norms.sum(axis=0),
            "gradient": state["gradient"] + found.gradient_total,
        }

    start = {
        "gradient_norms": np.zeros(0),
        "column_norms": np.zeros(0),
        "squared_norm": np.zeros(1),
        "gradient": np.zeros(1),
    }
    sums = passes.run(name, step, start, batch_edges(len(split), NORMS_BATCH_SIZE))
    return ExampleNorms(
        sums["gradient_norms"],
        sums["column_norms"],
        mean_over_examples(sums["squared_norm"], len(split)),
        mean_over_examples(sums["gradient"], len(split)),
    )
