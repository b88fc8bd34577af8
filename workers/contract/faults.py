"""Deliberate death at a named place, for tests of recovery; does nothing unless asked for.

The environment variable `MINIMA_FAULT`, `<place>:<n>`, makes the process kill itself (SIGKILL) when it
reaches that place for the nth time. Places:

- `training_chunk`: after a chunk of training steps;
- `checkpoint_write`, `model_write`, `epoch_write`, `trial_write`, `measurement_write`: in the middle of
  writing such a file;
- `model_committed`: the model is in the store, the epochs are not;
- `epochs_committed`: the epochs are in the store, the trial is not;
- `measurement_batch`: between two batches of a measurement.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

VARIABLE = "MINIMA_FAULT"

_times_reached: Counter[str] = Counter()


def reach(place: str) -> None:
    """Pass a place; the end of the process if it is the one asked for.

    Raises:
        ValueError: The variable is not `<place>:<n>`.
    """
    wanted = os.environ.get(VARIABLE)
    if wanted is None:
        return
    name, _, number = wanted.partition(":")
    if not number.isdecimal():
        raise ValueError(f"{VARIABLE} must be <place>:<n>, not {wanted!r}")
    if name == place:
        _times_reached[place] += 1
        if _times_reached[place] == int(number):
            os.kill(os.getpid(), signal.SIGKILL)


def reach_write(path: str) -> None:
    """Pass the middle of writing a file of the store: `<kind>_write` of its folder's kind."""
    reach(f"{path.split('/', maxsplit=1)[0].removesuffix('s')}_write")
