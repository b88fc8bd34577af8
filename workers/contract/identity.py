"""Identities: hashes of what decides a result, so that equal work is recognised and done once."""

from __future__ import annotations

import hashlib
import json

from pydantic import JsonValue

from workers.contract.catalog import is_plugin, plugin_digest
from workers.contract.specs import TrialSpec
from workers.contract.statistics import StatisticSpec

TRAINING_NUMERICS_VERSION = 1
"""Raised by hand when a change of code changes trained weights."""

STATISTIC_NUMERICS_VERSION = {
    "losses": 2,
    "traces": 3,
    "hessian": 3,
    "noise_curvature": 3,
    "spectrum": 3,
    "batch_noise": 3,
    "fork": 2,
    "tail": 3,
}
"""Raised by hand, per statistic, when a change of code changes its values."""

_DIGEST_CHARACTERS = 20


def digest(value: JsonValue) -> str:
    """Hash a JSON value: keys sorted, the first 80 bits of SHA-256 in hexadecimal.

    Floats count by their exact value: JSON text holds the shortest decimal that reads back as the
    same float, and always differs from that of a whole number or of text.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARACTERS]


def trial_id(trial: TrialSpec) -> str:
    """Identify a trial by what decides its weights.

    Fields at their default are left out, so a new field with a default changes no identity.
    """
    named: JsonValue = {"model": trial.model.name, "dataset": trial.dataset.name}
    return digest(
        {"numerics": TRAINING_NUMERICS_VERSION, "named": named, "trial": trial.non_default()}
    )


def statistic_id(statistic: StatisticSpec) -> str:
    """Identify a statistic by its name, settings and numerics version (a plugin's by its source)."""
    name = statistic.name
    if is_plugin(name):
        return _statistic_id(statistic, plugin_digest(name, where="measure"))
    return _statistic_id(statistic, STATISTIC_NUMERICS_VERSION.get(name))


def earlier_statistic_ids(statistic: StatisticSpec) -> list[str]:
    """Identify the same statistic under every earlier numerics version, the latest first.

    Records under these identities stay what they are; they stand for the statistic until it is asked
    to be measured anew.
    """
    version = STATISTIC_NUMERICS_VERSION.get(statistic.name, 1)
    return [_statistic_id(statistic, earlier) for earlier in range(version - 1, 0, -1)]


def _statistic_id(statistic: StatisticSpec, version: str | int | None) -> str:
    settings = statistic.non_default()
    return digest({"numerics": version, "name": statistic.name, "settings": settings})


def weights_sha256(arrays: list[tuple[str, bytes]]) -> str:
    """Hash named weights, in the order given: the name, then the little-endian bytes."""
    running = hashlib.sha256()
    for name, content in arrays:
        running.update(name.encode() + b"\0")
        running.update(content)
    return running.hexdigest()
