"""Sweeps with known records, put into a store through its own interface."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from analysis.aggregation.aggregate import aggregate_records
from analysis.aggregation.cell_measurements import cell_measurements
from analysis.findings.measured import measured_cells
from analysis.findings.table1 import build_table1
from analysis.mathematics.verdict import judge
from analysis.records.load import load_sweep
from workers.contract.environment_facts import EnvironmentFacts
from workers.contract.identity import statistic_id, trial_id
from workers.contract.plan_document import PlanDocument, PlannedStatistic, PlannedTrial
from workers.contract.records import (
    EpochRecord,
    FailureRecord,
    Measurement,
    SpectrumNode,
    TrialRecord,
    measurement_table,
    spectrum_table,
    table,
)
from workers.contract.schema import VIEWS
from workers.contract.specs import TrainingSpec, TrialSpec
from workers.contract.store import Store
from workers.datasets.cifar10 import Cifar10Spec
from workers.models.resnet import ResNetSpec
from workers.statistics.fork import ForkSpec
from workers.statistics.losses import LossesSpec
from workers.statistics.spectrum import SpectrumSpec
from workers.statistics.traces import TracesSpec

_TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_EPOCHS = 3


@dataclass
class SyntheticSweep:
    """A sweep whose every number is known.

    tr σ² of a seed is noise(m, η) + seed, tr H is hessian(m, η) + seed/2; mean loss 0.1 + seed/100.
    """

    store: Store
    name: str = "toy"
    revision: str = "20260101T000000-aa"
    pairs: list = field(default_factory=lambda: [(100, 0.1), (200, 0.2)])
    seeds: list = field(default_factory=lambda: [0, 1, 2])
    weight_decay: float = 0.0
    loss: str = "kld"
    sampler: str = "shuffle"
    momentum: float = 0.0
    depth: int = 56
    num_train: int = 50_000
    layers: tuple = ("conv", "dense")
    objectives: tuple = ("data", "total")

    def __post_init__(self):
        self.statistics = [LossesSpec(), TracesSpec()]

    @staticmethod
    def noise(batch_size, learning_rate):
        return 10.0 * batch_size * learning_rate

    @staticmethod
    def hessian(batch_size, learning_rate):
        return 5.0 / learning_rate + batch_size / 100

    def trial(self, batch_size, learning_rate, seed):
        return TrialSpec(
            model=ResNetSpec(depth=self.depth),
            dataset=Cifar10Spec(),
            data_digest="digest",
            loss=self.loss,
            training=TrainingSpec(
                epochs=_EPOCHS,
                milestones=[1],
                weight_decay=self.weight_decay,
                sampler=self.sampler,
                momentum=self.momentum,
            ),
            batch_size=batch_size,
            learning_rate=learning_rate,
            seed=seed,
        )

    def trials(self):
        return [self.trial(*pair, seed) for pair in self.pairs for seed in self.seeds]

    def plan(self):
        """Write the plan document."""
        document = PlanDocument(
            sweep=self.name,
            revision=self.revision,
            planned_at=_TIME.isoformat(),
            spec={"name": self.name, "loss": self.loss, "seeds": len(self.seeds)},
            trials=[PlannedTrial(trial_id=trial_id(t), trial=t) for t in self.trials()],
            statistics=[
                PlannedStatistic(statistic_id=statistic_id(s), statistic=s) for s in self.statistics
            ],
            seeds=self.seeds,
        )
        path = self.store.plan_path(self.name, self.revision)
        self.store.write_json(path, document.model_dump(mode="json"))
        return document

    def train(self, trial, *, outcome="converged", environment_id="env-a", **recorded):
        """Commit the epochs and the record of a trial; `recorded` are further columns of it."""
        identity, is_lost = trial_id(trial), outcome in {"diverged", "nonfinite"}
        num_epochs = 1 if is_lost else _EPOCHS
        epochs = [
            EpochRecord(
                trial_id=identity,
                epoch=epoch,
                learning_rate=trial.training.learning_rate_at(epoch, trial.learning_rate),
                train_loss=2.0 / (epoch + 1) + 0.01 * trial.seed,
                train_accuracy=0.3 * (epoch + 1),
                validation_loss=2.2 / (epoch + 1),
                validation_accuracy=0.28 * (epoch + 1),
                seconds=1.0,
            )
            for epoch in range(num_epochs)
        ]
        record = TrialRecord(
            trial_id=identity, attempt_id="attempt", model="resnet", depth=self.depth,
            dataset="cifar10", data_digest="digest", num_train=self.num_train, num_params=1000,
            loss=trial.loss, batch_size=trial.batch_size, learning_rate=trial.learning_rate,
            final_learning_rate=trial.final_learning_rate, seed=trial.seed, momentum=0.0,
            weight_decay=self.weight_decay, epochs=_EPOCHS, outcome=outcome,
            converged_at_epoch=None, train_loss=0.1, train_accuracy=0.9, validation_loss=0.3,
            validation_accuracy=0.84, weights_sha256="w", wall_seconds=12.0, device="CPU",
            device_share=0.0, host="host", environment_id=environment_id, started_at=_TIME,
            finished_at=_TIME, spec=trial.model_dump_json(), **recorded,
        )  # fmt: skip
        self.store.commit("epochs", (identity,), "attempt", table("epochs", epochs))
        self.store.commit("trials", (identity,), "attempt", table("trials", [record]))

    def measure(self, trial, *, skipped_reason=None, changes=None):
        """Commit every planned statistic of a trial; `changes` overrides values by quantity."""
        for statistic in self.statistics:
            rows = self._losses(trial) if statistic.name == "losses" else self._traces(trial)
            rows = [
                row.model_copy(
                    update={
                        "value": None if skipped_reason else (changes or {}).get(
                            row.quantity, row.value
                        ),
                        "skipped_reason": skipped_reason,
                    }
                )
                for row in rows
            ]  # fmt: skip
            identity = trial_id(trial)
            found = measurement_table(identity, statistic, statistic_id(statistic), rows)
            key = (identity, statistic_id(statistic))
            self.store.commit("measurements", key, "measuring", found)

    def fail(self, trial, statistic=None, attempt_id="failed", failure_class="user_error"):
        """Commit a failure of the training, or of one statistic."""
        record = FailureRecord(
            trial_id=trial_id(trial),
            statistic_id=None if statistic is None else statistic_id(statistic),
            attempt_id=attempt_id, failure_class=failure_class, signature="oom",
            message="<b>out of memory</b> & gone", log_path="logs/x.log", host="host",
            failed_at=_TIME,
        )  # fmt: skip
        key = (trial_id(trial), attempt_id)
        self.store.commit("failures", key, attempt_id, table("failures", [record]))

    def fill(self):
        """Plan, train and measure everything."""
        self.plan()
        for trial in self.trials():
            self.train(trial)
            self.measure(trial)
        return self

    def add(self, statistic, rows_of, nodes=()):
        """Plan one more statistic and commit, for each trial, the rows `rows_of` gives of its seed."""
        self.statistics.append(statistic)
        self.revision = f"{self.revision}a"
        self.plan()
        for trial in self.trials():
            key = (trial_id(trial), statistic_id(statistic))
            rows = list(rows_of(trial.seed))
            found = measurement_table(key[0], statistic, key[1], rows)
            self.store.commit("measurements", key, "added", found)
            if nodes:
                self.store.commit("spectra", key, "added", spectrum_table(*key, nodes))
        return self

    def _row(self, quantity, value, *, split="train", layer=None, objective="data", **fields):
        return Measurement(
            quantity=quantity, value=value, stderr=0.0, num_samples=self.num_train,
            method="exact", bn_mode="frozen", split=split, objective=objective, layer=layer,
            **fields,
        )  # fmt: skip

    def _losses(self, trial):
        return [
            self._row("mean_loss", 0.1 + trial.seed / 100),
            self._row("mean_loss", 0.3 + trial.seed / 50, split="test"),
            self._row("accuracy", 0.95),
            self._row("accuracy", 0.9 - trial.seed / 100, split="test"),
        ]

    def _traces(self, trial):
        size, rate = trial.batch_size, trial.learning_rate
        noise, hessian = self.noise(size, rate) + trial.seed, self.hessian(size, rate)
        rows = []
        for objective in self.objectives:
            extra = 7.0 if objective == "total" and self.weight_decay else 0.0
            whole = hessian + trial.seed / 2 + extra
            rows.append(self._row("gradient_noise_trace", noise, objective=objective))
            rows.append(self._row("hessian_trace", whole, objective=objective))
            for layer in self.layers:
                share = 1 / len(self.layers)
                rows += [
                    self._row("gradient_noise_trace", noise * share, layer=layer,
                              objective=objective),
                    self._row("hessian_trace", whole * share, layer=layer, objective=objective),
                ]  # fmt: skip
        return rows


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk():
    """Durability is tested with the store; here hundreds of commits need not wait for it."""
    patch = pytest.MonkeyPatch()
    patch.setattr(os, "fsync", lambda descriptor: None)
    yield
    patch.undo()


@pytest.fixture(scope="session")
def sweep_in():
    """Make a sweep in a given store."""
    return SyntheticSweep


@pytest.fixture
def store(tmp_path) -> Store:
    return Store.open(str(tmp_path / "store"))


@pytest.fixture(scope="session")
def report_of():
    """Compute the report of a sweep in a store."""

    def compute(store, sweep):
        from analysis.report.report import compute_report

        data = load_sweep(store, sweep)
        return compute_report(data, aggregate_records(data), store.uri)

    return compute


@pytest.fixture
def synthetic_sweep(store):
    """Make a sweep in the test's store."""

    def make(**settings) -> SyntheticSweep:
        return SyntheticSweep(store, **settings)

    return make


