from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from orchestrator import cli
from orchestrator.commands import sweep_commands
from orchestrator.planning.prepare import Options


@pytest.fixture
def run(monkeypatch, capfd):
    """Run the command on a sweep whose trials end with an exit code: its own exit code, standard error."""

    def call(exit_code: int, *arguments: str) -> tuple[int, list[str]]:
        def conclude(_store, _plan, output, code, **_):
            output.note("Table 1")
            return code

        result = SimpleNamespace(exit_code=exit_code, plan=None, cluster_lost="")
        records = SimpleNamespace(look=lambda: None)
        prepared = SimpleNamespace(open_work=[1], store="store", plan=None, records=records)
        for name, answer in {
            "prepare": prepared,
            "run_missing": result,
            "run_pace": None,
            "note_earlier": None,
            "refuse_misfit": None,
            "refuse_network": None,
            "publish_plan": None,
            "_announce": None,
            "_standing_plan": None,
        }.items():
            monkeypatch.setattr(sweep_commands, name, lambda *_, answer=answer: answer)
        monkeypatch.setattr(sweep_commands, "conclude", conclude)
        monkeypatch.setattr(
            sweep_commands,
            "compact_if_many",
            lambda store, least, _step: f"{store}, from {least} files",
        )
        monkeypatch.setattr(sys, "argv", ["minima", "run", "toy", *arguments])
        with pytest.raises(SystemExit) as left:
            cli.main()
        first, *said = capfd.readouterr().err.splitlines()
        assert first == "starting on this machine"
        return left.value.code, said

    return call


@pytest.mark.parametrize("exit_code", [0, 1])
def test_a_run_compacts_before_it_averages(run, exit_code):
    """Also where something failed; its exit code stays, and --no-compact does without."""
    compacted = f"store, from {Options.num_loose_files} files"
    assert run(exit_code) == (exit_code, [compacted, "Table 1"])
    assert run(exit_code, "--no-compact") == (exit_code, ["Table 1"])


def test_a_run_that_was_asked_to_stop_leaves_at_once(run):
    """Who stopped it waits for its end; the run that resumes compacts."""
    assert run(3) == (3, ["Table 1"])
