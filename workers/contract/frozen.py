"""What crosses a process border is a frozen pydantic model that forbids unknown keys."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue


class Frozen(BaseModel):
    """Immutable, strict (no silent conversion), and closed to unknown keys.

    A validator of a subclass raises `ValueError("what is wrong; how to mend it")`.
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
        raise ValueError(f"{value} is not finite; give a finite number")
    return value + 0.0  # so that -0.0 is 0.0, in identities too


Finite = Annotated[float, AfterValidator(_finite)]
Positive = Annotated[Finite, Field(gt=0)]
NonNegative = Annotated[Finite, Field(ge=0)]
Fraction01 = Annotated[Finite, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
