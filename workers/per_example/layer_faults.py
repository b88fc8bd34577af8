"""Why the rules cannot compute a network's per-example gradients, layer by layer."""

from __future__ import annotations

from collections import Counter

import keras

from workers.contract.errors import Fault
from workers.network.graph import Call
from workers.network.params import params_of

_RULED = (keras.layers.Conv2D, keras.layers.Dense, keras.layers.BatchNormalization)
_RULED_VARIABLES = ("kernel", "bias", "gamma", "beta")
LEAVE_OUT = "or leave `traces` out of `measure`"


def faults_of(calls: list[Call]) -> list[Fault]:
    """List every layer with trained parameters that no rule covers, as it is or as it is used."""
    num_calls = Counter(call.name for call in calls)
    layers = {call.name: call for call in calls if call.has_parameters}
    found = [(name, *fault) for name, call in layers.items() for fault in _faults(call)]
    shared = "{} is used {} times; an example's gradient is then the sum of its uses"
    for name, call in layers.items():
        if num_calls[name] > 1:
            what = shared.format(_described(call), num_calls[name])
            found.append((name, what, "use a layer of its own each time"))
    return [
        Fault(what, f"model, layer {name!r}", f"{mend}, {LEAVE_OUT}") for name, what, mend in found
    ]


def _described(call: Call) -> str:
    return f"the {type(call.operation).__name__} layer {call.name!r}"


def _faults(call: Call) -> list[tuple[str, str]]:
    """Return (what, mend) of each fault."""
    layer, what = call.operation, _described(call)
    if type(layer) not in _RULED:
        known = ", ".join(kind.__name__ for kind in _RULED)
        return [(f"{what} has no rule for per-example gradients", f"use {known}")]
    names = [each.variable.name for each in params_of(layer)]
    others = [name for name in names if name not in _RULED_VARIABLES]
    found = []
    if others:
        found.append(
            (f"{what} trains {', '.join(others)} too, which no rule covers", "use it without them")
        )
    if isinstance(layer, keras.layers.Conv2D):
        if layer.groups != 1:
            found.append((f"{what} has {layer.groups} groups", "use groups=1"))
        if layer.data_format != "channels_last":
            found.append((f"{what} has data_format={layer.data_format!r}", "use 'channels_last'"))
    rank = len(call.inputs[0].shape)
    if isinstance(layer, keras.layers.Dense) and rank != 2:
        found.append((f"{what} reads inputs of rank {rank}", "flatten its inputs"))
    return found
