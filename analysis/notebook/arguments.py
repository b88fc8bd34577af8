"""What a notebook gives a call, refused with a sentence where it is of another type."""

from __future__ import annotations

from workers.contract.errors import user_error


def text(value: object, call: str, wanted: str) -> str:
    """Return a value that is text.

    Args:
        value: As it was given.
        call: The call with its argument, for the message: `cells(sweep)`.
        wanted: What stands there: "the name of a sweep".

    Raises:
        UserError: It is not text.
    """
    if isinstance(value, str):
        return value
    shown = repr(value)
    shown = shown if len(shown) <= 60 else f"{shown[:60]}…"
    raise user_error(
        f"{shown} is a {type(value).__name__}, not text",
        where=call,
        mend=f"give {wanted} in quotes",
    )
