"""Files that rot: truncated, with a flipped bit, or full of garbage; rows of another version of the code."""

from __future__ import annotations

import random
import signal

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from ground import Ground, Missed
from record_checks import RECORDS

from workers.contract import parquet_file
from workers.contract.schema import VIEWS
from workers.contract.store import Store

TARGETS = ("trials", "epochs", "measurements", "checkpoints", "attempts", "sweeps", "models")
DAMAGES = ("truncated", "bit-flipped", "garbage")
_WORDS = {"attempts": "heartbeats", "sweeps": "plans"}


def damage(ground: Ground, target: str, how: str) -> None:
    """Damage a file of the store while a sweep runs; what it held is made again, nothing else suffers."""
    with ground.fault(f"{how} file of {_WORDS.get(target, target)}"):
        ground.wait_for_attempts()
        if target == "checkpoints":
            _damage_newest_checkpoint(ground, how)
            return
        ground.planned_trials()
        paths: list[str] = []

        def are_there() -> list[str]:
            paths[:] = _of_this_sweep(ground, target)
            return paths

        ground.wait(are_there, f"a file of {target}")
        path = ground.world.rng.choice(paths)
        if target in {"trials", "epochs", "measurements", "models"}:
            ground.checks.damaged(path.split("/")[1].split(".")[0])
            ground.world.tally.damaged.add(path.split("/")[1].split(".")[0])
            ground.must_run_again = True
        if target == "epochs":
            ground.checks.without_epochs.add(path.split("/")[1].split(".")[0])
        _damage(ground, path, how)


def _of_this_sweep(ground: Ground, target: str) -> list[str]:
    if target == "sweeps":
        return ground.store.names(f"sweeps/{ground.sweep}")
    trial_ids = {planned.trial_id for planned in ground.planned_trials()}
    return [
        path for path in ground.store.names(target) if path.split("/")[1].split(".")[0] in trial_ids
    ]


def _damage_newest_checkpoint(ground: Ground, how: str) -> None:
    """Damage what a training would resume from, then kill it: the one before is taken."""
    seen = ground.stand_still_at("checkpoint_renaming:3", is_training=True)
    trial_id = str(seen.began["trial_id"])
    ground.world.damaged_work.add(trial_id)
    newest = ground.store.names(Store.checkpoint_folder(trial_id))[-1]
    _damage(ground, newest, how)
    psutil.Process(seen.pid).send_signal(signal.SIGKILL)
    ground.wait(lambda: not seen.is_alive, "the end of an attempt")


def _damage(ground: Ground, path: str, how: str) -> None:
    content = ground.store.read_bytes(path)
    if not content:
        raise Missed(f"{path} is gone")
    ground.store.write_bytes(path, damaged(content, how, ground.world.rng))


def damaged(content: bytes, how: str, rng: random.Random) -> bytes:
    """Give bytes as a failing disk would."""
    if how == "truncated":
        return content[: rng.randrange(len(content))]
    if how == "garbage":
        return rng.randbytes(rng.choice([1, len(content), 2 * len(content)]))
    place = rng.randrange(len(content))
    flipped = content[place] ^ (1 << rng.randrange(8))
    return content[:place] + bytes([flipped]) + content[place + 1 :]


def add_old_rows(ground: Ground) -> None:
    """Rows of an older version lie in the store: fewer columns, other identities; they stay, and disturb nothing."""
    with ground.fault("rows of an older version"):
        ground.wait(
            lambda: all(ground.store.read(view).num_rows for view in RECORDS),
            "rows of each view to make old ones of",
        )
        old_id = f"{ground.world.rng.getrandbits(80):020x}"
        ground.checks.foreign.add(old_id)
        for view, dropped in (("epochs", 2), ("trials", 6), ("measurements", 3)):
            rows = ground.store.read(view)
            row = rows.slice(0, 1).to_pylist()[0] | {"trial_id": old_id}
            if view == "trials":
                row["attempt_id"] = "20200101T000000-00000000"
            table = pa.Table.from_pylist([row], schema=VIEWS[view])
            kept = [name for name in table.column_names if name not in _droppable(view)[:dropped]]
            path = f"{view}/{old_id}.20200101T000000-00000000.parquet"
            ground.store.write_bytes(path, _of_old_version(view, table.select(kept)))


def _droppable(view: str) -> list[str]:
    keys = {"trial_id", "attempt_id", "statistic_id", "outcome", "spec", "epoch", "weights_sha256"}
    keys |= {"quantity", "layer", "index", "split", "objective", "statistic", "wall_seconds"}
    return [field.name for field in reversed(VIEWS[view]) if field.name not in keys]


def _of_old_version(view: str, table: pa.Table) -> bytes:
    """Write rows as a version of the code would have whose schema had fewer columns."""
    labels = {
        "view": view,
        "schema_version": "0",
        "committed_at": "2020-01-01T00:00:00.000000+00:00",
        "attempt_id": "20200101T000000-00000000",
        "compacted": "False",
        "parts": "[]",
        "sha256": parquet_file._NO_DIGEST.decode(),
    }
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema, store_schema=False) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({f"minima.{key}": text for key, text in labels.items()})
    return parquet_file._with_digest(sink.getvalue().to_pybytes())
