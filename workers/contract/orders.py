"""What one child process is told to do, and what it answers: JSON both ways."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, field_validator

from workers.contract.failure_classes import FailureClass
from workers.contract.frozen import Count, Frozen, Positive
from workers.contract.specs import TrialSpec
from workers.contract.statistics import StatisticSpec

ORDER_FILE, PROGRESS_FILE, ANSWER_FILE = "order.json", "progress.json", "answer.json"
PLUGIN_FILE = "plugin.json"
"""In the folder of an attempt: what it is told, how far it is, how it ended, and which plugin it calls."""

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USER_ERROR = 2
EXIT_DRAINED = 3
EXIT_UNANSWERED = 4
"""Exit codes of a child: it committed; it failed (see the answer); bad input; it saved and left; the
answer could not be written."""


class Order(Frozen):
    """One attempt: train a trial (`statistic` None) or take one statistic of its kept model.

    Attributes:
        trial: What to train or measure.
        trial_id: Its identity, as the planner computed it; the child refuses when its own differs.
        statistic: What to measure; None to train.
        statistic_id: Its identity.
        attempt_id: Unique to this attempt.
        store: URI of the store.
        data_dir: Where the data set's files are; None to look in the cache or download.
        checkpoint_seconds: Time between checkpoints.
        chunk_seconds: Longest time the compiled loop runs before it looks at a stop request.
        num_threads: Intra-op threads of TensorFlow.
        device_share: Share of one GPU held: 1, 1/n, or 0 for none.
        scratch: A local folder of this attempt for PROGRESS_FILE and ANSWER_FILE.
    """

    trial: TrialSpec
    trial_id: str
    statistic: StatisticSpec | None = None
    statistic_id: str | None = None
    attempt_id: str
    store: str
    data_dir: str | None = None
    checkpoint_seconds: Positive = 60.0
    chunk_seconds: Positive = 2.0
    num_threads: Count = 1
    device_share: float = 0.0
    scratch: str

    @property
    def work_id(self) -> str:
        """The identity of the work itself, over all attempts: names its checkpoints."""
        return (
            self.trial_id if self.statistic_id is None else f"{self.trial_id}.{self.statistic_id}"
        )


class Progress(Frozen):
    """How far an attempt is; `done` of `total` units (steps of training, examples of a statistic)."""

    phase: Literal["starting", "training", "measuring", "committing"]
    done: Annotated[int, Field(lt=2**63)] = 0
    total: Annotated[int, Field(lt=2**63)] = 0
    epoch: int | None = None
    epochs: int | None = None
    train_loss: float | None = Field(default=None, allow_inf_nan=True)
    resumed_at: int | None = None

    @field_validator("train_loss")
    @classmethod
    def _one_nan(cls, value: float | None) -> float | None:
        """Let two that tell the same be equal: then nothing has moved, though NaN differs from itself."""
        return math.nan if value is not None and math.isnan(value) else value


class Answer(Frozen):
    """How an attempt ended, written by the child before it exits."""

    status: Literal["committed", "failed", "user_error", "drained"]
    failure_class: FailureClass | None = None
    signature: str | None = None
    message: str | None = None


class Heartbeat(Frozen):
    """What an attempt tells the store while it lives, so that any machine can see it.

    Attributes:
        state: "claiming" until no other run is seen to do the same, "running", "ended" however it ended.
        statistic: What is measured; None while training.
        statistic_id: Its identity.
        pid: Of the slot's process on `host`.
        devices: CUDA_VISIBLE_DEVICES of the attempt; "-1" for none.
        beat_at: ISO 8601, UTC.
    """

    trial_id: str
    attempt_id: str
    statistic: str | None
    statistic_id: str | None = None
    sweep: str
    run_id: str
    state: Literal["claiming", "running", "ended"]
    host: str
    pid: int
    devices: str
    device_share: float
    started_at: str
    beat_at: str
    progress: Progress
