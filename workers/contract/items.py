"""What an item's file declares, one class a kind: its settings as fields, the rest as class variables.

A file declares its class as `ITEM`; `registry` finds it. These files import only the lowest of this
folder (`frozen`, `items`, `quantity`, `settings`, `excursions`, `dataset_facts`, `errors`) at module level, and what is
heavy inside functions: a process that plans or concludes reads them too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, ClassVar

from pydantic import JsonValue, SerializerFunctionWrapHandler, model_serializer

from workers.contract.dataset_facts import DatasetFacts
from workers.contract.errors import Fault
from workers.contract.frozen import Count, Frozen
from workers.contract.quantity import Quantity

ASSUMED_GRADIENTS = 0.4
"""Cost of a statistic that tells none, in gradients over the training set, until trials are recorded."""


class OfSeeds(Frozen):
    """What may be asked for the first seeds of each cell alone.

    Attributes:
        seeds: How many; None is all, which is not written, as earlier versions know no such key. No part of an identity.
    """

    seeds: Count | None = None

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        written: dict[str, JsonValue] = write(self)
        if self.seeds is None:
            written.pop("seeds", None)
        return written


class StatisticItem(OfSeeds):
    """A statistic; beside it stands `measure(context, settings) -> list[Measurement]`.

    Attributes:
        numerics_version: Raised by hand when a change of code changes the statistic's values; `version` where it
            changes those of some settings alone.
        quantities: What it measures of the whole model: names of the glossary, or new entries of it.
        needs_spread: It measures how examples differ, so that one example is too few.
        is_along_the_way: Its values are those of the weights that SGD went on to, not of the kept ones.
        is_by_few_draws: What another statistic says of the same quantity is known better.
    """

    if TYPE_CHECKING:  # a field of each statistic, which stands behind what several share
        name: str

    numerics_version: ClassVar[int]
    quantities: ClassVar[tuple[str | Quantity, ...]]
    needs_spread: ClassVar[bool] = True
    is_along_the_way: ClassVar[bool] = False
    is_by_few_draws: ClassVar[bool] = False

    @property
    def version(self) -> int:
        """The numerics version of these settings, a part of the identity."""
        return self.numerics_version

    def stated_gradients(self, batch_size: int, num_train: int) -> float:  # noqa: ARG002
        """Return the assumed cost in gradients over the training set, until trials are recorded.

        Args:
            batch_size: Of the trial, m.
            num_train: Examples of the training set, N.
        """
        return ASSUMED_GRADIENTS

    def data_faults(self, sizes: Mapping[str, int], batch_size: int) -> Iterator[Fault]:  # noqa: ARG002
        """Find what these settings ask of the data that they do not have; by default nothing.

        Args:
            sizes: Examples of each split, by name.
            batch_size: Of the trial, m; of several trials the largest.

        Returns:
            Faults whose `where` is the setting's key.
        """
        yield from ()

    def refuse_network(self, network: object) -> None:
        """Refuse a `keras.Model` that cannot be measured so, trained or not; by default none.

        Raises:
            UserError: With the cure.
        """


class ModelItem(Frozen):
    """A model; beside it stands `build(spec, input_shape, num_outputs, seed) -> keras.Model`.

    Attributes:
        needs_images: Inputs must be [height, width, channels].
        is_right_with_onednn: It has no strided 1 × 1 convolution of channels that are no multiple of 8, which oneDNN
            gets wrong on some processors.
    """

    name: str
    needs_images: ClassVar[bool] = False
    is_right_with_onednn: ClassVar[bool] = False

    @property
    def title(self) -> str:
        """What people call it."""
        return self.name

    def multiply_adds(self, input_shape: tuple[int, ...], num_outputs: int) -> float:  # noqa: ARG002 - known of some models
        """Count those of one forward pass of one example; NaN where that is unknown."""
        return math.nan


class DatasetItem(Frozen):
    """A data set; beside it stands `load(spec, data_dir) -> Dataset`.

    Attributes:
        title: What people call it; its name where that is left empty.
        examples: What its examples are.
        official_facts: What is known of the whole data before they are downloaded.
    """

    name: str
    title: ClassVar[str] = ""
    examples: ClassVar[str] = "examples"
    official_facts: ClassVar[DatasetFacts | None] = None

    def source_key(self, data_dir: str | None) -> JsonValue:  # noqa: ARG002 - for data that are read
        """Describe what the data depend on before any cut, without decoding them.

        By default the settings and NumPy's version: enough for data that are computed, not for files.

        Raises:
            UserError: The data are not found.
        """
        return {"spec": self.model_dump(mode="json"), "numpy": version("numpy")}

    def is_at_hand(self, data_dir: str | None) -> bool:  # noqa: ARG002 - for data that are downloaded
        """Return whether the data can be read without a download."""
        return True


class CutDatasetItem(DatasetItem):
    """A data set of which the first `num_train` and `num_test` examples are used; all where None."""

    num_train: Count | None = None
    num_test: Count | None = None


class LossItem:
    """A loss, as `workers.losses.loss.Loss` says, made without arguments.

    Attributes:
        name: As written in a sweep.
        title: What people call it; its name where that is left empty.
        needs_labels: Targets must be one-hot class labels.
        takes_softmax: It is of softmax(z), so that the network must end in raw outputs z.
        has_finite_minimum: Without weight decay too it is least at finite weights, as labels are not.
    """

    name: ClassVar[str]
    title: ClassVar[str] = ""
    needs_labels: ClassVar[bool] = False
    takes_softmax: ClassVar[bool] = False
    has_finite_minimum: ClassVar[bool] = False
