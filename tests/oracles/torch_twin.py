"""The project's networks written again in PyTorch, and the weights of a Keras network put into them.

Every operation is a module used once, as hooks on modules need. A layer's path here, with dots for
underscores, is its name in Keras: `stage1_block0.conv1` is `stage1_block0_conv1`. Names, and not
positions, decide which parameter is which.
"""

from __future__ import annotations

from collections import OrderedDict

import keras
import numpy as np
import torch
from torch import nn

_KERAS_BATCH_NORM_EPSILON = 1e-3

_NAMES_OF_NORMS = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_NAMES = {"kernel": "weight", "bias": "bias"} | _NAMES_OF_NORMS


def twin_of(model: keras.Model) -> nn.Sequential:
    """Build the twin of one of the project's networks, in evaluation mode, with the same weights."""
    layers = {layer.name: layer for layer in model.layers}
    twin = _residual_network(layers) if "stem_conv" in layers else _perceptron(layers)
    dtype = getattr(torch, model.dtype)
    twin.to(dtype).eval()
    weights = {
        torch_name(variable): torch.tensor(in_torch_layout(variable.numpy()), dtype=dtype)
        for variable in model.weights
    }
    missing, unexpected = twin.load_state_dict(weights, strict=False)
    assert not unexpected, unexpected
    assert all(name.endswith("num_batches_tracked") for name in missing), missing
    return twin


def torch_name(variable: keras.Variable) -> str:
    """Name a variable of a Keras network as its twin does."""
    layer, name = variable.path.split("/")
    place = layer.replace("_", ".", 1) if layer.startswith("stem_") else layer
    if layer.startswith("stage"):
        stage, block, rest = layer.split("_", 2)
        place = f"{stage}_{block}.{rest}"
    return f"{place}.{_NAMES[name]}"


def in_torch_layout(values: np.ndarray) -> np.ndarray:
    """Turn a kernel [height, width, inputs, outputs] or [inputs, outputs] to have its outputs first."""
    return values.transpose(3, 2, 0, 1) if values.ndim == 4 else values.T


def by_name(variables: list[keras.Variable], vector: np.ndarray) -> dict[str, np.ndarray]:
    """Cut a vector [P] that holds the variables one after the other into arrays in torch's layout."""
    sizes = [int(np.prod(variable.shape)) for variable in variables]
    pieces = np.split(vector, np.cumsum(sizes)[:-1])
    return {
        torch_name(variable): in_torch_layout(piece.reshape(variable.shape))
        for variable, piece in zip(variables, pieces, strict=True)
    }


def layer_of(parameter: str) -> str:
    """Name the Keras layer of a twin's parameter."""
    return parameter.rpartition(".")[0].replace(".", "_")


def _perceptron(layers: dict[str, keras.Layer]) -> nn.Sequential:
    """Channels stay last, so that pixels are flattened in Keras' order."""
    modules: list[tuple[str, nn.Module]] = [("flatten", nn.Flatten())]
    for name, layer in layers.items():
        if isinstance(layer, keras.layers.Dense):
            modules.append((name, nn.Linear(*layer.kernel.shape)))
            modules += [(f"{name}_relu", nn.ReLU())] if name != "outputs" else []
    return nn.Sequential(OrderedDict(modules))


def _residual_network(layers: dict[str, keras.Layer]) -> nn.Sequential:
    blocks = dict.fromkeys(name.rpartition("_")[0] for name in layers if name.endswith("_conv1"))
    has_bias = layers["stem_conv"].use_bias
    stem = [
        ("conv", nn.Conv2d(3, 16, 3, padding=1, bias=has_bias)),
        ("norm", _norm(16)),
        ("relu", nn.ReLU()),
    ]
    modules: list[tuple[str, nn.Module]] = [("stem", nn.Sequential(OrderedDict(stem)))]
    modules += [
        (name, _Block(*layers[f"{name}_conv1"].kernel.shape[2:], has_bias=has_bias))
        for name in blocks
    ]
    modules += [("pool", nn.AdaptiveAvgPool2d(1)), ("flatten", nn.Flatten())]
    modules.append(("outputs", nn.Linear(*layers["outputs"].kernel.shape)))
    return nn.Sequential(OrderedDict(modules))


class _Block(nn.Module):
    """Two convolutions beside a shortcut; where the channels change, at half the height and width.

    Keras pads a stride of two over an even size below and to the right alone.
    """

    def __init__(self, inputs: int, outputs: int, *, has_bias: bool) -> None:
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.pad = nn.ZeroPad2d((0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, bias=has_bias)
        self.norm1 = _norm(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=has_bias)
        self.norm2 = _norm(outputs)
        self.relu2 = nn.ReLU()
        self.projection = self.subsample = self.widen = nn.Identity()
        if stride == 2 and has_bias:
            self.projection = nn.Conv2d(inputs, outputs, 1, stride=2)
        elif stride == 2:
            self.subsample = nn.AvgPool2d(1, stride=2)
            margin = (outputs - inputs) // 2
            self.widen = nn.ConstantPad3d((0, 0, 0, 0, margin, outputs - inputs - margin), 0.0)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        residual = self.relu1(self.norm1(self.conv1(self.pad(values))))
        residual = self.norm2(self.conv2(residual))
        shortcut = self.widen(self.subsample(self.projection(values)))
        return self.relu2(shortcut + residual)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_KERAS_BATCH_NORM_EPSILON)
