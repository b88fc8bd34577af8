"""Stores on disk and on a loopback object storage, and records to put into them."""

from __future__ import annotations

from datetime import UTC, datetime

import boto3
import pyarrow as pa
import pytest
from moto.server import ThreadedMotoServer

from workers.contract.records import EpochRecord, TrialRecord, table
from workers.contract.store import Store

_TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def trial_rows():
    """Make the one-row `trials` table of an attempt."""

    def make(trial_id="t1", attempt_id="a1", weights_sha256="w", **changes) -> pa.Table:
        fields = {
            "trial_id": trial_id, "attempt_id": attempt_id, "model": "resnet", "depth": 8,
            "dataset": "digits", "data_digest": "d", "num_train": 1437, "num_params": 10,
            "loss": "kld", "batch_size": 100, "learning_rate": 0.1, "final_learning_rate": 0.001,
            "seed": 0, "momentum": 0.0, "weight_decay": 0.0, "epochs": 2, "outcome": "converged",
            "converged_at_epoch": None, "train_loss": 0.25, "train_accuracy": 0.5,
            "validation_loss": float("nan"), "validation_accuracy": None,
            "weights_sha256": weights_sha256, "wall_seconds": 1.5, "device": "CPU",
            "device_share": 0.0, "host": "h", "environment_id": "e", "started_at": _TIME,
            "finished_at": _TIME, "spec": "{}",
        }  # fmt: skip
        return table("trials", [TrialRecord(**(fields | changes))])

    return make


@pytest.fixture
def epoch_rows():
    """Make the `epochs` table of a trial with these training losses."""

    def make(trial_id="t1", losses=(1.0, 0.5)) -> pa.Table:
        return table(
            "epochs",
            [
                EpochRecord(
                    trial_id=trial_id, epoch=epoch, learning_rate=0.1, train_loss=loss,
                    train_accuracy=None, validation_loss=loss, validation_accuracy=None,
                    seconds=0.1,
                )
                for epoch, loss in enumerate(losses)
            ],
        )  # fmt: skip

    return make


@pytest.fixture
def clock(monkeypatch):
    """Set the time at which the next commits are made."""

    def set_time(seconds: int) -> None:
        monkeypatch.setattr("workers.contract.store._now", lambda: f"2026-01-01T00:00:{seconds:02}")

    return set_time


@pytest.fixture
def local_store(tmp_path) -> Store:
    return Store.open(str(tmp_path / "store"))


@pytest.fixture(scope="session")
def s3_endpoint():
    """Serve object storage on loopback for the session."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield server.get_host_and_port()
    server.stop()


@pytest.fixture
def s3_store(s3_endpoint, monkeypatch, request) -> Store:
    """Open an empty store in a bucket of its own; credentials come from the environment."""
    host, port = s3_endpoint
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    bucket = f"bucket-{abs(hash(request.node.nodeid))}"
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1")
    client.create_bucket(Bucket=bucket)
    client.close()
    place = f"scheme=http&endpoint_override={host}%3A{port}&region=us-east-1"
    return Store.open(f"s3://{bucket}/some/prefix?{place}")


@pytest.fixture(params=["local", "s3"])
def store(request) -> Store:
    """Run the test on a folder and on object storage."""
    return request.getfixturevalue(f"{request.param}_store")
