"""A few steps of a trial tell how long all of them would take."""

from __future__ import annotations

import math
import tempfile
from types import SimpleNamespace

import pytest

from workers.attempts import training_pace
from workers.attempts.training_pace import training_seconds
from workers.contract.pace_question import PaceQuestion

NUM_TRAIN, NUM_TEST = 1437, 360
"""Of the digits."""


@pytest.fixture
def question(make_trial):
    """Ask for a perceptron of the digits, 50 epochs of steps of 8, so many of them timed."""

    def make(num_steps, **training):
        trial = make_trial(epochs=50, milestones=[20], learning_rate=3.0, **training)
        return PaceQuestion(
            trial=trial, num_steps=num_steps, data_dir=None, num_threads=1, uses_gpu=False
        )

    return make


@pytest.fixture
def trained(monkeypatch):
    """Take 9, 2 and 3 s an epoch, and 20 s in all."""
    seen = []

    def train(trial, _, dataset):
        seen.append((trial, dataset))
        return SimpleNamespace(records=[SimpleNamespace(seconds=each) for each in (9.0, 2.0, 3.0)])

    clock = iter([100.0, 120.0])
    monkeypatch.setattr(training_pace, "train_unrecorded", train)
    monkeypatch.setattr(training_pace.time, "perf_counter", lambda: next(clock))
    return seen


def test_the_fastest_epoch_of_a_part_stands_for_all(question, trained):
    """Starting took 20 s less three such epochs; 20 of 179 steps are 160 of 1437 examples."""
    assert training_seconds(question(20)) == pytest.approx(14.0 + 50 * 2.0 * NUM_TRAIN / 160)
    ((_, part),) = trained
    assert (len(part.train), len(part.test)) == (160, math.ceil(160 * NUM_TEST / NUM_TRAIN))


def test_more_steps_than_an_epoch_has_time_whole_epochs(question, trained):
    """No example is there twice."""
    assert training_seconds(question(10_000)) == pytest.approx(14.0 + 50 * 2.0)
    ((_, part),) = trained
    assert (len(part.train), len(part.test)) == (NUM_TRAIN, NUM_TEST)


def test_what_is_timed_ends_neither_early_nor_in_a_divergence(question, trained):
    """Three epochs at a rate at which no loss grows, whatever the trial's own rules are."""
    rule = {"metric": "train_loss", "stop": True, "relative_change": 0.9, "patience_epochs": 1}
    training_seconds(question(20, convergence=rule))
    ((short, _),) = trained
    assert (short.training.epochs, short.training.milestones) == (3, [])
    assert not short.training.convergence.stop
    assert short.learning_rate == 1e-6


def test_a_real_training_takes_time_and_leaves_nothing(question, tmp_path, monkeypatch):
    """The time is that of the steps and their evaluation; nothing is kept."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert 0 < training_seconds(question(5)) < math.inf
    assert not list(tmp_path.iterdir())
