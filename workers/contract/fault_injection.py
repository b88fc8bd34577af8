"""Deliberate death at a named place, for tests of recovery; does nothing unless asked for.

The environment variable `MINIMA_FAULT` is `<place>:<n>` or `<place>:<n>:<token>`, or several of them with commas
between. A process that reaches a place for the nth time kills itself (SIGKILL). With a token, the path of a file, only the
first process to get there is caught, over all processes: it makes the file with its process id in
it and waits there for a signal, so that a test can kill it, its parents, or everything; a signal that
it handles lets it go on. Places:

- `training_chunk`: after a chunk of training steps;
- `checkpoint_write`, `shared_write`, `model_write`, `epoch_write`, `trial_write`, `measurement_write`: in the
  middle of writing such a file;
- `checkpoint_renaming`, `shared_renaming`, and so on: all of such a file is written, and nobody can see it
  yet;
- `model_committed`: the model is in the store, the epochs are not;
- `epochs_committed`: the epochs are in the store, the trial is not;
- `measurement_batch`: between two batches of a measurement.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from workers.contract.file_names import FileNames

VARIABLE = "MINIMA_FAULT"

_times_reached: Counter[tuple[str, str]] = Counter()
"""By what is asked for, and the place: a process may carry out several orders."""


class _Wanted(NamedTuple):
    place: str
    number: int
    token: Path | None


def reach(place: str) -> None:
    """Pass a place; the end of the process if it is one asked for.

    Raises:
        ValueError: The variable is of neither form.
    """
    text = os.environ.get(VARIABLE)
    if text is None:
        return
    wanted = [each for each in map(_parse, text.split(",")) if each.place == place]
    _times_reached[text, place] += bool(wanted)
    for each in wanted:
        if _times_reached[text, place] < each.number:
            continue
        if each.token is None:
            os.kill(os.getpid(), signal.SIGKILL)
        elif _takes(each.token):
            signal.pause()


def reach_write(path: str) -> None:
    """Pass the middle of writing a file of the store: `<kind>_write` of its folder's kind."""
    reach(f"{FileNames.folder(path).removesuffix('s')}_write")


def reach_renaming(path: str) -> None:
    """Pass the moment before a whole file is seen: `<kind>_renaming` of its folder's kind."""
    reach(f"{FileNames.folder(path).removesuffix('s')}_renaming")


def _parse(text: str) -> _Wanted:
    place, _, rest = text.partition(":")
    number, _, token = rest.partition(":")
    if not number.isdecimal():
        raise ValueError(f"{VARIABLE} must be <place>:<n> or <place>:<n>:<token>, not {text!r}")
    return _Wanted(place, int(number), Path(token) if token else None)


def _takes(token: Path) -> bool:
    """Make the token's file; False when another process has made it."""
    try:
        with token.open("x") as stream:
            stream.write(str(os.getpid()))
    except FileExistsError:
        return False
    return True
