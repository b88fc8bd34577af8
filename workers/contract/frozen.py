"""What crosses a process border is a frozen pydantic model that forbids unknown keys."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from workers.contract.errors import shortened


class Misfit(ValueError):
    """What is wrong with a value that a validator looked at, and how to mend it."""

    def __init__(self, what: str, mend: str) -> None:
        super().__init__(f"{what}; {mend}")
        self.what, self.mend = what, mend


class Frozen(BaseModel):
    """Immutable, strict (no silent conversion), and closed to unknown keys.

    A validator of a subclass raises `Misfit("what is wrong", "how to mend it")`.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=()
    )

    def non_default(self) -> dict[str, JsonValue]:
        """Dump to plain JSON values, fields at their default left out.

        An identity made of it does not change when a new field with a default is added.
        """
        return self.model_dump(mode="json", exclude_defaults=True)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise Misfit(f"{value} is not finite", "give a finite number")
    return value + 0.0  # so that -0.0 is 0.0, in identities too


def refuse_repeats(name: str, values: Iterable[Hashable]) -> None:
    """Raise when a list names one thing twice."""
    repeated = sorted(str(value) for value, count in Counter(values).items() if count > 1)
    if repeated:
        told = ", ".join(shortened(value) for value in repeated[:3])
        more = f" and {len(repeated) - 3:,} more" if len(repeated) > 3 else ""
        raise Misfit(f"{name} holds {told}{more} twice", "give each once")


Finite = Annotated[float, AfterValidator(_finite)]
Positive = Annotated[Finite, Field(gt=0)]
NonNegative = Annotated[Finite, Field(ge=0)]
Fraction01 = Annotated[Finite, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1, le=10**9)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
