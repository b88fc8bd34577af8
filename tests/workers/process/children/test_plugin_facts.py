"""All plugins are asked of, whatever one of them does to the process that asks."""

from __future__ import annotations

import json

from workers.contract.errors import Fault, user_error
from workers.contract.plugin_call import PluginCall
from workers.process.children import plugin_facts
from workers.process.children.apart import ask_of_all
from workers.process.children.plugin_facts import NamedPlugin, PluginAnswer, import_faults

NAMES = ["lacks:a", "ends:a", "sound:a", "ends:b", "stops:a", "lacks:b"]
PLUGINS = [
    NamedPlugin(kind="statistic", name=name, where=f"a.yaml, measure[{index}]")
    for index, name in enumerate(NAMES)
]


def test_one_that_ends_the_process_hides_no_fault_of_others(monkeypatch):
    """In the order of the sweep; a module that has ended it is not imported again for another name."""
    asked = []

    def ask(_: str, question: str) -> str:
        plugins = json.loads(question)["plugins"]
        asked.append([each["name"] for each in plugins])
        faults = []
        for each in plugins:
            if each["name"].startswith(("ends:", "stops:")):
                call = PluginCall(**each, is_import=True)
                raise user_error(call.ended(0).what, where=call.where, mend="take it out")
            if each["name"].startswith("lacks:"):
                faults.append(["it is lacking", each["where"], "mend it"])
        return PluginAnswer(faults=faults).model_dump_json()

    monkeypatch.setattr(plugin_facts, "ask_apart", ask)
    assert [(fault.where[-2], fault.what) for fault in import_faults(PLUGINS)] == [
        ("0", "it is lacking"),
        ("1", "the statistic 'ends:a' ended the process with exit code 0 while it was imported"),
        ("4", "the statistic 'stops:a' ended the process with exit code 0 while it was imported"),
        ("5", "it is lacking"),
    ]
    assert asked == [NAMES, ["lacks:a", "sound:a", "stops:a", "lacks:b"], ["lacks:a", "sound:a", "lacks:b"]]  # fmt: skip


def test_what_ends_however_it_is_asked_is_told_once(monkeypatch):
    """A process that no plugin has ended ends again: it is asked twice, and no more."""
    asked = []

    def ask(_: str, question: str) -> None:
        asked.append(question)

    monkeypatch.setattr(plugin_facts, "ask_apart", ask)
    [fault] = import_faults(PLUGINS)
    assert fault.what == "the process that calls plugins ended before it called any"
    assert len(asked) == 2


def test_faults_of_one_key_are_told_once():
    """Also where the same plugin ends a process that was asked to leave it out."""
    fault = Fault("it ended", "loss", "take it out")

    def ask(ended: object) -> list[Fault]:
        raise user_error(fault.what, where=fault.where, mend=fault.mend)

    assert ask_of_all(ask) == [fault]
