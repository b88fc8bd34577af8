"""A network in Keras' own format as data of unknown origin: looked through before anything of it is built."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import keras

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_ENTRIES = ["config.json", "metadata.json", _WEIGHTS]

_PLAIN_MODULES = frozenset(
    [
        "builtins",
        "keras",
        "keras.activations",
        "keras.constraints",
        "keras.dtype_policies",
        "keras.initializers",
        "keras.layers",
        "keras.ops",
        "keras.random",
        "keras.regularizers",
    ]
)
_PLAIN_INSIDES = ("keras.src.models.", "keras.src.ops.", "keras.src.layers.")
_UNSAFE = frozenset(
    {"Lambda", "__lambda__", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}  # run code
    | {"StringLookup", "IntegerLookup", "TextVectorization"}  # read files
)
_WITHOUT_MODULE = frozenset(
    {"__keras_tensor__", "__tensor__", "__numpy__", "__ellipsis__", "__slice__"}
)

_NAMES = frozenset({"name", "keras_history", "input_layers", "output_layers"})
"""Where a network's description names its layers; a name that the user did not choose counts up."""

_LAYER = frozenset({"trainable", "batch_shape"})
"""One of these stands beside the name of every layer, and beside no other name."""


class UnsafeNetwork(Exception):
    """A kept file holds more than the plain description of a network and its weights, or another network."""


def read_network(content: bytes) -> keras.Model:
    """Build the network of a file of unknown origin; nothing of the file is run.

    Layers are Keras' own or registered in this process. Keras' safe mode alone would let layers read
    files of this machine.

    Raises:
        UnsafeNetwork: The archive or its description holds what a kept network never does.
        Exception: Keras and HDF5 raise whatever damage leads to.
    """
    _check_classes(_checked_config(content))
    with _as_file(content) as path:
        return keras.models.load_model(path, compile=False, safe_mode=True)


def take_weights(content: bytes, built: keras.Model) -> bool:
    """Give a network that was built from its spec the weights of a file of unknown origin.

    Returns:
        Whether the file describes this network in the very words that it has itself; else nothing is done.

    Raises:
        UnsafeNetwork: The archive holds what a kept network never does.
        Exception: Keras and HDF5 raise whatever damage leads to.
    """
    if _numbered(_checked_config(content), {}) != _numbered(_config(built), {}):
        return False
    with _as_file(content) as path:
        built.load_weights(path)
    return True


def check_architecture(found: keras.Model, built: keras.Model) -> None:
    """Compare what a network computes with what its spec builds; weights say nothing of it.

    Names that Keras counts up differ between processes, and some layers tell of themselves in other
    words once they were read, so the built network is read back too where it must be.

    Raises:
        UnsafeNetwork: A layer, a connection or an option differs.
    """
    description = _description(found)
    wanted = _description(built)
    if description == wanted:
        return
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(built), safe_mode=True
    )
    if description != _description(again):
        raise UnsafeNetwork(
            f"its architecture is not the one of the spec: {_difference(description, wanted)}"
        )


def _checked_config(content: bytes) -> object:
    """Read the description of a network from an archive that holds nothing else than it and plain weights."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        _check_entries(archive)
        _check_weights(archive.read(_WEIGHTS))
        return json.loads(archive.read(_CONFIG))


@contextlib.contextmanager
def _as_file(content: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        path.write_bytes(content)
        yield path


def _check_entries(archive: zipfile.ZipFile) -> None:
    """Keras stores three entries without compressing them: nothing grows when it is read."""
    entries = archive.infolist()
    names = sorted(each.filename for each in entries)
    if names != _ENTRIES:
        raise UnsafeNetwork(f"it holds {', '.join(names)}, not {', '.join(_ENTRIES)}")
    for each in entries:
        if each.compress_type != zipfile.ZIP_STORED or each.file_size != each.compress_size:
            raise UnsafeNetwork(f"{each.filename} is compressed, which Keras never does")


def _check_classes(config: object) -> None:
    for each in _objects(config):
        name, module = each.get("class_name"), each.get("module")
        registered = each.get("registered_name")
        if name in _UNSAFE:
            raise UnsafeNetwork(f"{name} runs code or reads files")
        is_ours = bool(registered) and keras.saving.get_registered_object(registered) is not None
        if is_ours or _is_plain(name, module):
            continue
        raise UnsafeNetwork(
            f"{module}.{name} is unknown here: neither a layer of Keras nor registered"
        )


def _is_plain(name: object, module: object) -> bool:
    if module is None:
        return name in _WITHOUT_MODULE
    return module in _PLAIN_MODULES or str(module).startswith(_PLAIN_INSIDES)


def _objects(config: object) -> Iterator[dict[str, object]]:
    """Walk through everything that the description has Keras build."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield config
        for value in config.values():
            yield from _objects(value)
    elif isinstance(config, list):
        for value in config:
            yield from _objects(value)


def _check_weights(content: bytes) -> None:
    """Arrays lie in the file as they are, so that they take no more memory than it; links lead nowhere else."""
    with h5py.File(io.BytesIO(content), "r") as file:
        declared = sum(_declared_bytes(file, name) for name in _datasets(file))
    if declared > len(content):
        raise UnsafeNetwork(f"its weights declare {declared} bytes in a file of {len(content)}")


def _datasets(group: h5py.Group, prefix: str = "") -> Iterator[str]:
    for name in group:
        path = f"{prefix}{name}"
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise UnsafeNetwork(f"its weights hold a link at {path}")
        if isinstance(group[name], h5py.Group):
            yield from _datasets(group[name], f"{path}/")
        else:
            yield path


def _declared_bytes(file: h5py.File, path: str) -> int:
    dataset = file[path]
    if dataset.external or dataset.is_virtual:
        raise UnsafeNetwork(f"its weights lead to another file at {path}")
    return int(dataset.nbytes)


def _config(model: keras.Model) -> object:
    """Describe a network as JSON, as Keras writes it into a file."""
    return json.loads(json.dumps(keras.saving.serialize_keras_object(model)))


def _description(model: keras.Model) -> object:
    """Describe a network as JSON, with its layers numbered instead of named."""
    plain = _config(model)
    configs = (each["config"] for each in _objects(plain))
    layers = (each for each in configs if isinstance(each, dict) and _LAYER & each.keys())
    names = dict.fromkeys(str(each.get("name")) for each in layers)
    return _numbered(plain, {name: number for number, name in enumerate(names)})


def _numbered(value: object, numbers: dict[str, int], *, is_name: bool = False) -> object:
    if isinstance(value, dict):
        return {
            key: _numbered(each, numbers, is_name=key in _NAMES)
            for key, each in value.items()
            if key != "shared_object_id"  # an address of the process that wrote it
        }
    if isinstance(value, list):
        return [_numbered(each, numbers, is_name=is_name) for each in value]
    return numbers.get(value, value) if is_name and isinstance(value, str) else value


def _difference(found: object, wanted: object, path: str = "") -> str:
    """Return the first place where two descriptions differ, with both values."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = [key for key in {**wanted, **found} if found.get(key) != wanted.get(key)]
        return _difference(found.get(keys[0]), wanted.get(keys[0]), f"{path}.{keys[0]}")
    if isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        place = next(
            i for i, pair in enumerate(zip(found, wanted, strict=True)) if pair[0] != pair[1]
        )
        return _difference(found[place], wanted[place], f"{path}[{place}]")
    return f"{path.removeprefix('.')} is {found!r:.80}, not {wanted!r:.80}"
