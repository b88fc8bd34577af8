"""An identifier that keeps what sentences call it: shown together, the name first."""

from __future__ import annotations

from typing import Self


class Named(str):
    """An identifier as records and queries have it, with the name for a reader.

    In plain text it is the identifier; a page shows `human_name`, and the identifier beside it.
    """

    human_name: str

    def __new__(cls, identifier: str, human_name: str) -> Self:
        """Name an identifier."""
        made = super().__new__(cls, identifier)
        made.human_name = human_name
        return made
