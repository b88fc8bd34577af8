"""The campaigns of CI: each in a process of its own, all at once; their table at the end of the run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SCRIPTS = ("disk", "bucket", "tensorflow")
SEED = 20
_LONGEST_SECONDS = 5400

_table: list[str] = []


@pytest.fixture(scope="session")
def campaigns(request, tmp_path_factory):
    """Run the campaigns side by side: what each said, its exit code, and where its report is.

    That of the real trial alone where no test asked for needs the others.
    """
    folder = tmp_path_factory.mktemp("chaos")
    running = {}
    needs_all = any(item.get_closest_marker("release") for item in request.session.items)
    for name in SCRIPTS if needs_all else ("tensorflow",):
        command = [sys.executable, "-P", str(HERE / "campaign.py"), "--script", name]
        output = (folder / f"{name}.txt").open("wb")
        running[name] = subprocess.Popen(
            [*command, "--seed", str(SEED), "--report", str(folder / f"{name}.json")],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        output.close()
    try:
        for process in running.values():
            process.wait(_LONGEST_SECONDS)
    finally:
        for process in running.values():
            process.terminate()
            process.wait()
    return {
        name: (process.returncode, (folder / f"{name}.txt").read_text(), folder / f"{name}.json")
        for name, process in running.items()
    }


@pytest.fixture(scope="session")
def show_table():
    """Keep lines for the end of the run."""
    return _table.extend


def pytest_terminal_summary(terminalreporter):
    """Show the table of the campaigns."""
    if _table:
        terminalreporter.section("faults, and what was seen of them")
        for line in _table:
            terminalreporter.write_line(line)
