"""What a trial is: model, data set, loss and training, as frozen specs that forbid unknown keys."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, JsonValue, Tag, field_validator, model_validator

from workers.contract.catalog import is_plugin
from workers.contract.errors import shortened
from workers.contract.frozen import Count, Finite, Fraction01, Frozen, NonNegative, Positive, Seed

PLUGIN = "plugin"

Sampler = Literal["shuffle", "replacement"]
"""Each example once an epoch, in random order; or every draw independent."""


def name_tag(value: object) -> str:
    """Choose the spec class of a `{name: …}` mapping: the built-in name, else a plugin."""
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
            raise ValueError(f"{told!r} is not a name of your own; write package.module:function")
        return name


class ResNetSpec(Frozen):
    """CIFAR ResNet of depth 6n+2.

    `he2015`: no convolution biases, parameter-free shortcuts (option A).
    `keras_example`: version 1 of the Keras example: biases, 1 × 1 projections.
    """

    name: Literal["resnet"] = "resnet"
    depth: Annotated[int, Field(ge=8, le=1202)]
    variant: Literal["he2015", "keras_example"] = "he2015"

    @field_validator("depth")
    @classmethod
    def _is_six_n_plus_two(cls, depth: int) -> int:
        if (depth - 2) % 6:
            raise ValueError(
                f"depth {depth} is not 6n+2; a CIFAR ResNet has 8, 14, 20, 32, 44, 56, 110, …"
            )
        return depth


class MLPSpec(Frozen):
    """Dense ReLU layers; no hidden layer gives a linear model."""

    name: Literal["mlp"] = "mlp"
    hidden_units: list[Count] = Field(default_factory=list)


class Cifar10Spec(Frozen):
    """CIFAR-10: 50,000 training and 10,000 test images, the first `num_train` and `num_test` used.

    normalisation: `per_channel` (mean and standard deviation of the training pixels),
    `pixel_mean` (x/255 minus the mean training image), `unit` (x/255).
    """

    name: Literal["cifar10"] = "cifar10"
    num_train: Count | None = None
    num_test: Count | None = None
    normalisation: Literal["per_channel", "pixel_mean", "unit"] = "per_channel"


class DigitsSpec(Frozen):
    """scikit-learn's 1,797 digits of 8 × 8 pixels; rows with index divisible by 5 are the test split."""

    name: Literal["digits"] = "digits"
    num_train: Count | None = None
    num_test: Count | None = None


class SyntheticSpec(Frozen):
    """Gaussian features with known covariance: linear or softmax regression.

    Feature j has variance `feature_decay`^j. `linear`: scalar target xᵀw + noise of the given
    standard deviation. `softmax`: labels drawn from softmax(Wx).
    """

    name: Literal["synthetic"] = "synthetic"
    task: Literal["linear", "softmax"]
    num_train: Annotated[int, Field(ge=1, le=10_000_000)] = 1000
    num_test: Annotated[int, Field(ge=1, le=10_000_000)] = 200
    num_features: Annotated[int, Field(ge=1, le=100_000)] = 10
    num_classes: Annotated[int, Field(ge=2, le=10_000)] = 3
    feature_decay: Annotated[Finite, Field(gt=0, le=1)] = 1.0
    label_noise: NonNegative = 1.0
    data_seed: Seed = 0


ModelSpec = Annotated[
    Annotated[ResNetSpec, Tag("resnet")]
    | Annotated[MLPSpec, Tag("mlp")]
    | Annotated[PluginSpec, Tag(PLUGIN)],
    Discriminator(name_tag),
]
DatasetSpec = Annotated[
    Annotated[Cifar10Spec, Tag("cifar10")]
    | Annotated[DigitsSpec, Tag("digits")]
    | Annotated[SyntheticSpec, Tag("synthetic")]
    | Annotated[PluginSpec, Tag(PLUGIN)],
    Discriminator(name_tag),
]


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
            raise ValueError(f"milestones {told} do not rise; give each epoch once")
        if self.milestones and self.milestones[-1] >= self.epochs:
            raise ValueError(
                f"milestone {self.milestones[-1]} is not before the end, epoch {self.epochs}; "
                "lower it, remove it, or train longer"
            )
        return self

    def learning_rate_at(self, epoch: int, initial: float) -> float:
        """Give η in an epoch counted from 0: initial · decay^(number of milestones ≤ epoch)."""
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
        """η in the last epoch of the schedule."""
        return self.training.learning_rate_at(self.training.epochs - 1, self.learning_rate)
