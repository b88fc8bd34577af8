"""The training loop: what it records, how it ends, and that stops leave no trace in the bits."""

from __future__ import annotations

import random

import numpy as np
import pytest

from workers.contract.errors import Drained, UserError
from workers.datasets.dataset import Split
from workers.models.mlp import MLPSpec
from workers.models.resnet import ResNetSpec
from workers.network.weights import digest_of_weights
from workers.training.loop import Trainer


def train(job, checkpoints, pulse):
    trained = Trainer(job, checkpoints, pulse).run()
    return trained, digest_of_weights(job.model)


def without_seconds(trained):
    return [record.model_copy(update={"seconds": 0.0}) for record in trained.records]


def train_with_stops(make_job, make_checkpoints, make_pulse, seed, **options):
    """Train in several lives of new objects, each ended after a random number of chunks."""
    chance = random.Random(seed)  # noqa: S311 - where to stop is no secret
    lives = 0
    while True:
        stop_at = chance.randrange(1, 7) if lives < 5 else None
        pulse = make_pulse(stop_at=stop_at, chunk_seconds=chance.choice([0.1, 0.3, 0.5]))
        try:
            found = train(make_job(**options), make_checkpoints(f"life{lives}"), pulse)
        except Drained:
            lives += 1
        else:
            return found, lives


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"momentum": 0.9, "weight_decay": 1e-3, "milestones": [1, 2], "sampler": "replacement"},
        {"momentum": 0.9, "ragged_batch": "keep"},
        {"loss": "squared_error", "ragged_batch": "keep", "sampler": "replacement"},
        {"precision": "mixed_bfloat16", "momentum": 0.5},
    ],
    ids=lambda options: "-".join(map(str, options.values())) or "plain",
)
def test_stops_leave_no_trace_in_the_bits(make_job, make_checkpoints, make_pulse, options):
    """Stopped in the middle of epochs and resumed: weights and epochs as trained straight through."""
    straight, digest = train(make_job(**options), make_checkpoints("straight"), make_pulse())
    (resumed, other_digest), lives = train_with_stops(
        make_job, make_checkpoints, make_pulse, seed=1, **options
    )
    assert lives >= 3
    assert other_digest == digest
    assert without_seconds(resumed) == without_seconds(straight)
    assert resumed.ending == straight.ending


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_stops_leave_no_trace_in_batch_norm_and_augmentation(
    make_job, make_checkpoints, make_pulse, precision
):
    """A residual network's moving averages and the random crops resume as well."""
    options = {
        "model": ResNetSpec(depth=8),
        "momentum": 0.9,
        "weight_decay": 1e-4,
        "augmentation": "pad_crop_flip",
        "ragged_batch": "keep",
        "precision": precision,
    }
    straight, digest = train(make_job(**options), make_checkpoints("straight"), make_pulse())
    (resumed, other_digest), lives = train_with_stops(
        make_job, make_checkpoints, make_pulse, seed=2, **options
    )
    assert lives >= 3
    assert other_digest == digest
    assert without_seconds(resumed) == without_seconds(straight)


def test_a_damaged_checkpoint_costs_steps_and_not_bits(
    make_job, make_checkpoints, make_pulse, store
):
    """Resumed from the one before, training still ends with the same weights."""
    _, digest = train(make_job(), make_checkpoints("straight"), make_pulse())
    with pytest.raises(Drained):
        train(make_job(), make_checkpoints(), make_pulse(stop_at=7, checkpoint_seconds=0.01))
    paths = store.names("checkpoints/work")
    assert len(paths) == 2
    store.write_bytes(paths[-1], store.read_bytes(paths[-1])[:-1])
    _, other_digest = train(make_job(), make_checkpoints("second"), make_pulse())
    assert other_digest == digest


def test_nothing_is_saved_twice_at_one_step(make_job, make_checkpoints, make_pulse, store):
    """An evaluation after a checkpoint changes no weight; a cadence shorter than a chunk saves each."""
    written = []
    checkpoints = make_checkpoints()
    save = checkpoints.save
    checkpoints.save = lambda done, arrays: (written.append(done), save(done, arrays))
    train(make_job(), checkpoints, make_pulse(checkpoint_seconds=0.0))
    assert written == sorted(set(written))
    assert written[-1] == 18


def test_epochs_record_the_schedule_and_the_means(make_job, make_checkpoints, make_pulse):
    """η drops at milestones; at the first epoch of a tiny η the training loss is the initial one."""
    job = make_job(learning_rate=1e-9, milestones=[2], decay=0.5, batch_size=10)
    inputs = (job.dataset.train.inputs.astype(np.float32) - 128) / 64
    initial = job.loss.per_example(job.model(inputs), job.dataset.train.targets).numpy().mean()
    trained, _ = train(job, make_checkpoints(), make_pulse())
    assert [record.learning_rate for record in trained.records] == [1e-9, 1e-9, 5e-10]
    assert [record.epoch for record in trained.records] == [0, 1, 2]
    assert trained.records[0].train_loss == pytest.approx(initial, rel=1e-5)
    assert trained.records[0].train_accuracy * 50 == pytest.approx(
        round(trained.records[0].train_accuracy * 50)
    )


