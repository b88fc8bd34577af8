"""Random crops and flips against a plain loop over images."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from workers.contract.errors import UserError
from workers.training.steps.augmentation import (
    augmentation_seed,
    check_images,
    pad_crop_flip,
    padding_of,
)


def all_variants(image, pad):
    """Every crop of the padded image, as it is and mirrored, as bytes."""
    height, width, _ = image.shape
    padded = np.pad(image, [(pad, pad), (pad, pad), (0, 0)])
    crops = [
        padded[top : top + height, left : left + width]
        for top in range(2 * pad + 1)
        for left in range(2 * pad + 1)
    ]
    return [crop.tobytes() for crop in crops] + [crop[:, ::-1].tobytes() for crop in crops]


def test_every_crop_and_flip_occurs_equally_often_and_nothing_else():
    """Of 18 variants of an 8 × 8 image each has a share of 1/18 of 3,600 draws, within 5 sigma."""
    image = np.random.default_rng(0).normal(size=(8, 8, 2)).astype(np.float32)
    variants = all_variants(image, pad=1)
    found = pad_crop_flip(tf.constant(np.repeat(image[None], 3600, axis=0)), [1, 2]).numpy()
    counts = np.zeros(18)
    for augmented in found:
        counts[variants.index(augmented.tobytes())] += 1
    assert np.abs(counts - 200).max() < 5 * np.sqrt(200)


def test_equal_seeds_give_equal_bits():
    """The draw depends on the seed alone."""
    images = np.random.default_rng(0).normal(size=(20, 32, 32, 3)).astype(np.float32)
    first, second, other = (pad_crop_flip(images, [1, step]).numpy() for step in (5, 5, 6))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(("size", "pad"), [(32, 4), (8, 1), (4, 1), (64, 8)])
def test_padding_scales_with_the_image(size, pad):
    """4 pixels of 32, at least 1."""
    assert padding_of(size) == pad


def test_features_are_not_augmented():
    """Inputs without height, width and channels are refused."""
    check_images((8, 8, 1))
    with pytest.raises(UserError, match=r"needs images, not inputs of shape \[10\]"):
        check_images((10,))


def test_seeds_differ_by_step():
    """The seed is the pair (seed, step)."""
    np.testing.assert_array_equal(augmentation_seed(7, 9), [7, 9])
