"""How long a trial would train on this machine, by a few steps of it, in a process of its own.

Answers a `PaceQuestion` with a `PaceAnswer`, both JSON. The steps are those of an attempt, with its
network, data, threads and determinism; nothing of them is kept.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace

from workers.attempts.kept_model import build_model
from workers.attempts.train_unrecorded import train_unrecorded
from workers.contract.pace_question import PaceAnswer, PaceQuestion
from workers.contract.specs import ConvergenceSpec, TrialSpec
from workers.datasets.checked.loading import load_dataset
from workers.process import environment
from workers.process.children.apart import answer_apart

_EPOCHS = 3
"""The first of them compiles; of the others the fastest counts, which nothing else held up."""
_LEARNING_RATE = 1e-6


def training_seconds(question: PaceQuestion) -> float:
    """Train a few steps of a trial, and reckon how long all of them would take.

    Timed are epochs over the first examples of both splits, in the proportion of the whole. No loss
    grows at the learning rate taken, which no time depends on.

    Raises:
        UserError: The data cannot be read, or do not fit the trial.
    """
    began, trial = time.perf_counter(), question.trial
    whole = load_dataset(trial.dataset, question.data_dir)
    share = min(1.0, question.num_steps * trial.batch_size / len(whole.train))
    part = replace(
        whole,
        train=whole.train.first(math.ceil(share * len(whole.train))),
        test=whole.test.first(math.ceil(share * len(whole.test))),
    )
    shortened = _shortened(trial)
    model = build_model(shortened, part, shortened.training.precision)
    records = train_unrecorded(shortened, model, part).records
    epoch = min(each.seconds for each in records[1:])
    starting = max(0.0, time.perf_counter() - began - epoch * len(records))
    return starting + trial.training.epochs * epoch / share


def _shortened(trial: TrialSpec) -> TrialSpec:
    changes = {"epochs": _EPOCHS, "milestones": [], "convergence": ConvergenceSpec()}
    training = trial.training.model_copy(update=changes)
    return trial.model_copy(update={"training": training, "learning_rate": _LEARNING_RATE})


def _answer(question_json: str) -> str:
    question = PaceQuestion.model_validate_json(question_json)
    environment.prepare(question.num_threads, uses_gpu=question.uses_gpu)
    return PaceAnswer(seconds=training_seconds(question)).model_dump_json()


if __name__ == "__main__":
    answer_apart(_answer)
