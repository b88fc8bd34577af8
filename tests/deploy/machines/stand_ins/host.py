"""Stand-in for the daemons of a host, `sshd` and `dockerd`: runs what the stand-ins of their clients ask for.

host.py ADDRESS SHARED IMAGE: the first process of a machine. What it needs of an image stands in a JSON file.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

ADDRESS, SHARED, IMAGE = sys.argv[1], Path(sys.argv[2]), json.loads(Path(sys.argv[3]).read_text())
SSH_USER = "minima"


class Docker:
    """At most one container, which ends with its host."""

    def __init__(self) -> None:
        self.container: subprocess.Popen[str] | None = None
        self.mounts: list[list[str]] = []
        self.variables: list[str] = []

    def command(self, verb: str, *words: str) -> list[str]:
        """Return the command that does, or prints, what docker would."""
        if verb == "run":
            self._run(list(words))
        elif verb == "stop" and self.container is not None:
            self.container.kill()
            self.container.wait()
            self.container = None
        elif verb == "exec":
            _container, *command = [word for word in words if word not in {"-i", "-it"}]
            return self._inside(command)
        elif verb == "inspect":
            return ["echo", self._inspect(words[1])]
        return ["true"]  # pull, image inspect, info: an image is there, and no runtime of NVIDIA's

    def _inspect(self, template: str) -> str:
        answers = {
            "{{.State.Running}}": "false" if self.container is None else "true",
            "{{.Config.Image}}": IMAGE["name"],
            "{{json .Config.Env}}": json.dumps(IMAGE["env"]),
            "{{json .Mounts}}": json.dumps([{"Destination": to} for _, to in self.mounts]),
        }
        return answers[template]

    def _run(self, words: list[str]) -> None:
        """Read the options that matter, and start the container's first process."""
        values: dict[str, list[str]] = {"-v": [], "--volume": [], "-e": [], "--env": []}
        while words:
            name, sign, value = words.pop(0).partition("=")
            if name in values:
                values[name].append(value if sign else words.pop(0))
        self.variables = [*values["-e"], *values["--env"]]
        self.mounts = [mount.split(":")[:2] for mount in [*values["-v"], *values["--volume"]]]
        script = str(Path(__file__).with_name("container"))
        what = [IMAGE["user"], IMAGE["profile"], IMAGE["commands"]]
        mounts = [path for mount in [*IMAGE["mounts"], *self.mounts] for path in mount]
        own = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        self.container = subprocess.Popen(
            [*own, script, *what, *mounts], stdout=subprocess.PIPE, text=True
        )
        assert self.container.stdout is not None
        assert self.container.stdout.readline() == "up\n"

    def _inside(self, command: list[str]) -> list[str]:
        assert self.container is not None
        pid, user = self.container.pid, IMAGE["user"]
        first = Path(f"/proc/{pid}/task/{pid}/children").read_text().strip()
        enter = ["nsenter", "--target", first, "--mount", "--pid", "--root"]
        drop = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        environment = ["env", "-i", "--chdir=/home/minima", *IMAGE["env"], *self.variables]
        return [*enter, *drop, *environment, *command]


def as_user(command: str) -> tuple[list[str], dict[str, object]]:
    """Return what a login by ssh would run, and how."""
    home = str(SHARED / "homes" / ADDRESS)
    told = {"HOME": home, "USER": SSH_USER, "PATH": f"{SHARED}/bin:/usr/local/bin:/usr/bin:/bin"}
    user = {"user": SSH_USER, "group": 1000, "extra_groups": []}
    return ["/bin/bash", "-c", command], user | {"env": told, "cwd": home}


def answer(line: socket.socket, docker: Docker) -> None:
    """Run what is asked with the streams of who asks, and answer with its code; without one, something broke."""
    text, streams, _, _ = socket.recv_fds(line, 1 << 16, 3)
    try:
        question = json.loads(text)
        options: dict[str, object] = {}
        if "docker" in question:
            command = docker.command(*question["docker"])
        elif (question["user"], question["key"]) == (SSH_USER, (SHARED / "key").read_text()):
            command, options = as_user(question["command"])
        else:
            command = ["bash", "-c", "echo 'Permission denied (publickey).' >&2; exit 255"]
        stdin, stdout, stderr = streams
        done = subprocess.run(
            command, check=False, stdin=stdin, stdout=stdout, stderr=stderr, **options
        )
        line.sendall(str(done.returncode).encode())
    finally:
        line.close()
        for stream in streams:
            os.close(stream)


def main() -> None:
    """Listen for ever."""
    docker = Docker()
    with socket.socket(socket.AF_UNIX) as listener:
        path = SHARED / "sockets" / ADDRESS
        listener.bind(str(path))
        path.chmod(0o777)
        listener.listen()
        while True:
            line, _ = listener.accept()
            threading.Thread(target=answer, args=(line, docker), daemon=True).start()


if __name__ == "__main__":
    main()
