"""A question answered by a process of its own, as it calls a user's code: whatever that does is an answer.

The process reads the question from standard input and writes lines of JSON: which plugin it calls, and at
last its answer. What plugins print is kept apart from both.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import IO

from workers.contract.errors import Fault, UserError
from workers.contract.plugin_call import PluginCall, watched
from workers.process.children.forked import end_with_parent
from workers.process.surroundings import for_tensorflow

_OWN_SECONDS = 300.0
"""How long our own part may take, such as importing TensorFlow on a busy machine."""
_POLL_SECONDS = 0.1
_LAST_BYTES = 4096
_READ_BYTES = 65536


def ask_apart(
    module: str, question: str, surroundings: Mapping[str, str] | None = None
) -> str | None:
    """Have `python -m module` answer a question; it and what it has started end with the call.

    Args:
        module: Its main function calls `answer_apart`.
        question: Given to it on standard input.
        surroundings: Its variables; by default those of any process with TensorFlow.

    Returns:
        The answer; None where the process ended without one, and no plugin had the word.

    Raises:
        UserError: A plugin ended the process, or did not return in time.
    """
    with tempfile.TemporaryFile() as said:
        # -P: the folder we happen to stand in must not shadow our packages
        process = subprocess.Popen(  # noqa: S603  # our own module, on our own interpreter
            [sys.executable, "-P", "-m", module, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            bufsize=0,
            env=for_tensorflow(os.environ) if surroundings is None else surroundings,
            start_new_session=True,  # so that it ends with what it has started
        )
        try:
            _put(process, question)
            return _Listener(process, said).answer()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def ask_of_all(ask: Callable[[Collection[str]], Sequence[Fault]]) -> list[Fault]:
    """Ask again after a plugin has ended the process: it does not hide what is wrong with the others.

    Args:
        ask: Return the faults of all plugins but those that the keys name, which ended a process before.

    Returns:
        All faults; at most one question for each plugin, and one for what is left.
    """
    faults, ended = list[Fault](), set[str]()
    while True:
        try:
            faults += ask(ended)
        except UserError as error:
            faults += error.faults
            if not {fault.where for fault in error.faults} <= ended:
                ended |= {fault.where for fault in error.faults}
                continue
        return list(dict.fromkeys(faults))


def answer_apart(answer: Callable[[str], str]) -> None:
    """Answer the question on standard input as `ask_apart` expects it, and leave at once.

    Threads and exit functions of plugins are not waited for.
    """
    answers = os.dup(1)
    os.dup2(2, 1)
    end_with_parent(int(sys.argv[1]))
    question = sys.stdin.buffer.read().decode()

    def tell(call: PluginCall | None) -> None:
        _send(answers, {"call": None if call is None else call.model_dump(mode="json")})

    with watched(tell):
        _send(answers, {"answer": answer(question)})
    os._exit(0)


class _Listener:
    """The side that asks: what the process tells, as long as it may take."""

    def __init__(self, process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
        self._process, self._said = process, said
        self._told = -1 if process.stdout is None else process.stdout.fileno()
        self._rest = b""
        self._call: PluginCall | None = None

    def answer(self) -> str | None:
        """Return the answer, or None; raise what a plugin did instead."""
        while True:
            seconds = _OWN_SECONDS if self._call is None else self._call.seconds
            line = self._next_line(seconds)
            if line is None:
                self._refuse_end(seconds)
                return None
            message = json.loads(line)
            if "answer" in message:
                answer: str = message["answer"]
                return answer
            told = message["call"]
            self._call = None if told is None else PluginCall.model_validate(told)

    def _next_line(self, seconds: float) -> bytes | None:
        """Wait for a line; None where the process has ended or takes longer.

        What it has started may hold the pipe open, so that its end alone is none of the process.
        """
        deadline, is_over = time.monotonic() + seconds, False
        while b"\n" not in self._rest:
            if select.select([self._told], [], [], 0 if is_over else _POLL_SECONDS)[0]:
                part = os.read(self._told, _READ_BYTES)
                if not part:
                    return None
                self._rest += part
            elif is_over or time.monotonic() > deadline:
                return None
            else:
                is_over = self._process.poll() is not None  # then once more for what it said last
        line, self._rest = self._rest.split(b"\n", maxsplit=1)
        return line

    def _refuse_end(self, seconds: float) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_POLL_SECONDS)  # it has closed its pipe, or takes too long
        if self._call is None:
            return
        if self._process.returncode is None:
            raise UserError([self._call.too_long(seconds)])
        raise UserError([self._call.ended(self._process.returncode, self._last_words())])

    def _last_words(self) -> str:
        size = self._said.seek(0, os.SEEK_END)
        self._said.seek(max(0, size - _LAST_BYTES))
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else ""


def _put(process: subprocess.Popen[bytes], question: str) -> None:
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError), process.stdin as stream:
            stream.write(question.encode())


def _send(answers: int, message: dict[str, object]) -> None:
    line = json.dumps(message).encode() + b"\n"
    while line:
        line = line[os.write(answers, line) :]
