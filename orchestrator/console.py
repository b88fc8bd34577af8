"""Where output goes: results on standard output, everything for humans alone on standard error.

With `--json` one JSON document is all that standard output gets.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass, field

from pydantic import JsonValue
from rich.console import Console, RenderableType


@dataclass(frozen=True)
class Output:
    """Prints results for a person or, with `is_json`, collects them for one JSON document."""

    is_json: bool = False
    notes: Console = field(default_factory=lambda: Console(stderr=True))

    def show(self, renderable: RenderableType) -> None:
        """Print a result for a person; nothing with `--json`."""
        if self.is_json:
            return
        if isinstance(renderable, str):
            sys.stdout.write(renderable + "\n")
            sys.stdout.flush()
        else:
            Console().print(renderable)

    def note(self, text: str) -> None:
        """Tell a person something that is not a result."""
        self.notes.print(text, highlight=False, markup=False, soft_wrap=True)

    def document(self, value: JsonValue) -> None:
        """Print the JSON document; nothing without `--json`."""
        if self.is_json:
            sys.stdout.write(json.dumps(_finite(value), indent=2, allow_nan=False) + "\n")
            sys.stdout.flush()


def _finite(value: JsonValue) -> JsonValue:
    """Put null in place of numbers that are not finite: JSON has no others."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
