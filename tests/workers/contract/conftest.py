"""Stores on disk and on a loopback object storage, and records to put into them."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from workers.contract.records import EpochRecord, table
from workers.contract.store import Store

_TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


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


@pytest.fixture(params=["local", "s3"])
def store(request) -> Store:
    """Run the test on a folder and on object storage."""
    return request.getfixturevalue(f"{request.param}_store")
