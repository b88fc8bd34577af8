"""The doctor looks at what a sweep needs, and tells the cure of what is wrong."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import namedtuple
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace

import pytest

from orchestrator.commands import doctor, store_commands
from orchestrator.commands.doctor import Check, diagnose, diagnose_cluster
from orchestrator.driver import environment
from orchestrator.machine.console import Output
from orchestrator.planning.fit import Node
from orchestrator.running.driver import ClusterLost, Reply
from workers.contract import distribution
from workers.contract.distribution import NOT_INSTALLED, installed_version
from workers.contract.errors import Fault, UserError
from workers.process import surroundings
from workers.process.children.node_facts import NodeFacts
from workers.process.gpu_memory import DeviceMemory


@pytest.fixture(autouse=True)
def sound_machine(monkeypatch, tmp_path):
    """A machine on which nothing is wrong, so that one thing at a time can be."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor, "tempfile", SimpleNamespace(gettempdir=lambda: "/tmp"))  # noqa: S108
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage(10**11))
    monkeypatch.setattr(surroundings.subprocess, "run", lambda *_, **__: finished(stdout="0\n"))
    monkeypatch.setattr(doctor, "this_machine", lambda: Node("this machine", 8, 0, memory=2**34))


def usage(free: int) -> object:
    return namedtuple("Usage", "free")(free)


def finished(**fields: object) -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess([], **{"returncode": 0, "stdout": "", "stderr": ""} | fields)


def checks(store: str = "new/store") -> dict[str, Check]:
    return {check.name: check for check in diagnose(store)}


def test_a_sound_machine_needs_nothing(tmp_path):
    """Every check is good, the code is 0, and nothing is left behind."""
    found = checks()
    assert [check for check in found.values() if not check.is_good] == []
    assert found["TensorFlow starts"].found == "yes, and sees 0 GPUs"
    assert found["cores"].found == "8"
    assert found["memory"].found == "16 GiB"
    assert found["GPUs"].found == "none: trials need resources.gpus: 0"
    assert store_commands.doctor("new/store", None, Output()) == 0
    assert list(tmp_path.iterdir()) == []


def test_gpus_are_counted(monkeypatch):
    """They need no cure, where TensorFlow sees them."""
    monkeypatch.setattr(doctor, "this_machine", lambda: Node("this machine", 8, 4))
    monkeypatch.setattr(surroundings.subprocess, "run", lambda *_, **__: finished(stdout="4\n"))
    found = checks()
    assert found["GPUs"] == Check("GPUs", "4")
    assert found["TensorFlow starts"] == Check("TensorFlow starts", "yes, and sees 4 GPUs")


def test_gpus_that_tensorflow_does_not_see_need_a_cure(monkeypatch):
    """As where it was installed without the extra `gpu`: trials that ask for them are refused."""
    monkeypatch.setattr(doctor, "this_machine", lambda: Node("this machine", 8, 4))
    assert checks()["TensorFlow starts"] == Check(
        "TensorFlow starts",
        "yes, and sees none of 4 GPUs",
        "install minima with its extra `gpu`, and the driver of the GPUs",
    )


