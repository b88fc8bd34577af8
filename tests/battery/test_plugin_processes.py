"""The process in which a user's own code is called while a sweep is planned: it ends with who asked, and hides nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from orchestrator.liveness.run_control import EXIT_INTERRUPTED, INTERRUPTED

SWEEP = yaml.safe_load((Path(__file__).parent / "small.yaml").read_text())
STAYS = """
import os, pathlib, time
pathlib.Path("pid.part").write_text(str(os.getpid()))
pathlib.Path("pid.part").rename("pid")
time.sleep(600)
"""
ENDS = "import os\ndef call(*_):\n    os._exit(0)\n"
_LONGEST_SECONDS = 60.0

pytestmark = pytest.mark.slow


@pytest.fixture
def start(tmp_path):
    """Start a plan of a sweep with parts of the user's own, in a folder with a file of each module."""
    started = []

    def call(modules: dict[str, str], **parts: object) -> subprocess.Popen[str]:
        for name, source in modules.items():
            (tmp_path / f"{name}.py").write_text(source)
        (tmp_path / "own.yaml").write_text(yaml.safe_dump(SWEEP | parts))
        places = os.pathsep.join([str(tmp_path), *sys.path])
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "orchestrator", "plan", "own.yaml"],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": places},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509  # no threads here
        )
        started.append(process)
        return process

    yield call
    for process in started:
        process.kill()
        process.communicate()


def pid_of_plugin(folder: Path) -> int:
    ends = time.monotonic() + _LONGEST_SECONDS
    while not (folder / "pid").exists():
        assert time.monotonic() < ends
        time.sleep(0.05)
    return int((folder / "pid").read_text())


def wait_for_end(pid: int, seconds: float) -> None:
    """Wait until a process is gone, or has ended and is only not yet taken notice of."""
    ends = time.monotonic() + seconds
    while (status := Path(f"/proc/{pid}/stat")).exists():
        if status.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        assert time.monotonic() < ends, f"process {pid} is still there"
        time.sleep(0.05)


def test_an_interrupt_ends_what_is_asked(start, tmp_path):
    """Ctrl-C while a module is imported: code 3, one sentence, and no process is left."""
    process = start({"own_stays": STAYS + ENDS}, measure=[{"name": "own_stays:call"}])
    pid = pid_of_plugin(tmp_path)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=_LONGEST_SECONDS)
    assert (process.returncode, out) == (EXIT_INTERRUPTED, "")
    assert INTERRUPTED in err
    assert "Traceback" not in err
    wait_for_end(pid, 5)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_what_is_asked_ends_with_who_was_killed(start, tmp_path):
    """Nobody is left to end it: the system does."""
    process = start({"own_stays": STAYS + ENDS}, measure=[{"name": "own_stays:call"}])
    pid = pid_of_plugin(tmp_path)
    process.kill()
    process.wait()
    wait_for_end(pid, 5)


def test_several_that_end_the_process_are_told_at_once(start):
    """With what is wrong with the others, in the order of the sweep."""
    modules = {"own_first": "import os; os._exit(3)\n" + ENDS, "own_second": "import os; os.abort()\n" + ENDS, "own_third": "raise LookupError('no such key')\n" + ENDS}  # fmt: skip
    process = start(modules, measure=[{"name": f"{name}:call"} for name in modules])
    _, err = process.communicate(timeout=_LONGEST_SECONDS)
    assert process.returncode == 2
    told = [
        "the statistic 'own_first:call' ended the process with exit code 3 while it was imported",
        "the statistic 'own_second:call' ended the process with SIGABRT while it was imported",
        "the statistic 'own_third:call' cannot be imported: LookupError: no such key",
    ]
    places = [err.find(each) for each in told]
    assert -1 not in places, err
    assert places == sorted(places)


def test_a_loss_that_ends_the_process_does_not_hide_the_network(start):
    """Which is built in another process."""
    modules = {"own_loss": ENDS, "own_net": "def call(*_):\n    raise LookupError('no such key')\n"}
    process = start(modules, model={"name": "own_net:call"}, loss="own_loss:call")
    _, err = process.communicate(timeout=2 * _LONGEST_SECONDS)
    assert process.returncode == 2
    assert "the loss 'own_loss:call' ended the process with exit code 0 while it was called" in err
    assert "the model 'own_net:call' raised LookupError: no such key" in err
    assert "\n  where: own.yaml, loss\n" in err
    assert "\n  where: own.yaml, model.name\n" in err
