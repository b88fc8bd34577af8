"""Refuse a user's own network before anything is started; it takes a process that has TensorFlow."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from orchestrator.planning.prepare import Options, Prepared
from workers.contract.catalog import is_plugin
from workers.contract.errors import UserError
from workers.contract.lacking import Missing
from workers.contract.network_question import NetworkAnswer, NetworkQuestion

_PATIENCE_SECONDS = 300.0


def refuse_network(prepared: Prepared, work: Sequence[Missing], options: Options) -> None:
    """Refuse a network that cannot be trained, kept or measured as asked for.

    Built-in ones can. The first trial's stands for all. Where the process ends without an answer,
    nothing is refused: the first attempt will tell.

    Args:
        prepared: The sweep.
        work: What of it is to be done; without any, nothing is asked.
        options: Where the data are.

    Raises:
        UserError: All that training and the statistics would refuse.
    """
    if not work or not is_plugin(prepared.sweep.model.name):
        return
    question = NetworkQuestion(
        trial=work[0].planned.trial,
        statistics=prepared.sweep.measure,
        data_dir=options.data_dir,
    )
    answer = _ask(question.model_dump_json())
    if answer is not None and answer.faults:
        raise UserError(answer.read())


def _ask(question: str) -> NetworkAnswer | None:
    # -P: the folder we happen to stand in must not shadow our packages
    try:
        ended = subprocess.run(
            [sys.executable, "-P", "-m", "workers.attempts.network_check"],
            input=question.encode(),
            capture_output=True,
            timeout=_PATIENCE_SECONDS,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"},
            check=True,
        )
        return NetworkAnswer.model_validate_json(ended.stdout)
    except (subprocess.SubprocessError, ValueError):
        return None
