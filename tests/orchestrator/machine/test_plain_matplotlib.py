"""Matplotlib is imported as if nobody had set it up, whatever there is to read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import sys
from pathlib import Path
from orchestrator.machine.plain_matplotlib import import_matplotlib
here = Path.cwd()
import_matplotlib()
assert Path.cwd() == here
import matplotlib
plain = {k: v for k, v in matplotlib.rcParamsDefault.items() if not k.startswith("backend")}
assert {k: matplotlib.rcParams[k] for k in plain} == plain
print(matplotlib.get_backend())
"""
USETEX = b"text.usetex: True\nfont.family: serif\nsavefig.dpi: 3000\n"


@pytest.mark.parametrize(
    ("variables", "content"),
    [
        ({}, None),
        ({"MPLBACKEND": "module://matplotlib_inline.backend_inline"}, None),
        ({"MPLBACKEND": "no backend"}, None),
        ({"MATPLOTLIBRC": "settings"}, None),
        ({}, USETEX),
        ({}, b"font.family: \xff\xfe\n"),
        ({}, b"no key\n: :\n"),
    ],
)
def test_its_own_defaults_hold(tmp_path, variables, content):
    """By variable, by file in the working folder, readable or not."""
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "matplotlibrc").write_bytes(USETEX)
    if content is not None:
        (tmp_path / "matplotlibrc").write_bytes(content)
    home = {"PYTHONPATH": str(Path(__file__).parents[3]), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", CODE],
        cwd=tmp_path,
        env=os.environ | home | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "agg"), done.stderr