@pytest.fixture(scope="session")
def environment_facts():
    """Make what an environment's id is the hash of."""

    def make(**changes) -> EnvironmentFacts:
        facts = {
            "tensorflow": "2.21.0", "keras": "3.12.0", "numpy": "2.3.5", "cuda": "None",
            "cudnn": "None", "machine": "x86_64", "device": "Some CPU",
            "instruction_sets": "avx fma", "intra_op_threads": 2, "inter_op_threads": 1,
            "onednn": "default", "op_determinism": True, "tensor_float_32": False,
        }  # fmt: skip
        return EnvironmentFacts(**facts | changes)

    return make


@pytest.fixture(scope="session")
def seen():
    """Make a measurement of SGD: training split, total objective, frozen, 64 independent units."""

    def make(quantity, value, **fields):
        given = {
            "stderr": 0.0, "num_samples": 64, "method": "streams", "bn_mode": "frozen",
            "split": "train", "objective": "total",
        }  # fmt: skip
        return Measurement(quantity=quantity, value=value, **given | fields)

    return make


@pytest.fixture(scope="session")
def measured_in():
    """Collect what was measured in the sweep `toy` of a store: its records, means by cell, findings."""

    def collect(store):
        data = load_sweep(store, "toy")
        frame = cell_measurements(data).to_pandas()
        return data, frame, measured_cells(data, frame)

    return collect


