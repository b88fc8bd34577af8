"""Kept networks out of a store; the one file of the analysis' tests that needs Keras."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from analysis import open_store
from workers.contract.errors import UserError
from workers.contract.identity import trial_id
from workers.contract.store import Store

KEPT_STORE = Path(__file__).parents[2] / "orchestrator/kept_store"
KEPT = "2e9cbb410208ecd91bf1"


@pytest.fixture
def place(tmp_path):
    """A copy of a store that an earlier version made."""
    return shutil.copytree(KEPT_STORE, tmp_path / "kept")


def change(place, entry, changed):
    """Rewrite one entry of the kept network of the trial."""
    [path] = (place / "models").glob(f"{KEPT}.*.keras")
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (parts | {entry: changed(parts[entry])}).items():
            archive.writestr(name, content)


def layers_changed(changed):
    def rewrite(content):
        config = json.loads(content)
        changed(config["config"]["layers"])
        return json.dumps(config).encode()

    return rewrite


def test_a_kept_network_computes_what_it_did(place):
    """max(0, x·W + b)·V + c of the weights in the file, read by HDF5 alone."""
    [path] = (place / "models").glob(f"{KEPT}.*.keras")
    with zipfile.ZipFile(path) as archive:
        file = h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r")
    layers = [np.asarray(file[f"layers/{each}/vars/{i}"]) for each in ("dense", "dense_1") for i in (0, 1)]  # fmt: skip
    inputs = np.linspace(-1, 1, 2 * 64).reshape(2, 8, 8, 1).astype("float32")
    hidden = np.maximum(inputs.reshape(2, 64) @ layers[0] + layers[1], 0)
    found = open_store(str(place)).model(KEPT)
    np.testing.assert_allclose(found(inputs), hidden @ layers[2] + layers[3], rtol=1e-4, atol=1e-6)


def test_another_architecture_is_refused(place):
    """Its weights are the recorded ones, and it would compute other numbers."""
    linear = layers_changed(lambda layers: layers[2]["config"].update(activation="linear"))
    change(place, "config.json", linear)
    with pytest.raises(UserError, match=r"activation is 'linear', not 'relu'\n  where: model\(trial_id\)\n  mend:  it was changed: remove it and run the sweep with"):  # fmt: skip
        open_store(str(place)).model(KEPT)


def test_other_weights_are_refused(place):
    """The digest of the record is held against what was read."""

    def rewrite(content):
        stream = io.BytesIO(content)
        with h5py.File(stream, "r+") as file:
            file["layers/dense_1/vars/1"][0] += 1.0
        return stream.getvalue()

    change(place, "model.weights.h5", rewrite)
    with pytest.raises(UserError, match="it holds other weights than were recorded"):
        open_store(str(place)).model(KEPT)


def test_code_stored_in_a_network_is_not_run(place, monkeypatch):
    """A Lambda layer is code of whoever wrote the file; Keras never sees it."""
    monkeypatch.setattr(keras.models, "load_model", lambda *_, **__: pytest.fail("Keras was asked"))
    change(place, "config.json", layers_changed(lambda layers: layers[1].update(class_name="Lambda")))  # fmt: skip
    with pytest.raises(UserError, match=rf"^models/{KEPT}\..*keras cannot be read as a network: Lambda runs code or reads files"):  # fmt: skip
        open_store(str(place)).model(KEPT)


@pytest.fixture
def trained(synthetic_sweep):
    """The id of a trained trial without a network."""
    sweep = synthetic_sweep(pairs=[(100, 0.1)], seeds=[0])
    sweep.plan()
    (trial,) = sweep.trials()
    sweep.train(trial)
    return trial_id(trial)


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
