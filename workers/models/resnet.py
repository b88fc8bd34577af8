"""Residual networks for small images, of depth 6n+2: three stages of n blocks with 16, 32, 64 channels.

Two variants. `he2015` (He et al. 2015, 1512.03385, section 4.2): convolutions without bias and
parameter-free shortcuts, where a stage begins by taking every second pixel and padding the channels
with zeros (option A). `keras_example` (version 1 of the Keras example `cifar10_resnet`):
convolutions with bias, and 1 × 1 projections without normalisation where a stage begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from workers.contract.frozen import Misfit
from workers.contract.items import ModelItem

if TYPE_CHECKING:
    import keras

_STAGE_CHANNELS = (16, 32, 64)


class ResNetSpec(ModelItem):
    """CIFAR ResNet of depth 6n+2.

    `he2015`: no convolution biases, parameter-free shortcuts (option A).
    `keras_example`: version 1 of the Keras example: biases, 1 × 1 projections.
    """

    needs_images = True
    is_right_with_onednn = True  # its projections go from 16 channels to 32, and from 32 to 64

    name: Literal["resnet"] = "resnet"
    depth: Annotated[int, Field(ge=8, le=1202)]
    variant: Literal["he2015", "keras_example"] = "he2015"

    @property
    def title(self) -> str:
        """What people call it: by its depth."""
        return f"ResNet-{self.depth}"

    @field_validator("depth")
    @classmethod
    def _is_six_n_plus_two(cls, depth: int) -> int:
        if (depth - 2) % 6:
            raise Misfit(
                f"depth {depth} is not 6n+2", "a CIFAR ResNet has 8, 14, 20, 32, 44, 56, 110, …"
            )
        return depth

    def multiply_adds(self, input_shape: tuple[int, ...], num_outputs: int) -> float:  # noqa: ARG002 - few beside the convolutions
        """Count those of the 3 × 3 convolutions, which all cost as much as those of the first stage."""
        height, width = input_shape[:2]
        return 9.0 * _STAGE_CHANNELS[0] ** 2 * height * width * (self.depth - 1)


def build(
    spec: ResNetSpec, input_shape: tuple[int, ...], num_outputs: int, seed: int
) -> keras.Model:
    """Build the network; its output is raw (logits).

    Args:
        spec: Depth 6n+2 and variant.
        input_shape: [height, width, channels] of one image, of any size.
        num_outputs: C, the number of classes.
        seed: Decides the initial weights: He-normal kernels, zero biases, γ = 1, β = 0.
    """
    import keras  # here: who plans needs no TensorFlow

    from workers.models.residual_layers import ResidualLayers

    layers = ResidualLayers(seed, has_bias=spec.variant == "keras_example")
    inputs = keras.Input(input_shape, name="inputs")
    values = layers.convolution(inputs, "stem", channels=_STAGE_CHANNELS[0])
    values = layers.relu(values, "stem_relu")
    for stage, channels in enumerate(_STAGE_CHANNELS, start=1):
        for block in range((spec.depth - 2) // 6):
            is_first = stage > 1 and block == 0
            values = layers.block(
                values, f"stage{stage}_block{block}", channels=channels, halves=is_first
            )
    values = keras.layers.GlobalAveragePooling2D(name="pool")(values)
    outputs = keras.layers.Dense(
        num_outputs, kernel_initializer=layers.next_initializer(), name="outputs"
    )(values)
    return keras.Model(inputs, outputs, name=f"resnet{spec.depth}_{spec.variant}")


ITEM = ResNetSpec
