"""Check that a network can be trained and measured, in a separate process, before a sweep starts.

Answers a `NetworkQuestion` with a `NetworkAnswer`, both JSON.
What training and the statistics themselves refuse is checked here by the same functions.
"""

from __future__ import annotations

from workers.attempts.attempt import check_loss, make_loss
from workers.attempts.kept_model import build_model
from workers.contract.errors import Fault, UserError
from workers.contract.items import StatisticItem
from workers.contract.network_question import NetworkAnswer, NetworkQuestion
from workers.datasets.checked.loading import load_dataset
from workers.network.batch_norm import as_functional
from workers.process.children.apart import answer_apart
from workers.process.environment import fix_keras


def faults_of(question: NetworkQuestion) -> list[Fault]:
    """List what training would refuse, or what the statistics would refuse of the built network."""
    trial = question.trial
    if "dataset.name" in question.left_out:
        return []
    try:
        dataset = load_dataset(trial.dataset, question.data_dir)
    except UserError as error:
        return list(error.faults)
    faults: list[Fault] = []
    if "loss" not in question.left_out:
        try:
            check_loss(make_loss(trial.loss), trial.loss, dataset)
        except UserError as error:
            faults += error.faults
    if "model.name" in question.left_out:
        return faults
    try:
        graph = as_functional(build_model(trial, dataset, trial.training.precision))
    except UserError as error:
        return [*faults, *error.faults]
    for statistic in question.statistics:
        try:
            if isinstance(statistic, StatisticItem):
                statistic.refuse_network(graph)
        except UserError as error:
            faults += error.faults
    return list(dict.fromkeys(faults))


def _answer(question_json: str) -> str:
    fix_keras()
    found = faults_of(NetworkQuestion.model_validate_json(question_json))
    return NetworkAnswer.of(found).model_dump_json()


if __name__ == "__main__":
    answer_apart(_answer)
