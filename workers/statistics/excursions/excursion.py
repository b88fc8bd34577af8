"""The kept network prepared for SGD to continue from it: weights, objective, curvature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from workers.contract.errors import UserError
from workers.contract.excursions import ExcursionSpec
from workers.contract.settings import BatchNormMode
from workers.contract.specs import TrialSpec
from workers.network.batch_norm import as_functional
from workers.network.resident import ResidentSplit
from workers.network.risk import Risk, mean_over_examples
from workers.numerics import lanczos
from workers.numerics.lanczos import RitzValues, Tridiagonal
from workers.resumable.passes import Passes, State, batch_edges
from workers.statistics.measuring.context import MeasurementContext
from workers.statistics.measuring.curvature import Curvature
from workers.statistics.measuring.frozen_network import FrozenNetwork
from workers.statistics.measuring.groups import Groups, groups_of
from workers.statistics.measuring.impure_layers import impure_layer_faults
from workers.training.seeding import measuring_seed
from workers.training.steps.sgd_step import SGDStep

Array = npt.NDArray[np.float64]

_EVALUATION_BATCH_SIZE = 250


@dataclass(frozen=True)
class LossAndGradient:
    """The total objective: L, and ∇L [P]."""

    loss: float
    gradient: Array


@dataclass(frozen=True)
class Directions:
    """The largest eigenvalues of the Hessian of the total objective at the kept weights.

    Attributes:
        ritz: λ [k], descending, with residual norms.
        vectors: u as rows [k, P].
        num_products: Number of Hessian-vector products.
    """

    ritz: RitzValues
    vectors: Array
    num_products: int


@dataclass(frozen=True)
class Excursion:
    """A network that SGD moves, with the objective that its steps are compared with.

    The objective is the total one, data loss + (weight_decay/2)·‖θ_decayed‖², over the whole
    training set. With `bn_mode: batch` the data loss is the mean over ⌊N/m⌋ batches of m, drawn once
    without replacement, each normalised by its own statistics.

    Attributes:
        settings: The settings of the statistic.
        trial: The trial, with m, μ and the weight decay.
        groups: The parameters; vectors [P] hold them in this order.
        train: The training set.
        places: Indices of the examples over which L is taken, in their order: all N as stored, or those
            of the batches, one after the other.
        risk: The risk of the network.
        sgd_step: SGD steps of the network.
        passes: Runs all passes.
    """

    settings: ExcursionSpec
    trial: TrialSpec
    groups: Groups
    train: ResidentSplit
    places: npt.NDArray[np.int64]
    risk: Risk
    sgd_step: SGDStep
    passes: Passes

    @classmethod
    def prepare(
        cls, context: MeasurementContext, settings: ExcursionSpec, passes: Passes
    ) -> Excursion:
        """Copy and freeze the network.

        Raises:
            UserError: The network cannot be measured; in training mode, all layers that draw random
                numbers or keep a state.
            Drained: A stop was asked for.
        """
        in_training = settings.bn_mode == "batch"
        if in_training:
            _refuse_impure_layers(context, settings)
        mode: BatchNormMode = "moving_average" if in_training else "frozen"
        subject = FrozenNetwork.of(context, mode, ["train"], passes)
        groups = groups_of(subject.network)
        risk = Risk(subject.network, context.loss, groups.variables, in_training=in_training)
        training = context.trial.training
        sgd_step = SGDStep(subject.network, context.loss, training, in_training=in_training)
        train = subject.splits["train"]
        places = _batched(context, settings) if in_training else np.arange(len(train))
        return cls(settings, context.trial, groups, train, places, risk, sgd_step, passes)

    @property
    def learning_rate(self) -> float:
        """The rate η of the excursion."""
        return self.settings.learning_rate or self.trial.final_learning_rate

    @property
    def largest_stable_eigenvalue(self) -> float:
        """2(1+μ)/η: above it SGD diverges, even without noise (Liu, Ziyin and Ueda 2021)."""
        return 2 * (1 + self.trial.training.momentum) / self.learning_rate

    @property
    def noise_of_example(self) -> float:
        """Factor from the trace of a batch gradient's covariance to tr σ²: m, shuffled m (N-1)/(N-m)."""
        num_train, batch_size = len(self.train), self.trial.batch_size
        if self.settings.sampler == "shuffle":
            return batch_size * (num_train - 1) / (num_train - batch_size)
        return float(batch_size)

    def place(self, params: Array, velocity: Array) -> None:
        """Set the network's weights [P] and velocity [P], or [0] without momentum."""
        values = [each.value for each in self.groups.variables]
        _assign(values, self.groups.split(params))
        if len(velocity):
            _assign(self.sgd_step.velocity, self.groups.split(velocity))

    def params(self) -> Array:
        """Return the weights [P]."""
        return self.risk.params()

    def velocity(self) -> Array:
        """Return the velocity [P], [0] without momentum."""
        found = [each.numpy().ravel() for each in self.sgd_step.velocity]
        return np.concatenate([np.zeros(0), *found])

    def objective(
        self, params: Array, repetition: int, *, key: str = "objective"
    ) -> LossAndGradient:
        """Evaluate the total objective at weights [P], which the network then has.

        An evaluation that is repeated after a stop, with others in between, needs a key of its own.
        """
        self.place(params, np.zeros(0))

        def step(state: State, positions: npt.NDArray[np.int64]) -> State:
            """Add loss and gradient [1 + P] of the examples at these positions [B] of `places`."""
            batch = self.train.batch(tf.constant(self.places[positions]))
            return {"sum": state["sum"] + self.risk.batch_loss_and_gradient(*batch)}

        start = {"sum": np.zeros(1 + len(params))}
        total = self.passes.run(key, step, start, self._edges(), repetition=repetition)["sum"]
        mean = mean_over_examples(total, len(self.places))
        decayed = self._decay * params
        return LossAndGradient(float(mean[0] + decayed @ params / 2), mean[1:] + decayed)

    def directions(self) -> Directions:
        """Compute the largest eigenvalues and their vectors by Lanczos at the kept weights."""
        settings = self.settings
        num_wanted = min(settings.num_directions, self.risk.num_params)
        most_steps = min(settings.max_lanczos_steps, self.risk.num_params)
        curvature = Curvature(
            self.risk,
            self.train,
            self.places,
            self._decay,
            self.passes,
            batch_size=self._batch_size,
        )

        def step(state: State) -> State:
            return lanczos.advance(Tridiagonal(**state), curvature.product)._asdict()

        def is_done(state: State) -> bool:
            space = Tridiagonal(**state)
            return space.is_invariant or space.num_steps >= most_steps

        seed = measuring_seed(self.trial, settings.stream_seed, "directions")
        generator = np.random.Generator(np.random.Philox(key=seed))
        begun = lanczos.begin(generator.normal(size=self.risk.num_params))._asdict()
        found = self.passes.iterate("lanczos", step, begun, is_done, len(self.train))
        space = Tridiagonal(**found)
        ritz = lanczos.largest(space, num_wanted)
        vectors = ritz.coordinates.T @ space.basis[: space.num_steps]
        return Directions(ritz, vectors, space.num_steps)

    def slopes(self, vector: Array, repetition: int) -> Array:
        """Return ∇ℓ_n·v [N] of every example, v [P], at the network's weights; inference mode."""

        def step(state: State, positions: npt.NDArray[np.int64]) -> State:
            """Append the slopes of the examples at these positions [B] of `places`."""
            batch = self.train.batch(tf.constant(self.places[positions]))
            return {"slopes": np.append(state["slopes"], self.risk.batch_slopes(*batch, vector))}

        start = {"slopes": np.zeros(0)}
        return self.passes.run("slopes", step, start, self._edges(), repetition=repetition)[
            "slopes"
        ]

    @property
    def _decay(self) -> Array:
        """The weight decay of each parameter [P], 0 where it does not act."""
        return self.trial.training.weight_decay * self.groups.is_decayed

    @property
    def _batch_size(self) -> int:
        is_batch = self.settings.bn_mode == "batch"
        return self.trial.batch_size if is_batch else _EVALUATION_BATCH_SIZE

    def _edges(self) -> npt.NDArray[np.int64]:
        """Return the edges [number of batches + 1] of the batches of a pass."""
        return batch_edges(len(self.places), self._batch_size)


