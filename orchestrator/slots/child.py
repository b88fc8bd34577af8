"""The slot's side of the fork server: start an attempt, hear how it ended, end it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from workers.process.surroundings import for_tensorflow

_START_SECONDS = 300.0


class ForkServerLost(Exception):
    """The fork server died or does not answer."""


class ForkServer:
    """One fork server, started when first needed, and at most one child of it at a time."""

    def __init__(self, entry: str, *, is_right_with_onednn: bool = False) -> None:
        """Prepare a server whose children run `entry`'s `run_child`; nothing is started yet.

        Args:
            entry: The module.
            is_right_with_onednn: Whether all networks of its children are.
        """
        self.entry, self.is_right_with_onednn = entry, is_right_with_onednn
        self._process: subprocess.Popen[bytes] | None = None
        self._rest = b""
        self._errors: IO[bytes] | None = None

    def start_attempt(
        self, order: Path, log: Path, environment: Mapping[str, str], kind: str = ""
    ) -> int:
        """Have a child carry out an order and return its process id.

        Args:
            order: The order's file.
            log: The log's file.
            environment: Variables of the child.
            kind: A child that is done with an order may carry out the next one of the same kind; empty for
                a child of its own.

        Raises:
            ForkServerLost: The server cannot be started or has died.
        """
        self.ensure_started()
        request = {"order": str(order), "log": str(log), "environment": dict(environment)}
        self._send({**request, "kind": kind})
        return int(self._expect("pid", _START_SECONDS))

    def wait(self, seconds: float) -> int | None:
        """Wait for the child's end; return its exit code (minus a signal's), or None if it runs.

        Raises:
            ForkServerLost: The server has died.
        """
        message = self._receive(seconds)
        return None if message is None else int(message["exit"])

    def signal(self, number: signal.Signals) -> None:
        """Send the running child a signal."""
        self._send({"signal": int(number)})

    def close(self) -> None:
        """End the server and, with it, any child."""
        process, self._process, self._rest = self._process, None, b""
        if process is None:
            return
        for stream in (process.stdin, process.stdout, self._errors):
            if stream is not None:
                stream.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def ensure_started(self) -> None:
        """Start the server unless it runs.

        Raises:
            ForkServerLost: It cannot be started.
        """
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the server
        # -P: the working directory must not shadow our packages
        command = [sys.executable, "-P", "-m", "workers.process.children.fork_server", self.entry]
        self._process = subprocess.Popen(  # noqa: S603  # our own module, on our own interpreter
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
            start_new_session=True,
            env=for_tensorflow(os.environ, is_right_with_onednn=self.is_right_with_onednn),
        )
        self._expect("ready", _START_SECONDS)

    def _send(self, message: Mapping[str, object]) -> None:
        try:
            self._pipes()[0].write(json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise self._lost() from error

    def _expect(self, key: str, seconds: float) -> float:
        message = self._receive(seconds)
        if message is None or key not in message:
            raise self._lost()
        return message[key]

    def _receive(self, seconds: float) -> dict[str, float] | None:
        _, answers = self._pipes()
        deadline = time.monotonic() + seconds
        while b"\n" not in self._rest:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([answers], [], [], left)[0]:
                return None
            part = os.read(answers.fileno(), 65536)
            if not part:
                raise self._lost()
            self._rest += part
        line, self._rest = self._rest.split(b"\n", maxsplit=1)
        message: dict[str, float] = json.loads(line)
        return message

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise self._lost()
        return process.stdin, process.stdout

    def _lost(self) -> ForkServerLost:
        tail = ""
        if self._process is not None and self._errors is not None:
            self._errors.seek(0)
            tail = self._errors.read().decode(errors="replace")[-2000:]
        self.close()
        return ForkServerLost(f"the fork server is gone: {tail.strip() or 'it said nothing'}")
