"""What a node may do when it is asked; and a data set that is another one where OTHER_DATA is set."""

import contextlib
import os
import signal
import time
from pathlib import Path

import numpy as np

from workers.datasets.dataset import Dataset, Split, digest_of


def answer(question: str) -> str:
    """Answer, fail, die, keep silent, or kill the head of the cluster, as the question says."""
    if question == "fail":
        raise ValueError("no")
    if question == "die":
        os._exit(1)
    if question == "behead":
        behead()
    if question in {"sleep", "behead"}:
        time.sleep(600)
    return f"GPUs: {os.environ['CUDA_VISIBLE_DEVICES']}"


def behead() -> None:
    """Kill the head of the cluster."""
    import ray  # which the driver may import only once its environment is set

    session = f"--session-name={ray.get_runtime_context().get_session_name()}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended since
            command = (process / "cmdline").read_bytes().split(b"\0")
            if b"gcs_server" in command[0] and session in command:
                os.kill(int(process.name), signal.SIGKILL)


def load(_settings: object, _data_dir: str | None) -> Dataset:
    """Forty examples of two classes."""
    seed = 1 if os.environ.get("OTHER_DATA") else 0
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(40, 4)).astype(np.float32)
    targets = np.eye(2, dtype=np.float32)[np.arange(40) % 2]
    train, test = Split(inputs[:30], targets[:30]), Split(inputs[30:], targets[30:])
    zero, one = np.zeros((), np.float32), np.ones((), np.float32)
    digest = digest_of(train, test)
    return Dataset(train, test, zero, one, is_classification=True, digest=digest)
