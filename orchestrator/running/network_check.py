"""Refuse a user's own network or loss before anything is started; it takes a process that has TensorFlow."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from orchestrator.planning.prepare import Options, Prepared
from workers.contract.catalog import is_plugin
from workers.contract.errors import Fault, UserError
from workers.contract.lacking import Missing
from workers.contract.network_question import NetworkAnswer, NetworkQuestion
from workers.process.children.apart import ask_apart, ask_of_all


def refuse_network(prepared: Prepared, work: Sequence[Missing], options: Options) -> None:
    """Refuse a network that cannot be trained, kept or measured as asked for.

    Built-in ones with a built-in loss can. The first trial's stands for all. Where the process ends without
    an answer and no plugin had the word, nothing is refused: the first attempt will tell.

    Args:
        prepared: The sweep.
        work: What of it is to be done; without any, nothing is asked.
        options: Where the data are.

    Raises:
        UserError: All that training and the statistics would refuse, or a plugin ended the process.
    """
    sweep = prepared.sweep
    named = {"model.name": sweep.model.name, "loss": sweep.loss}
    plugins = {key for key, name in named.items() if is_plugin(name)}
    if not work or not plugins:
        return

    def ask(ended: Collection[str]) -> list[Fault]:
        if plugins <= set(ended):
            return []
        question = NetworkQuestion(
            trial=work[0].planned.trial,
            statistics=sweep.measure,
            data_dir=options.data_dir,
            left_out=sorted(ended),
        )
        answer = _ask(question.model_dump_json())
        return [] if answer is None else answer.read()

    faults = ask_of_all(ask)
    if faults:
        raise UserError(
            [replace(fault, where=f"{prepared.where}, {fault.where}") for fault in faults]
        )


def _ask(question: str) -> NetworkAnswer | None:
    answer = ask_apart("workers.attempts.network_check", question)
    return None if answer is None else NetworkAnswer.model_validate_json(answer)
