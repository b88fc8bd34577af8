"""What `minima plan` tells of nodes."""

from __future__ import annotations

import json

from orchestrator.commands import plan_command
from orchestrator.machine.console import Output
from orchestrator.planning.fit import Node
from orchestrator.planning.prepare import Options
from orchestrator.running.nodes import Aside


def test_the_document_names_the_nodes_set_aside(toy_sweep, monkeypatch, capsys):
    """With the sentence that says why; there is no misfit where the others hold a trial."""
    toy_sweep(seeds=1)
    aside = Aside(frozenset({"b", "a"}), "trials are kept to one model of device")
    monkeypatch.setattr(plan_command, "nodes_for", lambda *_: ([Node("node c", 2, 0, "c")], aside))
    assert plan_command.plan("toy.yaml", Options("store", address="a:1"), Output(is_json=True)) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["aside"] == {
        "node_ids": ["a", "b"],
        "reason": "trials are kept to one model of device",
    }
    assert document["misfit"] is None
