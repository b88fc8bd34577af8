"""What is shipped: three packages with the built-in sweeps, and nothing else."""

import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_wheel_holds_the_three_packages_and_their_data(tmp_path):
    """Every tracked module and sweep is in it; tests and deploy are not."""
    if find_spec("hatchling") is None or not (ROOT / "README.md").is_file():
        pytest.skip("building needs hatchling (in deploy/requirements-dev.lock) and README.md")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", tmp_path, ROOT], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("minima-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    packages = {"orchestrator", "workers", "analysis"}
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == packages
    wanted = {
        str(path.relative_to(ROOT))
        for package in packages
        for path in (ROOT / package).rglob("*")
        if path.suffix in {".py", ".yaml"}
    }
    assert wanted == {name for name in names if ".dist-info/" not in name}
    assert "orchestrator/sweeps/quickstart.yaml" in names
