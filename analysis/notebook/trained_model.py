"""The trained network of a trial, from the store; the one file of this package that needs Keras."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from workers.contract.catalog import is_plugin, resolve
from workers.contract.errors import UserError, user_error
from workers.contract.specs import TrialSpec
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
    kept, *_ = rows = [commit.table.to_pylist()[0] for commit in commits]
    attempts = [r["attempt_id"] for r in rows if r["weights_sha256"] == kept["weights_sha256"]]
    for path in (store.model_path(trial_id, attempt_id) for attempt_id in attempts):
        content = store.read_bytes(path)
        if content is not None:
            return _loaded(content, path, kept)
    raise user_error(
        f"no network of the trial {trial_id} ({kept['outcome']}) is kept",
        where=f"model({trial_id!r})",
        mend="run the sweep again with one statistic more: a lost network is trained again",
    )


def _loaded(content: bytes, path: str, record: Mapping[str, Any]) -> keras.Model:
    """Read a network of unknown origin; a plugin's is not rebuilt, as a store names no code to run here."""
    # keeps TensorFlow out of notebooks that load no network
    from workers.attempts.kept_file import UnsafeNetwork, check_architecture, read_network
    from workers.network.weights import digest_of_weights

    trial = TrialSpec.model_validate_json(record["spec"])
    name = trial.model.name
    try:
        model = read_network(content)
        if not is_plugin(name):
            check_architecture(model, _built(trial, model))
    except UnsafeNetwork as error:
        raise _unreadable(path, str(error), name, "it was changed: remove it") from error
    except Exception as error:  # Keras and HDF5 raise whatever damage leads to
        what = f"{type(error).__name__}: {error}"
        raise _unreadable(path, what, name, "the file is damaged: remove it") from error
    if digest_of_weights(model) != record["weights_sha256"]:
        raise _unreadable(path, "it holds other weights than were recorded", name, "remove it")
    return model


def _built(trial: TrialSpec, like: keras.Model) -> keras.Model:
    build = cast("Callable[..., keras.Model]", resolve("model", trial.model.name))
    return build(
        trial.model, tuple(like.inputs[0].shape[1:]), like.outputs[0].shape[-1], trial.seed
    )


def _unreadable(path: str, what: str, model_name: str, mend: str) -> UserError:
    module = model_name.partition(":")[0]
    first = (
        f"import {module} first, which registers its layers; else " if is_plugin(model_name) else ""
    )
    return user_error(
        f"{path} cannot be read as a network: {what}",
        where="model(trial_id)",
        mend=f"{first}{mend} and run the sweep with one statistic more",
    )


def _unknown(store: Store, trial_id: str) -> UserError:
    known = [str(name) for name in store.read("trials")["trial_id"].to_pylist()]
    near = difflib.get_close_matches(trial_id, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return user_error(
        f"no trial {trial_id!r} in the store",
        where=store.uri,
        mend=f"{hint}trials() lists them, under `trial_id`",
    )
