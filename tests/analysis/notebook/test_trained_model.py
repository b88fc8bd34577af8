"""Kept networks out of a store; the one file of the analysis' tests that needs Keras."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from analysis import open_store
from workers.attempts.kept_model import to_bytes
from workers.contract.errors import UserError
from workers.contract.identity import trial_id
from workers.contract.store import Store


@pytest.fixture
def trained(synthetic_sweep):
    """The id of a trained trial."""
    sweep = synthetic_sweep(pairs=[(100, 0.1)], seeds=[0])
    sweep.plan()
    (trial,) = sweep.trials()
    sweep.train(trial)
    return trial_id(trial)


def dense(*layers) -> keras.Model:
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input((3,)), *layers, keras.layers.Dense(2)])


def test_a_kept_network_computes_what_it_did(store, trained):
    """Same outputs, from the attempt that was recorded."""
    model = dense()
    store.write_bytes(Store.model_path(trained, "attempt"), to_bytes(model))
    found = open_store(store.uri).model(trained)
    inputs = np.arange(6, dtype="float32").reshape(2, 3)
    np.testing.assert_array_equal(found(inputs), model(inputs))


def test_code_stored_in_a_network_is_not_run(store, trained):
    """Keras' safe mode refuses a Lambda layer, which is code of whoever wrote the file."""
    content = to_bytes(dense(keras.layers.Lambda(lambda values: 2 * values)))
    store.write_bytes(Store.model_path(trained, "attempt"), content)
    with pytest.raises(UserError, match=rf"^models/{trained}.attempt.keras cannot be read as a network: .*(?s:.*)unsafe"):  # fmt: skip
        open_store(store.uri).model(trained)


def test_damage_is_told(store, trained):
    """With what to do about it."""
    store.write_bytes(Store.model_path(trained, "attempt"), b"no network")
    with pytest.raises(UserError, match=r"cannot be read as a network(?s:.*)mend:  the file is damaged: remove it"):  # fmt: skip
        open_store(store.uri).model(trained)


def test_what_is_not_there_is_told(store, trained):
    """A trial that is not known, and a network that is lost."""
    door = open_store(store.uri)
    mend = rf"\n  mend:  did you mean '{trained}'\? trials\(\) lists them, under `trial_id`"
    with pytest.raises(UserError, match=f"no trial '{trained[:-1]}' in the store(?s:.*){mend}"):
        door.model(trained[:-1])
    with pytest.raises(UserError, match=rf"no network of the trial {trained} \(converged\) is kept\n  where: model\('{trained}'\)\n  mend:  run the sweep again"):  # fmt: skip
        door.model(trained)
