"""An identifier that keeps what sentences call it: shown together, the name first."""

from __future__ import annotations

from typing import Self


class Named(str):
    """An identifier as records and queries have it, with the name for a reader.

    A table for people shows `human_name`, a page the identifier beside it; a file for programs has both.
    """

    human_name: str

    def __new__(cls, identifier: str, human_name: str) -> Self:
        """Name an identifier."""
        made = super().__new__(cls, identifier)
        made.human_name = human_name
        return made
