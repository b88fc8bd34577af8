"""On a real cluster of two nodes: both are asked, and one that differs stops the sweep before it starts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.liveness.run_control import EXIT_INTERRUPTED

pytestmark = pytest.mark.slow

FAKES = Path(__file__).parents[1] / "fakes"
HOME = Path(__file__).resolve().parents[3]
SWEEP = """
name: toy
model: {name: mlp}
dataset: {name: "fake_node:load"}
loss: kld
grid: {batch_size: [10], learning_rate: [0.1]}
seeds: 1
training: {epochs: 1}
measure: [losses]
"""


def python_path(*first: Path) -> str:
    return os.pathsep.join(str(path) for path in (*first, FAKES, HOME))


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    """Of every process of the test."""
    place = {"RAY_AUTH_MODE": "disabled", "PYTHONPATH": python_path(), "COLUMNS": "250"}
    return os.environ | place | {"MINIMA_CACHE": str(tmp_path / "cache")}


@pytest.fixture
def start(environment) -> Iterator[Callable[..., str]]:
    """Start a cluster, the second node with variables of its own; give its address."""
    started = []

    def make(**variables: str) -> str:
        process = subprocess.Popen(
            [sys.executable, str(FAKES / "cluster_of_two.py"), json.dumps(variables)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        for line in process.stdout:
            if line.startswith("address "):
                return line.split()[1]
        raise AssertionError(process.stderr.read()[-3000:])

    yield make
    for process in started:
        process.communicate(timeout=60)


@pytest.fixture
def minima(environment, tmp_path) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Run the sweep at an address."""
    (tmp_path / "toy.yaml").write_text(SWEEP)

    def run(address: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-P", "-m", "orchestrator", "run", "toy.yaml"]
        return subprocess.run(
            [*command, "--store", "store", "--address", address],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    return run


def ask(address: str, what: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FAKES / "ask_on_cluster.py"), address, what]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_nodes_answer_fail_die_or_keep_silent(start, environment):
    """Each is told for what it is, and none sees a GPU; a head that goes meanwhile is a lost cluster."""
    address = start()
    told = {}
    for what in ("answer", "fail", "die", "sleep"):
        done = ask(address, what, environment)
        assert done.returncode == 0, done.stderr[-3000:]
        told[what] = json.loads(done.stdout)
    beheaded = ask(address, "behead", environment)
    assert beheaded.returncode == EXIT_INTERRUPTED, beheaded.stderr[-3000:]
    assert "the head of the cluster has not answered for 5 s" in beheaded.stderr
    assert not any(reply.pop("is_leaving") for replies in told.values() for reply in replies)
    assert told["answer"] == [{"answer": "GPUs: -1", "silence": ""}] * 2
    assert told["fail"] == [{"answer": None, "silence": "ValueError: no"}] * 2
    assert told["sleep"] == [{"answer": None, "silence": "nothing within 20 s"}] * 2
    assert [reply["answer"] for reply in told["die"]] == [None, None]
    assert all(reply["silence"] for reply in told["die"])


def test_a_sweep_on_sound_nodes_runs(start, minima, tmp_path):
    """Nothing of the questions stays in the store."""
    done = minima(start())
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(list((tmp_path / "store" / "trials").iterdir())) == 1
    assert not list((tmp_path / "store" / "control").glob("preflight*"))


def test_the_doctor_asks_every_node(start, environment, tmp_path, copy_packages):
    """The head and two nodes, of which one has other code; the store is left as it was."""
    other = copy_packages(tmp_path / "other")
    with (other / "workers" / "training" / "sgd.py").open("a") as source:
        source.write("# changed\n")
    address = start(PYTHONPATH=python_path(other))
    command = [sys.executable, "-P", "-m", "orchestrator", "doctor", "--store", "store", "--json"]
    done = subprocess.run(
        [*command, "--address", address], cwd=tmp_path, env=environment, capture_output=True,
        text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr[-3000:]
    nodes = [check for check in json.loads(done.stdout) if check["name"].startswith("node ")]
    assert sorted(check["found"].partition(" GPUs, ")[0] for check in nodes) == [
        "0 CPUs, 0", "2 CPUs, 0", "2 CPUs, 0",
    ]  # fmt: skip
    assert all(re.search(r"GPUs, [\d.]+ GiB of memory", check["found"]) for check in nodes)
    (faulty,) = [check for check in nodes if check["cure"]]
    assert "has other source files on the node" in faulty["found"]
    assert not (tmp_path / "store").exists()


def test_a_node_that_differs_stops_the_sweep(start, minima, tmp_path, copy_packages):
    """Other code and other data on one of two nodes, told at once; nothing is started or written."""
    other = copy_packages(tmp_path / "other")
    with (other / "workers" / "training" / "sgd.py").open("a") as source:
        source.write("# changed\n")
    done = minima(start(PYTHONPATH=python_path(other), OTHER_DATA="1"))
    assert done.returncode == 2, done.stderr[-3000:]
    assert "has other source files on the node" in done.stderr
    assert "the data have the digest" in done.stderr
    assert done.stderr.count("where: node ") == 2
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "store").exists()
