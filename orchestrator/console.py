"""Where output goes: results on standard output, everything for humans alone on standard error.

With `--json` one JSON document is all that standard output gets.
"""

from __future__ import annotations

import json
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
            sys.stdout.write(json.dumps(value, indent=2) + "\n")