_PAPER_PAIRS = [(size, rate) for size in (100, 200, 500) for rate in (0.08, 0.2, 0.5)]


@pytest.fixture
def paper_sweep(synthetic_sweep):
    """Make the paper's grid with five seeds."""
    return synthetic_sweep(name="paper-kld", pairs=_PAPER_PAIRS, seeds=[0, 1, 2, 3, 4])


@pytest.fixture(scope="session")
def paper_data(tmp_path_factory):
    """Load the records of the paper's grid, wholly trained and measured."""
    store = Store.open(str(tmp_path_factory.mktemp("paper")))
    SyntheticSweep(store, name="paper-kld", pairs=_PAPER_PAIRS, seeds=[0, 1, 2, 3, 4]).fill()
    return load_sweep(store, "paper-kld")


@pytest.fixture(scope="session")
def paper_table(paper_data):
    """Build Table 1 of the paper's grid."""
    return build_table1(paper_data)


# Measured laws ------------------------------------------------------------------------------------


def _prediction(ratio=None, half=0.05, **changes):
    """Make a row of view `predictions`: measured = ratio · predicted, interval ln(ratio) ± half."""
    row = {
        "sweep": "toy", "loss": "kld", "batch_size": 100, "learning_rate": 0.1,
        "learning_rate_used": 0.01, "prediction": "wang_4_45", "target": "excess_loss",
        "statistic_id": "s", "bn_mode": "frozen", "sampler": "replacement", "num_steps": 512,
        "predicted": 2e-5, "predicted_stderr": 1e-6, "measured": None, "measured_stderr": None,
        "measured_by": "fork", "log_ratio": None, "valid": True, "reason": None,
        "log_ratio_low": None, "log_ratio_high": None, "verdict": None, "reasons": [],
    } | changes  # fmt: skip
    if ratio is not None:
        log_ratio = math.log(ratio)
        bounds = (None, None) if half is None else (log_ratio - half, log_ratio + half)
        row |= {
            "measured": ratio * row["predicted"],
            "measured_stderr": 0.05 * ratio * row["predicted"],
            "log_ratio": log_ratio,
            "log_ratio_low": bounds[0],
            "log_ratio_high": bounds[1],
            "verdict": judge(*bounds),
        } | changes
    return row


@pytest.fixture(scope="session")
def prediction():
    """Make a row of view `predictions`."""
    return _prediction


@pytest.fixture(scope="session")
def predictions_table():
    """Make view `predictions` of rows."""
    return lambda rows: pa.Table.from_pylist(rows, schema=VIEWS["predictions"])


