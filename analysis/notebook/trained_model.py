"""The trained network of a trial, from the store; the one file of this package that needs Keras."""

from __future__ import annotations

import difflib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from workers.contract.catalog import is_plugin
from workers.contract.errors import UserError, user_error
from workers.contract.store import Store

if TYPE_CHECKING:
    import keras


def trained_model(store: Store, trial_id: str) -> keras.Model:
    """Load the kept network of any attempt that reached the recorded weights.

    Raises:
        UserError: There is no such trial, or no kept network of it that can be read.
        StoreError: The store cannot be read.
    """
    commits = store.commits_of("trials", trial_id)
    if not commits:
        raise _unknown(store, trial_id)
    kept, *_ = rows = [commit.file.table.to_pylist()[0] for commit in commits]
    attempts = [r["attempt_id"] for r in rows if r["weights_sha256"] == kept["weights_sha256"]]
    for path in (store.model_path(trial_id, attempt_id) for attempt_id in attempts):
        content = store.read_bytes(path)
        if content is not None:
            return _loaded(content, path, json.loads(kept["spec"])["model"]["name"])
    raise user_error(
        f"no network of the trial {trial_id} ({kept['outcome']}) is kept",
        where=f"model({trial_id!r})",
        mend="run the sweep again with one statistic more: a lost network is trained again",
    )


def _loaded(content: bytes, path: str, model_name: str) -> keras.Model:
    import keras  # keeps TensorFlow out of notebooks that load no network

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.keras"
        file.write_bytes(content)
        try:
            return keras.models.load_model(file, compile=False, safe_mode=True)
        except Exception as error:  # Keras and HDF5 raise anything on damage
            module = model_name.partition(":")[0]
            raise user_error(
                f"{path} cannot be read as a network: {type(error).__name__}: {error}",
                where="model(trial_id)",
                mend=f"import {module} first, which registers its layers"
                if is_plugin(model_name)
                else "the file is damaged: remove it and run the sweep with one statistic more",
            ) from error


def _unknown(store: Store, trial_id: str) -> UserError:
    known = [str(name) for name in store.read("trials")["trial_id"].to_pylist()]
    near = difflib.get_close_matches(trial_id, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return user_error(
        f"no trial {trial_id!r} in the store",
        where=store.uri,
        mend=f"{hint}trials() lists them, under `trial_id`",
    )
