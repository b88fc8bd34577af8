"""`.ci/structure` counts files, lines and circles, and refuses too many of each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "structure"


@pytest.fixture
def tree(tmp_path) -> Path:
    """Three packages, of which one has two rooms: `high` imports `low`."""
    for name in ("orchestrator", "workers", "analysis", "workers/contract"):
        write(tmp_path, f"{name}/__init__.py", '"""A package."""\n')
    write(tmp_path, "analysis/high/__init__.py", "")
    write(tmp_path, "analysis/high/top.py", "from analysis.low import bottom\n")
    write(tmp_path, "analysis/low/__init__.py", "")
    write(tmp_path, "analysis/low/bottom.py", "")
    return tmp_path


def write(tree: Path, name: str, text: str) -> None:
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def looked_at(tree: Path) -> tuple[int, str, str]:
    command = [sys.executable, str(SCRIPT), str(tree)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tree)
    return ended.returncode, ended.stdout, ended.stderr


def test_what_is_in_order_is_counted(tree):
    """A folder of 12 files and a file of 300 lines are the most there may be."""
    for number in range(11):
        write(tree, f"orchestrator/file_{number}.py", "")
    write(tree, "workers/long.py", "a = 1\n" * 300)
    for number in range(13):
        write(tree, f"workers/contract/file_{number}.py", "")
    code, said, faults = looked_at(tree)
    assert (code, faults) == (0, "")
    assert said.splitlines() == [
        "33 files in 6 folders, 305 lines",
        "largest folder: orchestrator, 12 files",
        "longest file: workers/long.py, 300 lines",
        "circles between folders: 0",
    ]


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        (
            {f"orchestrator/file_{number}.py": "" for number in range(12)},
            "orchestrator holds 13 Python files, more than 12: divide it by ideas\n",
        ),
        (
            {"workers/long.py": "a = 1\n" * 301},
            "workers/long.py has 301 lines, more than 300: it holds two ideas, part them\n",
        ),
        (
            {"analysis/low/bottom.py": "def late():\n    from analysis.high import top\n"},
            "analysis.high and analysis.low import each other: move what both need below\n",
        ),
    ],
    ids=["hall", "scroll", "circle"],
)
def test_a_hall_a_scroll_and_a_circle_are_refused(tree, files, fault):
    """Each by name; an import inside a function closes a circle too."""
    for name, text in files.items():
        write(tree, name, text)
    code, _, told = looked_at(tree)
    assert (code, told) == (1, fault)
