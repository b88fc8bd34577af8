"""Random crops of padded images, and random flips, from one stateless draw per image."""

from __future__ import annotations

import tensorflow as tf

from workers.contract.errors import user_error

_FULL_SIZE, _FULL_PAD = 32, 4


def padding_of(size: int) -> int:
    """Scale the usual padding, 4 pixels on each side of 32, to another size; at least 1 pixel."""
    return max(1, size * _FULL_PAD // _FULL_SIZE)


def check_images(input_shape: tuple[int, ...]) -> None:
    """Check that one example is an image [height, width, channels].

    Raises:
        UserError: It is not.
    """
    if len(input_shape) != 3:
        raise user_error(
            f"augmentation pad_crop_flip needs images, not inputs of shape {list(input_shape)}",
            where="training.augmentation",
            mend="set augmentation: none, or choose a data set of images",
        )


def augmentation_seed(seed: int | tf.Tensor, step: int | tf.Tensor) -> tf.Tensor:
    """Return the seed [2] of TensorFlow's stateless random operations at a step [] of a trial's seed []."""
    return tf.stack([tf.cast(seed, tf.int64), tf.cast(step, tf.int64)])


def pad_crop_flip(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Pad normalised images with zeros, crop back at random, mirror half of them left to right.

    Args:
        images: [B, height, width, channels].
        seed: [2]; equal seeds give equal bits.
    """
    height, width = images.shape[1], images.shape[2]
    pad_y, pad_x = padding_of(height), padding_of(width)
    num_tops, num_lefts = 2 * pad_y + 1, 2 * pad_x + 1
    draws = tf.random.stateless_uniform(
        tf.shape(images)[:1], seed, 0, 2 * num_tops * num_lefts, tf.int32, alg="philox"
    )
    flips, places = draws % 2, draws // 2
    tops, lefts = places // num_lefts, places % num_lefts
    rows = tops[:, None] + tf.range(height)
    forward = tf.range(width)
    columns = lefts[:, None] + tf.where(flips[:, None] == 1, width - 1 - forward, forward)
    padded = tf.pad(images, [[0, 0], [pad_y, pad_y], [pad_x, pad_x], [0, 0]])
    cropped = tf.gather(padded, rows, axis=1, batch_dims=1)
    return tf.gather(cropped, columns, axis=2, batch_dims=1)
