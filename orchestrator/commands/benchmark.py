"""Time a few steps of each batch size on this machine, as many trials at once as it holds, before anything is recorded."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from orchestrator.planning.estimate import Estimator
from orchestrator.planning.fit import Node
from orchestrator.planning.prepare import Options, Prepared
from workers.contract.errors import user_error
from workers.contract.pace_question import PaceAnswer, PaceQuestion
from workers.contract.specs import TrialSpec
from workers.process.children.apart import ask_apart
from workers.process.surroundings import for_tensorflow, with_devices

_TIMED_SECONDS = 2.0
"""Of an epoch of the steps that are timed, by the estimate that they are to better."""
_LEAST_STEPS, _STEPS_OF_PLUGINS = 4, 20


def refuse_cluster(options: Options) -> None:
    """Refuse to time a plan for a cluster, before its nodes are asked.

    Raises:
        UserError: An address is given.
    """
    if options.address is not None:
        raise user_error(
            "the benchmark times this machine, and the plan is for a cluster",
            where="--benchmark",
            mend="leave out --address and RAY_ADDRESS; of a cluster its recorded trials tell",
        )


def timed_here(prepared: Prepared, options: Options, machine: Node) -> Prepared:
    """Estimate what is to be trained by a few steps taken on this machine, each trial on devices of its own.

    Nothing is timed where nothing is to be trained, or where no trial fits; then the estimate stays.

    Raises:
        UserError: The process that trains ended without an answer.
    """
    resources = prepared.sweep.resources
    work = [item.planned.trial for item in prepared.open_work if not item.is_trained]
    at_once = min(machine.slots_for(resources), len(work))
    if not at_once:
        return prepared
    seconds = {}
    for trial in {each.batch_size: each for each in work}.values():
        question = PaceQuestion(
            trial=trial,
            num_steps=_num_steps(trial, prepared.estimator),
            data_dir=options.data_dir,
            num_threads=resources.cpus,
            uses_gpu=resources.gpus > 0,
        )
        devices = [devices_of_slot(place, resources.gpus) for place in range(at_once)]
        seconds[trial.batch_size] = _asked(question, devices)
    return replace(prepared, estimator=prepared.estimator.timed(work[0], seconds))


def _num_steps(trial: TrialSpec, estimator: Estimator) -> int:
    """Return how many steps are some seconds by the estimate so far."""
    trained = estimator.num_train * trial.training.epochs / trial.batch_size
    of_step = estimator.training_seconds(trial) / trained
    if not math.isfinite(of_step):
        return _STEPS_OF_PLUGINS
    return max(_LEAST_STEPS, math.ceil(_TIMED_SECONDS / of_step))


def devices_of_slot(place: int, gpus: float) -> tuple[int, ...]:
    """Return which of this machine's GPUs, counted from 0, the trial at a place among those at once has.

    Args:
        place: From 0.
        gpus: That a trial holds: a whole number, or a share 1/n of one, which n trials have together.
    """
    if gpus >= 1:
        return tuple(range(round(place * gpus), round((place + 1) * gpus)))
    return (int(place * gpus + 1e-9),) if gpus else ()


def _asked(question: PaceQuestion, devices: Sequence[Sequence[int]]) -> float:
    """Return the mean answer of one process for each set of devices, all at once."""
    with ThreadPoolExecutor(len(devices)) as threads:
        answers = [threads.submit(_ask, question, each) for each in devices]
        return math.fsum(each.result() for each in answers) / len(devices)


def _ask(question: PaceQuestion, devices: Sequence[int]) -> float:
    answer = ask_apart(
        "workers.attempts.training_pace",
        question.model_dump_json(),
        _surroundings(question, devices),
    )
    if answer is None:
        raise user_error(
            f"the process that trains {question.trial.model.name!r} in batches of "
            f"{question.trial.batch_size} ended without an answer",
            where="--benchmark",
            mend="leave it out, and run a trial: its log tells more",
        )
    return PaceAnswer.model_validate_json(answer).seconds


def _surroundings(question: PaceQuestion, devices: Sequence[int]) -> Mapping[str, str]:
    if not devices:
        return for_tensorflow(os.environ, is_right_with_onednn=question.trial.is_right_with_onednn)
    # of these there are enough, as slots are counted by them
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(each) for each in range(devices[-1] + 1)]
    chosen = {"CUDA_VISIBLE_DEVICES": ",".join(names[each] for each in devices)}
    return with_devices(os.environ) | chosen | {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
