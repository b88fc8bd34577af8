"""The names of the store's files, each made and parsed here and nowhere else.

Trial ids, attempt ids, run ids and sweep names hold no "/", and ids no ".", so that the parts of a name
can be told apart.
"""

from __future__ import annotations

import re
from collections.abc import Collection

PART = r"[A-Za-z0-9][A-Za-z0-9._-]*"
"""What may stand as part of a name: an id, a sweep, a revision."""

_CHECKPOINT = re.compile(r"step-(\d{9,})\.([0-9a-f]{16})\.[^/]+\.npz")
_PLAN = ".json"
_RUN = ".run.json"
_ROWS = ".parquet"
_COMPACTED = "compacted-"
_FEW = 10
"""Beginnings that each name is asked for."""


class FileNames:
    """Makes and parses paths below the root of a store."""

    @staticmethod
    def rows_path(view: str, key: tuple[str, ...], attempt_id: str) -> str:
        """Return where the rows of one id are that one attempt committed."""
        parts = key if attempt_id in key else (*key, attempt_id)
        return f"{view}/{'.'.join(parts)}{_ROWS}"

    @staticmethod
    def compacted_path(view: str, merge_id: str) -> str:
        """Return where the rows of many ids are that one compaction merged."""
        return f"{view}/{_COMPACTED}{merge_id}{_ROWS}"

    @staticmethod
    def derived_path(view: str, sweep: str) -> str:
        """Return where the derived rows of a sweep are."""
        return f"{view}/{sweep}{_ROWS}"

    @staticmethod
    def conclusion_path(sweep: str) -> str:
        """Return where it stands which records the derived rows of a sweep are of, and what follows from them."""
        return f"conclusions/{sweep}.json"

    @staticmethod
    def is_rows(path: str) -> bool:
        """Whether a path is that of a view's rows."""
        return path.endswith(_ROWS)

    @staticmethod
    def is_compacted(path: str) -> bool:
        """Whether a path is that of merged rows."""
        return FileNames.is_rows(path) and _name(path).startswith(_COMPACTED)

    @staticmethod
    def is_rows_of(path: str, key: tuple[str, ...]) -> bool:
        """Whether a path is that of rows whose id begins so."""
        return FileNames.is_rows(path) and _name(path).startswith(f"{'.'.join(key)}.")

    @staticmethod
    def beginnings_of_rows(first_key: str) -> tuple[str, ...]:
        """Return how names of files may begin that hold rows of ids that begin so."""
        return f"{first_key}.", _COMPACTED

    @staticmethod
    def beginnings(trial_ids: Collection[str]) -> tuple[str, ...]:
        """Return how names of models and heartbeats of some trials begin; of many as any may, which is found sooner."""
        return tuple(f"{name}." for name in trial_ids) if len(trial_ids) <= _FEW else ("",)

    @staticmethod
    def rows_key(path: str, num_columns: int) -> tuple[str, ...]:
        """Return the first parts of a name of rows: the id, of as many columns as the view's."""
        return tuple(_name(path).removesuffix(_ROWS).split(".")[:num_columns])

    @staticmethod
    def folder(path: str) -> str:
        """Return the first folder of a path: a view, or a kind of document."""
        return path.split("/", maxsplit=1)[0]

    @staticmethod
    def model_path(trial_id: str, attempt_id: str) -> str:
        """Return where the trained network of one attempt is."""
        return f"models/{trial_id}.{attempt_id}.keras"

    @staticmethod
    def model_trial(path: str) -> str:
        """Return the trial whose trained network is at a path."""
        return _first_part(path)

    @staticmethod
    def checkpoint_folder(work_id: str) -> str:
        """Return where the checkpoints of a training or a measurement are, of all its attempts."""
        return f"checkpoints/{work_id}"

    @staticmethod
    def checkpoint_name(done: int, digest: str, attempt_id: str) -> str:
        """Return the name of a checkpoint of a number, in training the steps done, whose bytes have a digest."""
        return f"step-{done:09d}.{digest}.{attempt_id}.npz"

    @staticmethod
    def checkpoint_parts(path: str) -> tuple[int, str] | None:
        """Return the number and the digest that a checkpoint's name states; None of another file."""
        match = _CHECKPOINT.fullmatch(_name(path))
        return None if match is None else (int(match[1]), match[2])

    @staticmethod
    def shared_folder(trial_id: str) -> str:
        """Return where the measurements of a trial find what one of them has taken for all."""
        return f"shared/{trial_id}"

    @staticmethod
    def heartbeat_path(trial_id: str, attempt_id: str) -> str:
        """Return where an attempt tells that it lives and how far it is."""
        return f"attempts/{trial_id}.{attempt_id}.json"

    @staticmethod
    def heartbeat_trial(path: str) -> str:
        """Return the trial whose attempt a heartbeat's path names."""
        return _first_part(path)

    @staticmethod
    def heartbeat_attempt(path: str) -> str:
        """Return the attempt that a heartbeat's path names."""
        return _name(path).removesuffix(".json").partition(".")[2]

    @staticmethod
    def log_path(trial_id: str, attempt_id: str) -> str:
        """Return where an attempt's standard output and error go."""
        return f"logs/{trial_id}.{attempt_id}.log"

    @staticmethod
    def plan_folder(sweep: str) -> str:
        """Return where the resolved plans of a sweep are."""
        return f"sweeps/{sweep}"

    @staticmethod
    def plan_path(sweep: str, revision: str) -> str:
        """Return where a resolved plan is."""
        return f"sweeps/{sweep}/{revision}{_PLAN}"

    @staticmethod
    def plan_parts(path: str) -> tuple[str, str] | None:
        """Return the sweep and the revision whose plan is at a path; None of another file."""
        parts = path.split("/")
        if len(parts) != 3 or not parts[2].endswith(_PLAN):
            return None
        return parts[1], parts[2].removesuffix(_PLAN)

    @staticmethod
    def run_path(sweep: str, run_id: str) -> str:
        """Return where a running driver tells that it lives."""
        return f"control/{sweep}.{run_id}{_RUN}"

    @staticmethod
    def run_parts(path: str) -> tuple[str, str] | None:
        """Return the sweep and the run id of a driver registered at a path; None of another file."""
        if not path.endswith(_RUN):
            return None
        sweep, _, run_id = _name(path).removesuffix(_RUN).rpartition(".")
        return sweep, run_id

    @staticmethod
    def stop_path(sweep: str, run_id: str) -> str:
        """Return the marker that asks one run to drain."""
        return f"control/{sweep}.{run_id}.stop.json"

    @staticmethod
    def nonce_path(token: str) -> str:
        """Return where a driver leaves words, to learn which nodes see the same store."""
        return f"control/preflight.{token}.nonce"

    @staticmethod
    def nonce_answer_path(token: str, node_id: str) -> str:
        """Return where a node repeats them."""
        return f"control/preflight.{token}.nonce.{node_id}"

    @staticmethod
    def is_nonce_of(path: str, token: str) -> bool:
        """Whether a file is the words left under a token, or a node's answer to them."""
        return path.startswith(FileNames.nonce_path(token))


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _first_part(path: str) -> str:
    return _name(path).split(".", maxsplit=1)[0]
