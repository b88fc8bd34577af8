"""Identities: hashes of what decides a result, so that equal work is recognised and done once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from pydantic import JsonValue

from workers.contract.catalog import plugin_digest
from workers.contract.specs import PluginSpec, TrialSpec
from workers.contract.statistics import StatisticSpec

TRAINING_NUMERICS_VERSION = 1
"""Raised by hand when a change of code changes trained weights by more than rounding."""

STEP_VERSION = 2
"""Raised by hand when a change of code changes the rounding of training: a part of `environment_id`, so that
finished trials stay what they are, and interrupted ones start again."""

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
    (identity,) = trial_ids([trial])
    return identity


def trial_ids(trials: Sequence[TrialSpec]) -> list[str]:
    """Identify trials that differ in batch size, learning rate and seed alone, each as `trial_id` does."""
    first = trials[0]
    named: JsonValue = {"model": first.model.name, "dataset": first.dataset.name}
    common = first.non_default()
    return [
        digest(
            {
                "numerics": TRAINING_NUMERICS_VERSION,
                "named": named,
                "trial": common
                | {
                    "batch_size": trial.batch_size,
                    "learning_rate": trial.learning_rate,
                    "seed": trial.seed,
                },
            }
        )
        for trial in trials
    ]


def statistic_id(statistic: StatisticSpec) -> str:
    """Identify a statistic by its name, settings and numerics version (a plugin's by its source)."""
    if isinstance(statistic, PluginSpec):
        return _statistic_id(statistic, plugin_digest(statistic.name, where="measure"))
    return _statistic_id(statistic, statistic.version)


def earlier_statistic_ids(statistic: StatisticSpec) -> list[str]:
    """Identify the same statistic under every earlier numerics version, the latest first.

    Records under these identities stay what they are; they stand for the statistic until it is asked
    to be measured anew.
    """
    version = 1 if isinstance(statistic, PluginSpec) else statistic.version
    return [_statistic_id(statistic, earlier) for earlier in range(version - 1, 0, -1)]


def _statistic_id(statistic: StatisticSpec, version: str | int | None) -> str:
    settings = {key: value for key, value in statistic.non_default().items() if key != "seeds"}
    return digest({"numerics": version, "name": statistic.name, "settings": settings})


def weights_sha256(arrays: list[tuple[str, bytes]]) -> str:
    """Hash named weights, in the order given: the name, then the little-endian bytes."""
    running = hashlib.sha256()
    for name, content in arrays:
        running.update(name.encode() + b"\0")
        running.update(content)
    return running.hexdigest()