def test_time_is_counted_over_all_attempts(make_job, make_checkpoints, make_pulse):
    """The seconds of the epochs add up to the whole, over two lives."""
    with pytest.raises(Drained):
        train(make_job(), make_checkpoints(), make_pulse(stop_at=4))
    spent = float(make_checkpoints().newest().arrays["numbers"][1])
    trained, _ = train(make_job(), make_checkpoints("second"), make_pulse())
    assert 0 < spent < trained.seconds
    assert sum(record.seconds for record in trained.records) == pytest.approx(trained.seconds)


def test_training_learns(make_job, make_checkpoints, make_pulse):
    """Ten epochs on separable images end at full training accuracy, recorded as an outcome."""
    trained, _ = train(make_job(epochs=10), make_checkpoints(), make_pulse())
    assert trained.records[-1].train_accuracy == 1.0
    assert trained.records[-1].train_loss < trained.records[0].train_loss / 4
    assert trained.ending.outcome == "budget_spent"


def test_convergence_stops_training_when_asked(make_job, make_checkpoints, make_pulse):
    """At η ≈ 0 the rule holds as soon as it can: at epoch 2 with a patience of 2."""
    rule = {"patience_epochs": 2, "stop": True}
    job = make_job(epochs=9, learning_rate=1e-9, batch_size=10, convergence=rule)
    trained, _ = train(job, make_checkpoints(), make_pulse())
    assert len(trained.records) == 3
    assert trained.ending.outcome == "converged"
    assert trained.ending.converged_at_epoch == 2


def test_a_loss_that_is_not_finite_ends_training_there(make_job, make_checkpoints, make_pulse):
    """A squared error at a huge η explodes in the first epoch; its record is kept."""
    job = make_job(loss="squared_error", learning_rate=1e6)
    trained, _ = train(job, make_checkpoints(), make_pulse())
    assert trained.ending.outcome == "nonfinite"
    assert len(trained.records) == 1
    assert not np.isfinite(trained.records[0].train_loss)


def test_weights_that_are_not_finite_end_training(make_job, make_checkpoints, make_pulse):
    """The only step of an epoch overflows, after its loss was taken: the loss is finite, the weights are not."""
    job = make_job(batch_size=50, learning_rate=3e38, momentum=0.0, weight_decay=1e3)
    trained, _ = train(job, make_checkpoints(), make_pulse())
    assert np.isfinite(trained.records[0].train_loss)
    assert trained.ending.outcome == "nonfinite"
    assert len(trained.records) == 1


def test_a_loss_that_explodes_slowly_is_a_divergence(
    make_job, make_checkpoints, make_pulse, toy_dataset
):
    """Linear least squares at η = 2.2/λ₁: the loss grows by (1 - ηλ₁)² = 1.44 a step to tenfold."""
    inputs = (toy_dataset.train.inputs.reshape(50, -1).astype(np.float64) - 128) / 64
    features = np.hstack([inputs, np.ones((50, 1))])
    top_eigenvalue = np.linalg.eigvalsh(features.T @ features / 50)[-1]
    options = {"model": MLPSpec(), "loss": "squared_error", "batch_size": 50, "epochs": 60}
    job = make_job(learning_rate=2.2 / top_eigenvalue, **options)
    trained, _ = train(job, make_checkpoints(), make_pulse())
    losses = [record.train_loss for record in trained.records]
    assert trained.ending.outcome == "diverged"
    assert losses[-2] <= 10 * losses[0] < losses[-1]
    assert losses[-1] / losses[-2] == pytest.approx(1.44, rel=0.01)


def test_progress_tells_step_epoch_and_loss(make_job, make_checkpoints, make_pulse):
    """After each chunk, and where it was resumed."""
    told = []
    with pytest.raises(Drained, match="stopped at step 2 of 18"):
        train(make_job(), make_checkpoints(), make_pulse(stop_at=2, report=told.append))
    assert (told[-1].phase, told[-1].done, told[-1].total) == ("training", 2, 18)
    assert (told[-1].epoch, told[-1].epochs, told[-1].resumed_at) == (0, 3, None)
    assert told[-1].train_loss > 0
    train(make_job(), make_checkpoints(), make_pulse(report=told.append))
    assert told[-1].resumed_at == 2


def test_regression_has_no_accuracy(make_job, make_checkpoints, make_pulse, toy_dataset):
    """Targets that are not labels."""
    regression = type(toy_dataset)(**{**vars(toy_dataset), "is_classification": False})
    trained, _ = train(
        make_job(dataset=regression, loss="squared_error", learning_rate=1e-3),
        make_checkpoints(),
        make_pulse(),
    )
    assert trained.records[0].train_accuracy is None
    assert trained.records[0].validation_accuracy is None


def test_features_cannot_be_augmented(make_job, make_checkpoints, make_pulse, toy_dataset):
    """Refused before the first step."""
    flat = [
        Split(s.inputs.reshape(len(s), -1), s.targets)
        for s in (toy_dataset.train, toy_dataset.test)
    ]
    features = type(toy_dataset)(**{**vars(toy_dataset), "train": flat[0], "test": flat[1]})
    job = make_job(dataset=features, augmentation="pad_crop_flip")
    with pytest.raises(UserError, match="needs images"):
        Trainer(job, make_checkpoints(), make_pulse())
