"""Sweeps with known records, put into a store through its own interface."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from analysis.table1 import table1
from workers.contract.identity import statistic_id, trial_id
from workers.contract.plan_document import PlanDocument, PlannedStatistic, PlannedTrial
from workers.contract.records import (
    EpochRecord,
    FailureRecord,
    Measurement,
    TrialRecord,
    measurement_table,
    spectrum_table,
    table,
)
from workers.contract.specs import Cifar10Spec, ResNetSpec, TrainingSpec, TrialSpec
from workers.contract.statistics import LossesSpec, TracesSpec
from workers.contract.store import Store

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

    def train(self, trial, *, outcome="converged", environment_id="env-a"):
        """Commit the epochs and the record of a trial."""
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
            finished_at=_TIME, spec=trial.model_dump_json(),
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

    def fail(self, trial, statistic=None, attempt_id="failed"):
        """Commit a failure of the training, or of one statistic."""
        record = FailureRecord(
            trial_id=trial_id(trial),
            statistic_id=None if statistic is None else statistic_id(statistic),
            attempt_id=attempt_id, failure_class="out_of_memory", signature="oom",
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


@pytest.fixture
def synthetic_sweep(store):
    """Make a sweep in the test's store."""

    def make(**settings) -> SyntheticSweep:
        return SyntheticSweep(store, **settings)

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


_PAPER_PAIRS = [(size, rate) for size in (100, 200, 500) for rate in (0.08, 0.2, 0.5)]


@pytest.fixture
def paper_sweep(synthetic_sweep):
    """Make the paper's grid with five seeds."""
    return synthetic_sweep(name="paper-kld", pairs=_PAPER_PAIRS, seeds=[0, 1, 2, 3, 4])


@pytest.fixture(scope="session")
def paper_table(tmp_path_factory):
    """Build Table 1 of the paper's grid, wholly trained and measured."""
    store = Store.open(str(tmp_path_factory.mktemp("paper")))
    SyntheticSweep(store, name="paper-kld", pairs=_PAPER_PAIRS, seeds=[0, 1, 2, 3, 4]).fill()
    return table1(store, "paper-kld")
