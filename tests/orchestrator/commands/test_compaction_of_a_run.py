from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from orchestrator import cli
from orchestrator.commands import sweep_commands
from orchestrator.planning.prepare import Options


@pytest.fixture
def run(monkeypatch, capfd):
    """Run the command on a sweep of which nothing is missing: exit code, standard error."""

    def call(exit_code: int, *arguments: str) -> tuple[int, str]:
        concluded = []

        def compact_if_many(store, least, _step):
            assert concluded  # Table 1 is shown by then
            return f"{store}, from {least} files"

        def conclude(*_, **__):
            concluded.append(1)
            return exit_code

        prepared = SimpleNamespace(open_work=[], store="store", plan=None, records=None)
        monkeypatch.setattr(sweep_commands, "prepare", lambda *_: prepared)
        monkeypatch.setattr(sweep_commands, "note_earlier", lambda *_: None)
        monkeypatch.setattr(sweep_commands, "publish_plan", lambda *_: None)
        monkeypatch.setattr(sweep_commands, "conclude", conclude)
        monkeypatch.setattr(sweep_commands, "compact_if_many", compact_if_many)
        monkeypatch.setattr(sys, "argv", ["minima", "run", "toy", *arguments])
        with pytest.raises(SystemExit) as left:
            cli.main()
        return left.value.code, capfd.readouterr().err

    return call


@pytest.mark.parametrize("exit_code", [0, 1])
def test_a_run_ends_in_a_compaction(run, exit_code):
    """After Table 1, also where something failed; its exit code stays, and --no-compact does without."""
    assert run(exit_code) == (exit_code, f"store, from {Options.num_loose_files} files\n")
    assert run(exit_code, "--no-compact") == (exit_code, "")


def test_a_run_that_was_asked_to_stop_leaves_at_once(run):
    """Who stopped it waits for its end; the run that resumes compacts."""
    assert run(3) == (3, "")