def _batched(context: MeasurementContext, settings: ExcursionSpec) -> npt.NDArray[np.int64]:
    """Draw the examples [⌊N/m⌋ m] of batches of m, as an epoch that visits each example once does.

    Data may be stored by class: neighbours make batches that SGD never sees.
    """
    num_train, batch_size = len(context.dataset.train), context.trial.batch_size
    seed = measuring_seed(context.trial, settings.stream_seed, "partition")
    generator = np.random.Generator(np.random.Philox(key=seed))
    return generator.permutation(num_train)[: max(1, num_train // batch_size) * batch_size]


def _refuse_impure_layers(context: MeasurementContext, settings: ExcursionSpec) -> None:
    """Refuse layers whose draws, or states, would be part of the noise, and of every evaluation of L."""
    network, shape = as_functional(context.model), context.dataset.input_shape
    cure = f"measure with bn_mode: frozen, or leave `{settings.name}` out of `measure`"
    faults = list(impure_layer_faults(network, shape, cure))
    if faults:
        raise UserError(faults)


def _assign(variables: list[tf.Variable], pieces: list[Array]) -> None:
    """Set each variable to its piece of a vector [P]."""
    for variable, piece in zip(variables, pieces, strict=True):
        variable.assign(tf.constant(piece.reshape(variable.shape), variable.dtype))
