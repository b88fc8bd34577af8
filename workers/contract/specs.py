"""What a trial is: model, data set, loss and training, as frozen specs that forbid unknown keys."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import Discriminator, Field, JsonValue, Tag, field_validator, model_validator

from workers.contract.catalog import is_plugin
from workers.contract.errors import shortened
from workers.contract.frozen import (
    Count,
    Finite,
    Fraction01,
    Frozen,
    Misfit,
    NonNegative,
    Positive,
    Seed,
)
from workers.contract.items import DatasetItem, ModelItem
from workers.contract.registry import DATASETS, MODELS
from workers.contract.settings import Sampler

PLUGIN = "plugin"


def name_tag(value: object) -> str:
    """Choose the class of a `{name: …}` mapping: the built-in name, else a plugin."""
    name = value.get("name") if isinstance(value, dict) else getattr(value, "name", None)
    return PLUGIN if isinstance(name, str) and ":" in name else str(name)


class PluginSpec(Frozen):
    """A user's own model, data set or statistic, by "package.module:function"."""

    name: str
    settings: dict[str, JsonValue] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _is_importable(cls, name: str) -> str:
        if not is_plugin(name):
            told = shortened(name)
            raise Misfit(f"{told!r} is not a name of your own", "write package.module:function")
        return name


def named(items: Mapping[str, type[Frozen]], plugin: type[PluginSpec] = PluginSpec) -> object:
    """Return the type of a `{name: …}` mapping: that of the item it names, else a plugin's."""
    known = [Annotated[item, Tag(name)] for name, item in items.items()]
    return Annotated[reduce(or_, [*known, Annotated[plugin, Tag(PLUGIN)]]), Discriminator(name_tag)]


if TYPE_CHECKING:
    ModelSpec: TypeAlias = ModelItem | PluginSpec
    DatasetSpec: TypeAlias = DatasetItem | PluginSpec
else:
    ModelSpec, DatasetSpec = named(MODELS), named(DATASETS)


class ConvergenceSpec(Frozen):
    """When training has converged.

    The rule holds at epoch e when, against the best value of `metric` up to e - `patience_epochs`,
    the best of the last `patience_epochs` epochs is lower by less than `relative_change`.
    `converged_at_epoch` is the first epoch from which the rule holds until the end.
    """

    metric: Literal["train_loss", "validation_loss"] = "train_loss"
    relative_change: Positive = 0.01
    patience_epochs: Count = 5
    stop: bool = False


class TrainingSpec(Frozen):
    """How a network is trained: plain SGD with momentum on data loss + (weight_decay/2)·‖θ_decayed‖².

    Kernels decay (Conv2D and Dense); biases, γ and β do not. The L2 gradient is added before
    momentum: v ← μv + g, θ ← θ - ηv.
    """

    epochs: Count
    milestones: list[Count] = Field(default_factory=list)
    decay: Annotated[Finite, Field(gt=0, le=1)] = 0.1
    momentum: Fraction01 = 0.0
    weight_decay: NonNegative = 0.0
    augmentation: Literal["none", "pad_crop_flip"] = "none"
    sampler: Sampler = "shuffle"
    ragged_batch: Literal["drop", "keep"] = "drop"
    precision: Literal["float32", "mixed_bfloat16"] = "float32"
    convergence: ConvergenceSpec = Field(default_factory=ConvergenceSpec)

    @model_validator(mode="after")
    def _milestones_rise(self) -> TrainingSpec:
        if sorted(set(self.milestones)) != self.milestones:
            told = shortened(str(self.milestones))
            raise Misfit(f"milestones {told} do not rise", "give each epoch once")
        if self.milestones and self.milestones[-1] >= self.epochs:
            raise Misfit(
                f"milestone {self.milestones[-1]} is not before the end, epoch {self.epochs}",
                "lower it, remove it, or train longer",
            )
        return self

    def learning_rate_at(self, epoch: int, initial: float) -> float:
        """Return η in an epoch counted from 0: initial · decay^(number of milestones ≤ epoch)."""
        passed = sum(1 for milestone in self.milestones if milestone <= epoch)
        rate: float = initial * self.decay**passed
        return rate


class TrialSpec(Frozen):
    """Everything that decides the weights of one trial, and nothing else.

    `data_digest` is the digest of the decoded pixels, labels and order; `plugin_digests` maps each
    plugin name to the digest of its source.
    """

    model: ModelSpec
    dataset: DatasetSpec
    data_digest: str
    loss: str
    training: TrainingSpec
    batch_size: Count
    learning_rate: Positive
    seed: Seed
    plugin_digests: dict[str, str] = Field(default_factory=dict)

    @property
    def final_learning_rate(self) -> float:
        """η in the last epoch of the schedule, which every trial of a minimum trains (`SweepSpec`)."""
        return self.training.learning_rate_at(self.training.epochs - 1, self.learning_rate)

    @property
    def is_right_with_onednn(self) -> bool:
        """Whether its network is known to be, on a processor where TensorFlow leaves oneDNN off."""
        return isinstance(self.model, ModelItem) and self.model.is_right_with_onednn
