"""What a planner needs to know of a data set, without its arrays."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from workers.contract.frozen import Count, Frozen


class DatasetFacts(Frozen):
    """What a planner needs to know of a data set.

    Attributes:
        digest: Of the whole stored data set, before any cut.
        num_train: N, training examples used, after the cut.
        num_test: Test examples.
        num_outputs: C, classes or regression targets.
        is_classification: Targets are one-hot labels.
        input_shape: Shape of one example.
        first_class: Class of the first training example; None where targets are real.
        num_of_first_class: How many of it stand before the first of another class.
    """

    digest: str
    num_train: Count
    num_test: Count
    num_outputs: Count
    is_classification: bool
    input_shape: Annotated[tuple[int, ...], Field(strict=False)]  # JSON has no tuples
    first_class: int | None = None
    num_of_first_class: int = 0
