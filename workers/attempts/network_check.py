"""Check that a network can be trained and measured, in a separate process, before a sweep starts.

Reads a `NetworkQuestion` from standard input and writes a `NetworkAnswer` to standard output, both JSON.
What training and the statistics themselves refuse is checked here by the same functions.
"""

from __future__ import annotations

import os
import sys

from workers.attempts.kept_model import build_model
from workers.contract.errors import Fault, UserError
from workers.contract.items import StatisticItem
from workers.contract.network_question import NetworkAnswer, NetworkQuestion
from workers.datasets.checked.loading import load_dataset
from workers.network.batch_norm import as_functional
from workers.process.environment import fix_keras


def faults_of(question: NetworkQuestion) -> list[Fault]:
    """List what training would refuse, or what the statistics would refuse of the built network."""
    trial = question.trial
    try:
        dataset = load_dataset(trial.dataset, question.data_dir)
        graph = as_functional(build_model(trial, dataset, trial.training.precision))
    except UserError as error:
        return list(error.faults)
    faults: list[Fault] = []
    for statistic in question.statistics:
        try:
            if isinstance(statistic, StatisticItem):
                statistic.refuse_network(graph)
        except UserError as error:
            faults += error.faults
    return list(dict.fromkeys(faults))


def main() -> None:
    """Answer one question; whatever a user's module prints goes to standard error."""
    answers = os.dup(1)
    os.dup2(2, 1)
    fix_keras()
    found = faults_of(NetworkQuestion.model_validate_json(sys.stdin.buffer.read()))
    os.write(answers, NetworkAnswer.of(found).model_dump_json().encode())


if __name__ == "__main__":
    main()
