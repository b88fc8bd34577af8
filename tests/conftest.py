"""What tests of several packages share: one thread, so that bits can be compared; object storage."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl

import pytest

from workers.contract.store import Store
from workers.process.code_digest import PACKAGES


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Fix TensorFlow's threads before any test runs an operation; no test may run one on import."""
    if "tensorflow" in sys.modules:
        from workers.process.environment import prepare

        prepare(1, uses_gpu=False)


@pytest.fixture(autouse=True, scope="session")
def _no_width():
    """Forget how wide the terminal is that the tests run in, which pytest-xdist tells its workers."""
    os.environ.pop("COLUMNS", None)


@pytest.fixture(autouse=True)
def _quiet_steps(monkeypatch):
    """Leave steps untold, however slow the machine; what tells of them sets its own patience."""
    from orchestrator.machine import console

    monkeypatch.setattr(console, "_QUIET_SECONDS", 3600.0)


@pytest.fixture(autouse=True)
def _former_signals():
    """Put back the handlers of signals; a command that has ended ignores them."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    former = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def copy_packages() -> Callable[[Path], Path]:
    """Copy our packages into a folder, for a Python that is to find other code."""

    def copy(folder: Path) -> Path:
        for package in PACKAGES:
            shutil.copytree(Path(__file__).parents[1] / package, folder / package)
        return folder

    return copy


@pytest.fixture(scope="session")
def s3_server():
    """Serve object storage on loopback for the session."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def s3_endpoint(s3_server):
    """Return where the object storage listens."""
    return s3_server.get_host_and_port()


@pytest.fixture
def s3_store(s3_endpoint, monkeypatch, request) -> Store:
    """Open an empty store in a bucket of its own; credentials come from the environment."""
    host, port = s3_endpoint
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    import boto3

    bucket = f"bucket-{abs(hash(request.node.nodeid))}"
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1")
    client.create_bucket(Bucket=bucket)
    client.close()
    place = f"scheme=http&endpoint_override={host}%3A{port}&region=us-east-1"
    return Store.open(f"s3://{bucket}/some/prefix?{place}")


class Request(NamedTuple):
    """What object storage was asked: the method (LIST for a listing), and the key below the store."""

    method: str
    key: str


@pytest.fixture
def s3_requests(s3_server, s3_store, monkeypatch) -> list[Request]:
    """Note every request to the object storage from now on."""
    requests: list[Request] = []
    answer = s3_server._server.app

    def note(environment, start):
        query = dict(parse_qsl(environment["QUERY_STRING"], keep_blank_values=True))
        method = "LIST" if "list-type" in query else environment["REQUEST_METHOD"]
        path = query["prefix"] if method == "LIST" else environment["PATH_INFO"]
        requests.append(Request(method, path.partition("some/prefix/")[2]))
        return answer(environment, start)

    monkeypatch.setattr(s3_server._server, "app", note)
    return requests
