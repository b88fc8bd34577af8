"""Numbers as scientists write them: U+2212 for minus, powers of ten instead of e-05."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from analysis.text.number_text import SUPERSCRIPTS, power

_DIGITS = r"[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?"
_FORMS = (
    re.compile(rf"(?P<value>{_DIGITS})"),
    re.compile(rf"(?P<value>{_DIGITS}) ± (?P<error>{_DIGITS}|\?)"),
    re.compile(rf"\((?P<value>{_DIGITS}) ± (?P<error>{_DIGITS})\)(?P<power>e[-+]?\d+)"),
    re.compile(rf"(?P<value>{_DIGITS}) \[(?P<low>{_DIGITS}), (?P<high>{_DIGITS})\]"),
    re.compile(
        rf"\((?P<value>{_DIGITS}) \[(?P<low>{_DIGITS}), (?P<high>{_DIGITS})\]\)(?P<power>e[-+]?\d+)"
    ),
    re.compile(rf"(?P<value>{_DIGITS}) \[\?\]"),
)
_PLAIN = str.maketrans(SUPERSCRIPTS + "−", "-0123456789-")
_POWER = re.compile(rf"×10([{SUPERSCRIPTS}]+)")
_MOST_SPREAD = 4
"""Decades that one power of ten serves; numbers further apart have one each."""


@dataclass(frozen=True)
class ShownNumber:
    """A number with what is known of its error, to the digits in which it was written.

    Attributes:
        value: The number.
        error: Its standard error.
        low: Of its interval.
        high: Of its interval.
        has_unknown_error: Written with a question mark.
        is_scientific: Written with a power of ten.
        has_sign: Written with its sign though above 0.
        was: As it was written.
    """

    value: Decimal
    error: Decimal | None
    low: Decimal | None
    high: Decimal | None
    has_unknown_error: bool
    is_scientific: bool
    has_sign: bool
    was: str

    @property
    def plain(self) -> tuple[str, str, str, str]:
        """Value, error, low and high for other programs."""
        parts = (self.value, self.error, self.low, self.high)
        value, error, low, high = ("" if part is None else f"{part:f}" for part in parts)
        return value, error, low, high

    def text(self, exponent: int | None) -> str:
        """Write it in units of 10^exponent; None: with a power of its own where it had one."""
        if exponent is None and self.is_scientific and self.value:
            own = self.value.adjusted()
            text = self._scaled(own)
            is_several = self.has_unknown_error or self.error is not None or self.low is not None
            return f"({text}){power(own)}" if is_several else f"{text}{power(own)}"
        if not exponent:
            return self.was.replace("-", "−") if not self.is_scientific else self._scaled(0)
        return self._scaled(exponent)

    def _scaled(self, exponent: int) -> str:
        value, error, low, high = (
            None if part is None else _written(part, exponent)
            for part in (self.value, self.error, self.low, self.high)
        )
        sign = "+" if self.has_sign and self.value > 0 else ""
        if low is not None:
            return f"{sign}{value} [{low}, {high}]"
        if error is not None:
            return f"{sign}{value} ± {error}"
        return f"{sign}{value} ± ?" if self.has_unknown_error else f"{sign}{value}"


def read_number(text: str) -> ShownNumber | None:
    """Read a number that a table wrote, with its error or interval; None where it is none."""
    plain = _POWER.sub(r"e\1", text).translate(_PLAIN)
    found = next((match for form in _FORMS if (match := form.fullmatch(plain))), None)
    if found is None:
        return None
    parts = found.groupdict()
    written_power = parts.get("power") or ""
    value, error, low, high = (
        _decimal(parts.get(name), written_power) for name in ("value", "error", "low", "high")
    )
    assert value is not None  # noqa: S101 - every form has one
    return ShownNumber(
        value, error, low, high,
        has_unknown_error="?" in text, is_scientific="e" in plain, has_sign=text.startswith("+"),
        was=text,
    )  # fmt: skip


def common_exponent(numbers: Sequence[ShownNumber]) -> int | None:
    """Choose the power of ten of a column, a multiple of three; None without one that serves all."""
    if not any(number.is_scientific for number in numbers):
        return 0
    orders = [number.value.adjusted() for number in numbers if number.value]
    if not orders or max(orders) - min(orders) > _MOST_SPREAD:
        return None
    return 3 * (max(orders) // 3)


def _decimal(text: str | None, power: str) -> Decimal | None:
    if text is None or text == "?":
        return None
    return (
        Decimal(text.replace(",", "") + power)
        if "e" not in text
        else Decimal(text.replace(",", ""))
    )


def _written(number: Decimal, exponent: int) -> str:
    return f"{number.scaleb(-exponent):,f}".replace("-", "−")
