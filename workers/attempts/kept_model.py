"""The network of a trial: built from its spec, kept in Keras' own format, and loaded again."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import keras

from workers.attempts.kept_file import UnsafeNetwork, check_architecture, read_network, take_weights
from workers.attempts.plugin_call import calling
from workers.contract.catalog import is_plugin, resolve
from workers.contract.errors import Fault, UserError, user_error
from workers.contract.specs import PluginSpec, TrialSpec
from workers.datasets.dataset import Dataset
from workers.network.network_faults import faults_of
from workers.network.params import copying_faults
from workers.network.precision import Precision, built_in
from workers.network.weights import digest_of_weights

_ARGUMENTS = "(settings, input_shape, num_outputs, seed)"


def build_model(trial: TrialSpec, dataset: Dataset, precision: Precision) -> keras.Model:
    """Build a trial's network with its initial weights; a plugin is called with its settings.

    Raises:
        UserError: The name is unknown, or a plugin raises anything or does not return a network that
            can be trained, kept and measured on these data.
    """
    name = trial.model.name
    model = _built(trial, dataset, precision)
    if is_plugin(name):
        with calling("model", name, _ARGUMENTS):
            faults = faults_of(model, dataset, trial.loss, precision)
        if faults:
            raise UserError(_located(faults, name))
        _refuse_unkeepable(model, trial)
    return model


def _built(trial: TrialSpec, dataset: Dataset, precision: Precision) -> keras.Model:
    name = trial.model.name
    build = resolve("model", name, where="model.name")
    if not callable(build):
        raise _bad_plugin(name, f"is {type(build).__name__}, not a function")
    argument = trial.model.settings if isinstance(trial.model, PluginSpec) else trial.model
    keras.utils.set_random_seed(trial.seed)  # for a plugin's unseeded initializers
    with calling("model", name, _ARGUMENTS), built_in(precision):
        model = build(argument, dataset.input_shape, dataset.num_outputs, trial.seed)
    if not isinstance(model, keras.Model):
        raise _bad_plugin(name, f"returned {type(model).__name__}, not a keras.Model")
    return model


def _refuse_unkeepable(model: keras.Model, trial: TrialSpec) -> None:
    """Write the network and read it back, as measuring will.

    Raises:
        UserError: It comes back with other weights, or with other weights trainable.
    """
    faults: list[Fault] = []
    try:
        kept = from_bytes(to_bytes(model), trial)
        is_whole = digest_of_weights(kept) == digest_of_weights(model)
        reason = "different weights come back"
        faults = copying_faults(model, kept) if is_whole else []
    except UnsafeNetwork as error:
        is_whole, reason = False, str(error)
    except Exception as error:  # noqa: BLE001  # layers of the user's own may raise anything
        is_whole, reason = False, f"{type(error).__name__}: {error}".splitlines()[0]
    if not is_whole:
        raise user_error(
            f"the model {trial.model.name!r} cannot be kept and read back: {reason}",
            where="model.name",
            mend="register layers of your own with @keras.saving.register_keras_serializable, give them "
            "get_config(), and use no Lambda",
        )
    if faults:
        raise UserError(_located(faults, trial.model.name))


def in_float32(model: keras.Model, trial: TrialSpec, dataset: Dataset) -> keras.Model:
    """Return the same weights in a network that computes in float32, which is the one kept."""
    if trial.training.precision == "float32":
        return model
    plain = build_model(trial, dataset, "float32")
    plain.set_weights(model.get_weights())
    return plain


def to_bytes(model: keras.Model) -> bytes:
    """Return a network as bytes in Keras' own format."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        return path.read_bytes()


def from_bytes(content: bytes, trial: TrialSpec) -> keras.Model:
    """Read a network back, without running code stored in the file.

    Raises:
        UnsafeNetwork: The file holds what no kept network does.
        Exception: Keras and HDF5 raise whatever damage leads to.
    """
    if is_plugin(trial.model.name):
        resolve("model", trial.model.name, where="model.name")  # registers its layers
    return read_network(content)


def of_trial(content: bytes, trial: TrialSpec, dataset: Dataset) -> keras.Model:
    """Read the network of a trial back, and hold its architecture against the spec's.

    Raises:
        UnsafeNetwork: The file holds what no kept network does, or another network.
        Exception: Keras and HDF5 raise whatever damage leads to.
    """
    built = _built(trial, dataset, "float32")
    if not is_plugin(trial.model.name) and take_weights(content, built):
        return built
    model = from_bytes(content, trial)
    check_architecture(model, built)
    return model


def _located(faults: list[Fault], name: str) -> list[Fault]:
    return [replace(each, where=f"{each.where} of {name}") for each in faults]


def _bad_plugin(name: str, fault: str) -> UserError:
    return user_error(
        f"the model {name!r} {fault}",
        where="model.name",
        mend="return a keras.Model that ends in raw outputs [batch, num_outputs] from a function "
        "of (settings, input_shape, num_outputs, seed)",
    )