def test_an_address_is_shown(monkeypatch):
    """Where there is none a cluster is started."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert checks()["RAY_ADDRESS"].found == "not set: a local cluster is started"
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert checks()["RAY_ADDRESS"].found == "head:6379"


def old_python(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 14, 1, "final", 0))


def no_ray(monkeypatch):
    def version(name: str) -> str:
        if name == "ray":
            raise PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(distribution, "version", version)


def broken_tensorflow(monkeypatch):
    failed = finished(returncode=1, stderr="Traceback\nImportError: no [lib]\n")
    monkeypatch.setattr(surroundings.subprocess, "run", lambda *_, **__: failed)


def silent_tensorflow(monkeypatch):
    killed = finished(returncode=-9)
    monkeypatch.setattr(surroundings.subprocess, "run", lambda *_, **__: killed)


def slow_tensorflow(monkeypatch):
    def run(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("python", 120)

    monkeypatch.setattr(surroundings.subprocess, "run", run)


ANOTHER_PLACE = "set TMPDIR to another place, with a short path"


def full_disk(monkeypatch):
    fill(".", monkeypatch)


def full_temporary_place(monkeypatch):
    fill(tempfile.gettempdir(), monkeypatch)


def no_place_for_sockets(monkeypatch):
    monkeypatch.setattr(doctor, "place_for_sockets", lambda: "/no-such-place")


def fill(place, monkeypatch):
    """Leave little room in one place and enough elsewhere."""
    monkeypatch.setattr(
        doctor.shutil, "disk_usage", lambda asked: usage(10**9 if asked == place else 10**11)
    )


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (old_python, Check("Python", "3.14.1", "use Python 3.11, 3.12 or 3.13")),
        (no_ray, Check("ray", "not installed", "install minima with its dependencies")),
        (
            broken_tensorflow,
            Check(
                "TensorFlow starts", "ImportError: no [lib]", "reinstall from the lock in deploy/"
            ),
        ),
        (
            silent_tensorflow,
            Check("TensorFlow starts", "no message", "reinstall from the lock in deploy/"),
        ),
        (
            slow_tensorflow,
            Check("TensorFlow starts", "not within 120 s", "look at the machine's load"),
        ),
        (full_disk, Check("free disk here", "1 GB", "free some space")),
        (
            full_temporary_place,
            Check(f"free disk in {tempfile.gettempdir()}", "1 GB", ANOTHER_PLACE),
        ),
        (
            no_place_for_sockets,
            Check("free disk in /no-such-place", "cannot be written, or is gone", ANOTHER_PLACE),
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_cure(monkeypatch, capfd, spoil, expected):
    """And nothing else is; the code is 1."""
    spoil(monkeypatch)
    assert [check for check in checks().values() if not check.is_good] == [expected]
    assert store_commands.doctor("new/store", None, Output()) == 1
    assert expected.cure.split()[0] in capfd.readouterr().out


def test_a_store_that_cannot_be_written(tmp_path):
    """Nor be opened."""
    (tmp_path / "file").write_text("")
    found = checks("file/store")["store"]
    assert "cannot write" in found.found
    assert found.cure == "choose a place that can be written"
    assert checks("ftp://a/b")["store"].found == "no store of kind 'ftp'"


class FakeNvml:
    """Two GPUs; the second one does not report its memory."""

    def count(self) -> int:
        return 2

    def memory(self, device: str) -> DeviceMemory | None:
        return DeviceMemory(device, 20 * 10**9, 24 * 10**9) if device == "0" else None


@pytest.mark.parametrize(
    ("nvml", "found", "cure"),
    [
        (FakeNvml(), "GPU 0: 20.0 of 24.0 GB free; GPU 1: does not report its memory", ""),
        (None, "not available: trials do not wait", "install minima with its extra `gpu`"),
    ],
)
def test_memory_of_gpus_is_told(monkeypatch, nvml, found, cure):
    """Where there are any; what only NVML can do is named where it is absent."""
    assert "NVML" not in checks()
    monkeypatch.setattr(doctor, "this_machine", lambda: Node("this machine", 8, 2))
    monkeypatch.setattr(doctor, "opened_nvml", lambda: nullcontext(nvml))
    check = checks()["NVML"]
    assert check.found.startswith(found)
    assert check.cure.startswith(cure)
    assert check.is_good is not bool(cure)


def test_the_doctor_begins_with_its_own_version_and_ends_in_a_verdict(capsys, monkeypatch):
    """The first check is the package itself; the last line says whether all is well."""
    assert next(iter(diagnose("new/store"))) == Check(
        "minima", installed_version() or NOT_INSTALLED
    )
    store_commands.doctor("new/store", None, Output())
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "This machine is ready: try `minima run quickstart`."
    no_ray(monkeypatch)
    assert store_commands.doctor("new/store", None, Output()) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"1 of {len(checks())} check needs mending: ray."


class FakeCluster:
    """Three nodes that are this machine; `spoil` changes what the second one answers, the third is leaving."""

    nodes = (
        Node("head", 0, 0, "a", 2**30),
        *(Node("worker", 8, 2, name, 2**35, ("H100",)) for name in "bc"),
    )

    def __init__(self, spoil=lambda answer: answer, *, error: Exception | None = None) -> None:
        self.spoil, self.error = spoil, error

    def __call__(self, address: str, _scratch: object) -> FakeCluster:
        assert address == "head:6379"
        return self

    @contextmanager
    def join(self) -> Iterator[Sequence[Node]]:
        if self.error is not None:
            raise self.error
        yield self.nodes

    def ask(self, function, questions) -> dict[str, Reply]:
        answers = {name: function(question) for name, question in questions.items()}
        answers["b"] = self.spoil(answers["b"])
        return {name: Reply(answer, is_leaving=name == "c") for name, answer in answers.items()}


def of_nodes(cluster: FakeCluster, store: str = "store") -> list[Check]:
    return list(diagnose_cluster(store, "head:6379", cluster))


def test_every_node_of_a_cluster_is_asked(tmp_path):
    """With what it has; one that leaves is no fault; nothing is left in the store."""
    assert of_nodes(FakeCluster()) == [
        Check("node head", "0 CPUs, 0 GPUs, 1 GiB of memory"),
        Check("node worker (b)", "8 CPUs, 2 GPUs (H100), 32 GiB of memory"),
        Check(
            "node worker (c)", "8 CPUs, 2 GPUs (H100), 32 GiB of memory; it is leaving the cluster"
        ),
    ]
    assert list(tmp_path.rglob("*")) == []


def other_code(answer: str) -> str:
    facts = NodeFacts.model_validate_json(answer)
    software = facts.software.model_copy(update={"code_digest": "other"})
    return facts.model_copy(update={"software": software}).model_dump_json()


def own_store(answer: str) -> str:
    return (
        NodeFacts.model_validate_json(answer).model_copy(update={"nonce": None}).model_dump_json()
    )


@pytest.mark.parametrize(
    ("spoil", "what", "mend"),
    [
        (other_code, "minima has other source files on the node (other)", "install the same minima"),
        (own_store, "the node has a store of its own under this name", "give a store that all nodes share"),
        (lambda _: None, "the node does not answer", "look at the node"),
        (lambda _: "{}", "the node answers as another version of minima does", "install the same minima"),
    ],
)  # fmt: skip
def test_a_node_that_differs_is_told_with_its_cure(spoil, what, mend):
    """It alone."""
    first, second, third = of_nodes(FakeCluster(spoil))
    assert first.is_good
    assert third.is_good
    assert second.found.startswith(f"8 CPUs, 2 GPUs (H100), 32 GiB of memory; {what}")
    assert second.cure.startswith(mend)


def test_a_cluster_that_does_not_answer_is_told(tmp_path):
    """As one check, whether it refuses us or is lost; it is not asked with a store that cannot be written."""
    refused = UserError([Fault("no Ray cluster answers", "--address head:6379", "start it")])
    told = of_nodes(FakeCluster(error=refused))
    assert told == [Check("cluster at head:6379", "no Ray cluster answers", "start it")]
    lost = of_nodes(FakeCluster(error=ClusterLost("the head is silent")))
    assert lost == [
        Check("cluster at head:6379", "the head is silent", "look at its head, and ask again")
    ]
    (unasked,) = of_nodes(FakeCluster(), "ftp://a/b")
    assert unasked.found == "not asked: no store of kind 'ftp'"


def test_the_verdict_on_a_cluster_is_one(capsys, monkeypatch):
    """After this machine's checks those of the nodes; the last line is of all."""
    monkeypatch.setattr(environment, "make_driver", FakeCluster())
    assert store_commands.doctor("store", "head:6379", Output()) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "All nodes are ready: try `minima run quickstart --address head:6379`."
    monkeypatch.setattr(environment, "make_driver", FakeCluster(other_code))
    assert store_commands.doctor("store", "head:6379", Output()) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"1 of {len(checks()) + 3} check needs mending: node worker (b)."
