"""What a process with TensorFlow is asked of how fast a trial trains, and what it answers."""

from __future__ import annotations

from workers.contract.frozen import Count, Frozen
from workers.contract.specs import TrialSpec


class PaceQuestion(Frozen):
    """How long would this trial train on this machine?

    Attributes:
        trial: The trial.
        num_steps: How many of its steps are timed at once.
        data_dir: Where the data are.
        num_threads: Of an attempt.
        uses_gpu: Whether attempts hold a GPU.
    """

    trial: TrialSpec
    num_steps: Count
    data_dir: str | None
    num_threads: Count
    uses_gpu: bool


class PaceAnswer(Frozen):
    """Seconds of the whole training: building and compiling once, all epochs with their evaluation."""

    seconds: float
