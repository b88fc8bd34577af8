"""Exact second moments of SGD with momentum on quadratic examples, in NumPy float64 alone.

ℓ_n(θ) = ½θᵀA_nθ - b_n·θ, objective the mean over n. A step of a batch B is v ← μv + g_B, θ ← θ - ηv with
g_B = mean over B of A_nθ - b_n, linear in z = (θ, v, 1): z ← F_B z, F_B the mean of F_n. So S = E zzᵀ obeys
S ← E[F_B S F_Bᵀ], a finite sum over batches, whatever the noise is and however it grows with θ.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ExactSGD:
    """SGD on N examples of P parameters.

    Attributes:
        curvatures: A_n [N, P, P], L2 included.
        offsets: b_n [N, P].
        learning_rate: η.
        momentum: μ.
        batch_size: m.
        is_shuffled: Epochs are random orders, cut into ⌊N/m⌋ batches; else batches are drawn with
            replacement.
    """

    curvatures: np.ndarray
    offsets: np.ndarray
    learning_rate: float
    momentum: float
    batch_size: int
    is_shuffled: bool = False

    @property
    def num_train(self):
        return len(self.curvatures)

    @property
    def num_params(self):
        return self.offsets.shape[1]

    @property
    def hessian(self):
        return self.curvatures.mean(axis=0)

    @property
    def minimum(self):
        return np.linalg.solve(self.hessian, self.offsets.mean(axis=0))

    @property
    def gradients(self):
        """Give G_n [N, P, 2P + 1] with ∇ℓ_n(θ) = G_n z."""
        nothing = np.zeros_like(self.curvatures)
        return np.concatenate([self.curvatures, nothing, -self.offsets[:, :, None]], axis=2)

    @property
    def maps(self):
        """Give F_n [N, 2P + 1, 2P + 1]."""
        size = self.num_params
        still = np.eye(size, 2 * size + 1)
        velocity = self.momentum * np.eye(size, 2 * size + 1, size) + self.gradients
        one = np.broadcast_to(np.eye(2 * size + 1)[-1:], (self.num_train, 1, 2 * size + 1))
        return np.concatenate([still - self.learning_rate * velocity, velocity, one], axis=1)

    def start(self, params):
        """Give S of weights [P] at rest."""
        state = np.concatenate([params, np.zeros(self.num_params), [1.0]])
        return np.outer(state, state)

    def run(self, params, num_steps):
        """Give S after 0 … T steps [T + 1, …] and E‖g_B‖² of the steps [T], from weights at rest."""
        if self.is_shuffled:
            return self._shuffled_run(self.start(params), num_steps)
        moments, norms = [self.start(params)], []
        for _ in range(num_steps):
            norms.append(np.trace(self._over_draws(self.gradients, moments[-1])))
            moments.append(self._over_draws(self.maps, moments[-1]))
        return np.array(moments), np.array(norms)

    def stationary(self):
        """Give S [phases, …] and E‖g_B‖² [phases] of the stationary state, which is one with replacement.

        Iterated until nothing changes any more; shuffled, S at the beginning of each step of an epoch.
        """
        moment = self.start(self.minimum)
        num_steps = self.num_train // self.batch_size if self.is_shuffled else 1
        for _ in range(100_000):
            one = self._shuffled_run if self.is_shuffled else self._run_from
            moments, norms = one(moment, num_steps)
            change = np.abs(moments[-1] - moment).max()
            moment = moments[-1]
            if change < 1e-15 * np.abs(moment).max():
                return moments[:-1], norms
        raise AssertionError("nothing settles")

    def excess_loss(self, moment):
        """Give E[L(θ)] - L(E θ) = ½ tr(H cov θ)."""
        return np.trace(self.hessian @ self.covariance(moment)) / 2

    def covariance(self, moment):
        """Give cov θ [P, P]."""
        size = self.num_params
        mean = moment[:size, -1]
        return moment[:size, :size] - np.outer(mean, mean)

    def spread_of_gradient(self, moment):
        """Give E‖∇L(θ) - ∇L(E θ)‖²."""
        return np.trace(self.hessian @ self.covariance(moment) @ self.hessian)

    def squared_gradient(self, moment):
        """Give E‖∇L(θ)‖²."""
        mean = self.gradients.mean(axis=0)
        return np.trace(mean @ moment @ mean.T)

    def noise(self, moment):
        """Give E tr σ²(θ), one example's."""
        each = np.einsum("nij,jk,nik->n", self.gradients, moment, self.gradients).mean()
        return each - self.squared_gradient(moment)

    def _run_from(self, moment, num_steps):
        norms = [np.trace(self._over_draws(self.gradients, moment))]
        assert num_steps == 1
        return np.array([moment, self._over_draws(self.maps, moment)]), np.array(norms)

    def _over_draws(self, matrices, moment):
        """Give E[M_B S M_Bᵀ] over batches of m independent draws, M_B the mean of M_n."""
        mean = matrices.mean(axis=0)
        of_mean = mean @ moment @ mean.T
        of_each = (matrices @ moment @ matrices.swapaxes(1, 2)).mean(axis=0)
        return of_mean + (of_each - of_mean) / self.batch_size

    def _shuffled_run(self, moment, num_steps):
        """Go through every possible epoch: its batches in order, each order alike."""
        per_epoch = self.num_train // self.batch_size
        moments, norms = [moment], []
        for first in range(0, num_steps, per_epoch):
            begun = moments[-1]
            products, used = np.eye(len(moment))[None], [()]
            for _ in range(min(per_epoch, num_steps - first)):
                pairs = [
                    (place, batch)
                    for place, before in enumerate(used)
                    for batch in itertools.combinations(
                        [n for n in range(self.num_train) if n not in before], self.batch_size
                    )
                ]
                before = products[[place for place, _ in pairs]]
                batches = [list(batch) for _, batch in pairs]
                seen = self.gradients[batches].mean(axis=1) @ before
                norms.append(np.einsum("nij,jk,nik->n", seen, begun, seen).mean())
                products = self.maps[batches].mean(axis=1) @ before
                used = [(*used[place], *batch) for place, batch in pairs]
                moments.append((products @ begun @ products.swapaxes(1, 2)).mean(axis=0))
        return np.array(moments), np.array(norms)


def regression(features, targets, weight_decay=0.0, **steps):
    """Make SGD on ℓ_n = ½(x_n·w + c - y_n)² + ½γ‖w‖², the bias c last, from x [N, P - 1] and y [N]."""
    rows = np.hstack([features, np.ones((len(features), 1))])
    decay = weight_decay * np.diag([*np.ones(features.shape[1]), 0.0])
    curvatures = rows[:, :, None] * rows[:, None, :] + decay
    return ExactSGD(curvatures, rows * targets[:, None], **steps)


def constant_noise(hessian, gradients, **steps):
    """Make SGD on ℓ_n = ½θᵀHθ - b_n·θ, whose noise is the same everywhere, from H and b [N, P]."""
    curvatures = np.broadcast_to(hessian, (len(gradients), *hessian.shape))
    return ExactSGD(curvatures, gradients - gradients.mean(axis=0), **steps)