@dataclass
class ForkedSweep(SyntheticSweep):
    """A sweep whose networks are quadratic bowls, with forks that SGD's closed form gives exactly.

    λ = scale·η^-½·(1, ½, ¼, …), c = strength·λ^power: tr σ² = Σc, tr H = Σλ. What
    forks find scatters by `scatter` on the logarithm.
    """

    weight_decay: float = 5e-4
    sampler: str = "replacement"
    num_directions: int = 8
    scale: float = 20.0
    strength: float = 0.05
    power: float = 1.0
    fork: ForkSpec = field(default_factory=lambda: ForkSpec(num_steps=256, num_windows=4))
    scatter: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        self.spectrum = SpectrumSpec(objective="total", num_draws=4)
        self.statistics = [*self.statistics, self.fork, self.spectrum]

    def eigenvalues(self, trial):
        """λ of a trial: larger learning rates find flatter minima."""
        flatness = trial.learning_rate**-0.5
        return self.scale * flatness * 0.5 ** np.arange(self.num_directions)

    def noises(self, trial):
        """Give c of a trial."""
        return self.strength * (1 + 0.1 * trial.seed) * self.eigenvalues(trial) ** self.power

    def variances(self, trial, steps):
        """Σ_{t<T} (1 - ηλ)^{2t} η²c/m, mean over T in steps."""
        rate = self.fork.learning_rate or trial.final_learning_rate
        decay = (1 - rate * self.eigenvalues(trial)) ** 2
        kick = rate**2 * self.noises(trial) / trial.batch_size
        return np.mean([kick * (1 - decay**step) / (1 - decay) for step in steps], axis=0)

    def measure(self, trial, **changes):
        """Commit every planned statistic of a trial."""
        planned, self.statistics = self.statistics, self.statistics[:2]
        traces = {
            "gradient_noise_trace": float(self.noises(trial).sum()),
            "hessian_trace": float(self.eigenvalues(trial).sum()),
        }
        super().measure(trial, changes=traces, **changes)
        self.statistics = planned
        found = measurement_table(
            trial_id(trial), self.fork, statistic_id(self.fork), self._fork_rows(trial)
        )
        key = (trial_id(trial), statistic_id(self.fork))
        self.store.commit("measurements", key, "measuring", found)
        self._commit_spectrum(trial)

    def _commit_spectrum(self, trial):
        """Commit draws of μ_σ whose nodes are λ and whose weights scatter about c by 5 %."""
        draw, identity = np.random.default_rng(trial.seed), statistic_id(self.spectrum)
        rows = [self._row("hessian_trace", float(self.eigenvalues(trial).sum()), objective="total")]
        found = measurement_table(trial_id(trial), self.spectrum, identity, rows)
        nodes = [
            SpectrumNode(kind=kind, draw=number, node=float(node), weight=float(weight))
            for kind, weights in (("noise", self.noises(trial)), ("hessian", self.eigenvalues(trial)))
            for number in range(self.spectrum.num_draws)
            for node, weight in zip(self.eigenvalues(trial), weights, strict=True)
            for weight in [weight * (1 + 0.05 * draw.standard_normal())]
        ]  # fmt: skip
        key = (trial_id(trial), identity)
        self.store.commit("measurements", key, "measuring", found)
        self.store.commit("spectra", key, "measuring", spectrum_table(*key, nodes))

    def _fork_rows(self, trial):
        draw = np.random.default_rng(trial.seed * 1000 + trial.batch_size)
        rows = []
        for steps in self.fork.windows():
            excess = 0.5 * float(self.eigenvalues(trial) @ self.variances(trial, steps))
            excess *= math.exp(self.scatter * draw.standard_normal())
            rows.append(self._fork_row("excess_loss", excess, 0.05 * excess, index=steps[-1]))
            rows.append(
                self._fork_row("harmonic_excess_loss", excess, 0.05 * excess, index=steps[-1])
            )
        variances = self.variances(trial, self.fork.windows()[-1])
        variances = variances * np.exp(self.scatter * draw.standard_normal(len(variances)))
        for index, (eigenvalue, noise, variance) in enumerate(
            zip(self.eigenvalues(trial), self.noises(trial), variances, strict=True)
        ):
            rows += [
                self._fork_row("hessian_top_eigenvalue", eigenvalue, 0.0, index=index),
                self._fork_row("direction_noise", noise, 0.0, index=index),
                self._fork_row("direction_variance", variance, 0.18 * variance, index=index),
            ]
        return rows

    def _fork_row(self, quantity, value, stderr, *, index):
        return Measurement(
            quantity=quantity, value=float(value), stderr=float(stderr),
            num_samples=self.fork.num_streams, method="forks", bn_mode=self.fork.bn_mode,
            split="train", objective="total", index=index,
        )  # fmt: skip


@pytest.fixture(scope="session")
def forked_sweep_in():
    """Make a sweep with forks in a given store."""
    return ForkedSweep


@pytest.fixture
def forked_sweep(store):
    """Make a sweep with forks in the test's store."""

    def make(**settings) -> ForkedSweep:
        return ForkedSweep(store, **settings)

    return make
