"""The cluster file with Ray's own launcher, on two hosts with stand-ins for ssh, rsync and docker.

A host is a machine of its own, which the key opens. A container has what deploy/Dockerfile says: the commands it
installs, its environment, its login shell, its user; the token reaches it as the cluster file has it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from workers.contract.store import Store
from workers.process.code_digest import HOME

pytestmark = pytest.mark.slow

DEPLOY = Path(__file__).parents[3] / "deploy"
STAND_INS = Path(__file__).with_name("stand_ins")
COMMANDS = {
    "openssh-client": "ssh",
    "rsync": "rsync",
    "tmux": "tmux",
}  # by the package that brings it
HEAD, WORKER, DESK = 2, 3, 4
NUM_TRIALS = 2
SWEEP = f"""
name: launched
model: {{name: mlp, hidden_units: [32]}}
dataset: {{name: digits, num_train: 600}}
loss: kld
grid: {{batch_size: [20, 50], learning_rate: [0.05]}}
seeds: {NUM_TRIALS // 2}
training: {{epochs: 4}}
measure: [losses]
resources: {{gpus: 0, cpus: 1}}
"""


def image() -> dict[str, object]:
    """Return what a container is made of, as the Dockerfile says; Python, Ray and our code are this machine's."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    last = text[text.rindex("\nFROM ") :]
    packages = re.search(r"apt-get install (.*?)&&", last)[1].split()
    told = dict(re.findall(r"(\w+)=(\S+)", re.search(r"^ENV (.*)$", last, re.M)[1]))
    told["PATH"] = told["PATH"].replace("$PATH", "/usr/local/bin:/usr/bin:/bin")
    profile = re.search(r'echo "([^"]*)" >/etc/profile\.d/', last)
    default = dict(re.findall(r"^ARG (\w+)=(\w+)$", last, re.M))
    user = re.search(r"^USER \$?(\w+)$", last, re.M)[1]
    return {
        "name": "registry.example/minima:0.1.0-gpu",
        "env": [f"{name}={value}" for name, value in told.items()],
        "user": default.get(user, user),
        "profile": profile[1].replace("\\$", "$") if profile else "",
        "commands": " ".join(COMMANDS[name] for name in packages if name in COMMANDS),
    }


class Hosts:
    """Two hosts, and the desk of who starts the cluster."""

    def __init__(self, rig, made: dict[str, object]) -> None:
        self.rig, self.shared = rig, rig.shared
        for name in ("bin", "sockets", "etc", "mnt/minima", "desk/.minima", "desk/.ssh"):
            (self.shared / name).mkdir(parents=True)
        rig.folder.chmod(0o755)
        os.chown(self.shared / "mnt/minima", 1000, 1000)
        for path in STAND_INS.iterdir():
            for name in ("ssh", "docker") if path.name == "call" else (path.name,):
                shutil.copy(path, self.shared / "bin" / name)
        self._write_users()
        self._write_image(made)
        self._write_desk()
        for number in (HEAD, WORKER):
            self._boot(number)
        rig.boot(DESK, ["sleep", "infinity"])

    def _write_users(self) -> None:
        etc, path = self.shared / "etc", f"{self.shared}/bin:/usr/local/bin:/usr/bin:/bin"
        (etc / "passwd").write_text(
            "root:x:0:0::/root:/bin/bash\nminima:x:1000:1000::/home/minima:/bin/bash\n"
        )
        (etc / "profile").write_text(f"export PATH={path}\n")
        for number in (HEAD, WORKER):
            home = self.shared / "homes" / f"10.77.0.{number}"
            home.mkdir(parents=True)
            (home / ".bashrc").touch()
            os.chown(home, 1000, 1000)

    def _write_image(self, made: dict[str, object]) -> None:
        own = [sys.prefix, sys.base_prefix, str(HOME), str(self.shared)]
        made["mounts"] = [(sys.prefix, "/opt/minima"), *((path, path) for path in own)]
        made["env"] = [*made["env"], f"PYTHONPATH={HOME}"]
        (self.shared / "image.json").write_text(json.dumps(made))

    def _write_desk(self) -> None:
        """Write what the head of the cluster file tells to: a key, a token, one's own addresses and folder."""
        text = (DEPLOY / "ray-cluster.yaml").read_text()
        for old, new in [
            ("192.0.2.10", f"10.77.0.{HEAD}"),
            ("192.0.2.11, 192.0.2.12", f"10.77.0.{WORKER}"),
        ]:
            assert old in text
            text = text.replace(old, new)
        (self.shared / "cluster.yaml").write_text(text)
        desk = self.shared / "desk"
        for path, secret in [
            (desk / ".ssh/id_ed25519", "key"),
            (desk / ".minima/auth_token", "a" * 64),
        ]:
            path.touch(mode=0o600)
            path.write_text(secret)
        (self.shared / "key").write_text("key")

    def _boot(self, number: int) -> None:
        address, told = f"10.77.0.{number}", self.shared / "image.json"
        daemon = [sys.executable, self.shared / "bin/host.py", address, self.shared, told]
        words = [self.shared / "bin/boot", self.shared, *daemon]
        self.rig.boot(number, [str(word) for word in words])
        listens = self.shared / "sockets" / address
        self.rig.wait_until(listens.exists)

    def ray(self, *words: str) -> tuple[int, str]:
        """Have Ray's launcher do something from the desk: its code, and all it said."""
        path = f"{self.shared}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}"
        told = {"HOME": f"{self.shared}/desk", "RAY_AUTH_MODE": "", "RAY_USAGE_STATS_ENABLED": "0"}
        said = self.shared / "said"  # no pipe: what is left running in a container would hold it
        command = ["bash", "-c", f'ray "$@" >{said} 2>&1', "ray", *words]
        process = self.rig.on(DESK, command, PATH=path, **told)
        process.communicate(timeout=self.rig.patience_seconds)
        return process.returncode, " ".join(said.read_text().split())

    def on_head(self, command: str, *options: str) -> str:
        """Have the launcher run a command in the head's container, which succeeds; what it said."""
        code, said = self.ray("exec", "cluster.yaml", *options, command)
        assert code == 0, said
        return said


def test_the_launcher_starts_head_and_worker_and_the_head_runs_a_sweep(rig):
    """The run waits for the worker, which the head starts from its container; the bits are those of one machine."""
    hosts = Hosts(rig, image())
    (hosts.shared / "mnt/minima/sweep.yaml").write_text(SWEEP)
    code, said = hosts.ray("up", "--yes", "cluster.yaml")
    assert code == 0, said

    run = (
        "cd /store && minima run sweep.yaml --address auto --store /store/store --wait-for-nodes 1"
    )
    hosts.on_head(run, "--tmux")
    store = Store.open(f"{hosts.shared}/mnt/minima/store")
    rig.wait_until(lambda: bool(store.names("cells")))  # the end of the run
    assert "Active: 2 local" in hosts.on_head("ray status")
    said = hosts.on_head("minima status launched --store /store/store")
    assert f"launched: {NUM_TRIALS} of {NUM_TRIALS} trials done" in said, said
    assert {row["host"] for row in store.read("trials").to_pylist()} == {f"node{WORKER}"}
    owners = {path.stat().st_uid for path in (hosts.shared / "mnt/minima/store").rglob("*")}
    assert owners == {1000}

    undisturbed = rig.undisturbed(DESK, "mnt/minima/sweep.yaml")
    assert len(undisturbed) == NUM_TRIALS
    assert rig.weights("mnt/minima/store") == undisturbed

    code, said = hosts.ray("down", "--yes", "cluster.yaml")
    assert (code, "No nodes remaining" in said) == (0, True), said


def test_an_image_of_another_user_is_refused(rig):
    """Who may not read the token starts nothing, and is told whose it is and how to build."""
    hosts = Hosts(rig, image() | {"user": "1001"})
    code, said = hosts.ray("up", "--yes", "cluster.yaml")
    assert code == 1
    assert (
        "user 1001 of the image may not read the token or write the store, which belong to user 1000"
        " and user 1000: build the image with --build-arg USER_ID"
    ) in said
    assert "Ray runtime started" not in said
