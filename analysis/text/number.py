"""The text of a number that keeps the number: value, error and interval, to the digits written."""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

MINUS = "\N{MINUS SIGN}"
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Digits:
    """A number with what is known of its error, to the digits in which it is written.

    Attributes:
        value: The number.
        error: Its standard error.
        low: Of its interval.
        high: Of its interval.
        has_unknown_error: Written with a question mark.
        exponent: Of the power of ten that is written behind all parts; 0 without one.
        is_scientific: Written with a power of ten, of all parts or of one.
        has_sign: Written with its sign though above 0.
    """

    value: Decimal
    error: Decimal | None = None
    low: Decimal | None = None
    high: Decimal | None = None
    has_unknown_error: bool = False
    exponent: int = 0
    is_scientific: bool = False
    has_sign: bool = False

    @property
    def num_decades(self) -> int:
        """Powers of ten between the smallest and the largest of value and interval, 0 aside."""
        orders = [part.adjusted() for part in (self.value, self.low, self.high) if part]
        return max(orders, default=0) - min(orders, default=0)

    def scaled(self, exponent: int) -> str:
        """Write it in units of 10^exponent."""
        value, error, low, high = (
            None if part is None else f"{part.scaleb(-exponent):,f}".replace("-", MINUS)
            for part in (self.value, self.error, self.low, self.high)
        )
        sign = "+" if self.has_sign and self.value > 0 else ""
        if low is not None:
            return f"{sign}{value} [{low}, {high}]"
        if error is not None:
            return f"{sign}{value} ± {error}"
        return f"{sign}{value} ± ?" if self.has_unknown_error else f"{sign}{value}"


class Number(str):
    """A text, as any cell of a table, that keeps the number it was written from.

    A text made of it (with a mark, say) is no number any more.
    """

    digits: Digits

    def __new__(cls, text: str, digits: Digits) -> Self:
        """Make a number of its text and its digits."""
        made = super().__new__(cls, text)
        made.digits = digits
        return made


def written(value: float, form: str = "g") -> str:
    """Return a number in a format of Python's, as Python writes it: 1e-05, 1,234."""
    text = format(value, form)
    return _number(text, (text, None, None, None))


def written_scalar(value: object) -> str:
    """Return a scalar of a record as text: a number as `written`, anything else by its own text."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return str(value)
    return written(value, "g" if isinstance(value, float) else "d")  # type: ignore[arg-type]  # an int of NumPy's too


def number(value: str) -> str:
    """Return a number, given as Python writes it, in the way of print: −1.2×10⁻⁵."""
    return _number(typeset(value), (value, None, None, None))


def plus_minus(value: str, error: str | None, exponent: int = 0) -> str:
    """Return `value ± error`, both in units of 10^exponent; `± ?` without an error."""
    text = f"{typeset(value)} ± {'?' if error is None else typeset(error)}"
    return _number(text, (value, error, None, None), exponent, has_unknown_error=error is None)


def with_interval(value: str, bounds: tuple[str, str] | None, exponent: int = 0) -> str:
    """Return `value [low, high]`, all in units of 10^exponent; `value [?]` without an interval."""
    low, high = bounds or (None, None)
    inside = "?" if bounds is None else ", ".join(map(typeset, bounds))
    text = f"{typeset(value)} [{inside}]"
    return _number(text, (value, None, low, high), exponent, has_unknown_error=bounds is None)


def typeset(number: str) -> str:
    """Rewrite a number as Python writes it in the way of print: -1.2e-05 as −1.2×10⁻⁵."""
    mantissa, mark, exponent = number.partition("e")
    whole = mantissa + power(int(exponent)) if mark and mantissa[-1:].isdigit() else number
    return whole.replace("-", MINUS)


def power(exponent: int) -> str:
    """Return a power of ten as a factor: ×10⁻³."""
    return f"×10{str(exponent).translate(_RAISED)}"


def _number(
    text: str,
    parts: tuple[str, str | None, str | None, str | None],
    exponent: int = 0,
    *,
    has_unknown_error: bool = False,
) -> str:
    """Join a text and the numbers in it; a text alone where one of them is not finite."""
    if exponent:
        text = f"({text}){power(exponent)}"
    read = [None if part is None else Decimal(part.replace(",", "")) for part in parts]
    if not all(part is None or part.is_finite() for part in read):
        return text
    value, error, low, high = (None if part is None else part.scaleb(exponent) for part in read)
    assert value is not None  # noqa: S101 - the first part is a str
    is_scientific = exponent != 0 or any(part is not None and "e" in part for part in parts)
    return Number(
        text,
        Digits(
            value, error, low, high, has_unknown_error, exponent, is_scientific,
            has_sign=parts[0].startswith("+"),
        ),
    )  # fmt: skip
