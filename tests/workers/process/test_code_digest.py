"""The code that a process runs is what it found first; files may change under it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from workers.process.code_digest import HOME, code_digest, running_code

CODE = """
import sys
from pathlib import Path
from workers.process.code_digest import running_code
first = running_code()
with Path("workers/trial.py").open("a") as file:
    file.write("# changed\\n")
print(first, running_code(), sys.modules[running_code.__module__].HOME)
"""


def test_it_stands_for_what_decides_numbers():
    """A changed report makes no other measurements."""
    assert running_code() == code_digest(HOME, ["workers"]) != code_digest(HOME)


def test_it_is_that_of_the_process(tmp_path):
    """A later process finds what was changed."""
    shutil.copytree(HOME / "workers", tmp_path / "workers")

    def ask() -> list[str]:
        command = [sys.executable, "-c", CODE]
        done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, check=True, capture_output=True, text=True)  # fmt: skip
        return done.stdout.split()

    first, again, home = ask()
    assert Path(home) == tmp_path.resolve()
    assert first == again == running_code()
    assert ask()[0] != first
