"""What a planner asks of plugins, in a process of its own: that they can be imported, and the facts of their data."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from pydantic import Field

from workers.contract.catalog import Kind, resolve
from workers.contract.dataset_facts import DatasetFacts
from workers.contract.errors import Fault, UserError, user_error
from workers.contract.frozen import Frozen
from workers.contract.specs import DatasetSpec, PluginSpec
from workers.datasets.checked.loading import dataset_facts, whole_facts
from workers.process.children.apart import answer_apart, ask_apart, ask_of_all


class NamedPlugin(Frozen):
    """A plugin to import, and the file and key that name it."""

    kind: Kind
    name: str
    where: str


class PluginQuestion(Frozen):
    """Can these be imported, and what is known of these data?"""

    plugins: list[NamedPlugin] = Field(default_factory=list)
    dataset: PluginSpec | None = None
    data_dir: str | None = None


class PluginAnswer(Frozen):
    """All faults, each as what, where, mend; and the facts of the data, where they were asked for and are sound."""

    faults: list[list[str]]
    facts: DatasetFacts | None = None


def import_faults(plugins: Sequence[NamedPlugin]) -> list[Fault]:
    """List what is wrong with plugins that are imported in a process of their own; without any, none is started.

    A module that ends the process is not imported again for another name in it.
    """

    def ask(ended: Collection[str]) -> list[Fault]:
        modules = {_module(each) for each in plugins if each.where in ended}
        left = [each for each in plugins if _module(each) not in modules]
        answer = _ask(PluginQuestion(plugins=left)) if left else PluginAnswer(faults=[])
        return [Fault(*each) for each in answer.faults]

    places = [each.where for each in plugins]
    return sorted(
        ask_of_all(ask), key=lambda fault: places.index(fault.where) if fault.where in places else 0
    )


def facts_of_data(spec: DatasetSpec, data_dir: str | None) -> DatasetFacts:
    """Return the facts of the examples used; a plugin's data are loaded in a process of their own.

    Raises:
        UserError: As `load_dataset` does, or the plugin ended its process, or took too long.
    """
    if not isinstance(spec, PluginSpec):
        return dataset_facts(spec, data_dir)
    answer = _ask(PluginQuestion(dataset=spec, data_dir=data_dir))
    if answer.facts is None:
        raise UserError([Fault(*each) for each in answer.faults])
    return answer.facts


def _ask(question: PluginQuestion) -> PluginAnswer:
    answer = ask_apart("workers.process.children.plugin_facts", question.model_dump_json())
    if answer is None:
        raise user_error(
            "the process that calls plugins ended before it called any",
            where="this machine",
            mend="`minima doctor` tells what is missing",
        )
    return PluginAnswer.model_validate_json(answer)


def _answer(question_json: str) -> str:
    question = PluginQuestion.model_validate_json(question_json)
    found, facts = [fault for each in question.plugins for fault in _faults_of(each)], None
    if question.dataset is not None:
        try:
            facts = whole_facts(question.dataset, question.data_dir)
        except UserError as error:
            found += error.faults
    faults = [[each.what, each.where, each.mend] for each in found]
    return PluginAnswer(faults=faults, facts=facts).model_dump_json()


def _module(plugin: NamedPlugin) -> str:
    return plugin.name.partition(":")[0]


def _faults_of(plugin: NamedPlugin) -> list[Fault]:
    try:
        found = resolve(plugin.kind, plugin.name, plugin.where)
    except UserError as error:
        return [replace(fault, where=plugin.where) for fault in error.faults]
    if callable(found):
        return []
    what = f"the {plugin.kind} {plugin.name!r} is {type(found).__name__}, not a function"
    return [Fault(what, plugin.where, "name a function after the colon")]


if __name__ == "__main__":
    answer_apart(_answer)
