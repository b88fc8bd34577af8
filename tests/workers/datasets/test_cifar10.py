"""CIFAR-10 as a data set: one content in every layout, and the normalisation."""

import numpy as np
import pytest

from workers.contract.errors import UserError
from workers.datasets.cifar10 import Cifar10Spec, load, normalisation


def normalised(dataset):
    return (dataset.train.inputs.astype(np.float64) - dataset.offset) * dataset.scale


def test_every_layout_gives_the_same_digest(small_cifar10, tmp_path):
    """The identity of the data is that of pixels, labels and order, not of files."""
    folders = [
        small_cifar10.write_archive(tmp_path / "archive"),
        small_cifar10.write_binary(tmp_path / "binary"),
        small_cifar10.write_parquet(tmp_path / "parquet"),
    ]
    loaded = [load(Cifar10Spec(), str(folder)) for folder in folders]
    assert len({dataset.digest for dataset in loaded}) == 1
    for dataset in loaded:
        np.testing.assert_array_equal(dataset.train.inputs, small_cifar10.images[:20])
        assert (dataset.input_shape, dataset.num_outputs) == ((32, 32, 3), 10)
        assert dataset.is_classification


def test_the_digest_is_of_the_whole_data_set(small_cifar10, tmp_path):
    """Cutting changes the examples, not the digest; the first ones are kept."""
    small_cifar10.write_binary(tmp_path)
    whole = load(Cifar10Spec(), str(tmp_path))
    cut = load(Cifar10Spec(num_train=7, num_test=3), str(tmp_path))
    assert cut.digest == whole.digest
    assert (len(cut.train), len(cut.test)) == (7, 3)
    np.testing.assert_array_equal(cut.train.inputs, whole.train.inputs[:7])
    np.testing.assert_array_equal(cut.test.inputs, whole.test.inputs[:3])


def test_one_changed_pixel_changes_the_digest(small_cifar10, tmp_path):
    """The digest is over every value."""
    small_cifar10.write_binary(tmp_path)
    before = load(Cifar10Spec(), str(tmp_path)).digest
    small_cifar10.images[23, 31, 31, 2] ^= 1
    small_cifar10.write_binary(tmp_path)
    assert load(Cifar10Spec(), str(tmp_path)).digest != before


def test_more_examples_than_there_are_is_a_fault(small_cifar10, tmp_path):
    """The message gives both numbers, of both splits."""
    small_cifar10.write_binary(tmp_path)
    with pytest.raises(UserError) as caught:
        load(Cifar10Spec(num_train=21, num_test=5), str(tmp_path))
    assert str(caught.value) == (
        "num_train is 21, but the data set has 20 training examples\n"
        "  where: dataset.num_train\n"
        "  mend:  give at most 20, or null to use all\n\n"
        "num_test is 5, but the data set has 4 test examples\n"
        "  where: dataset.num_test\n"
        "  mend:  give at most 4, or null to use all"
    )


def test_per_channel_is_mean_and_deviation_of_the_examples_used(small_cifar10, tmp_path):
    """After the cut, every colour of the training inputs has mean 0 and variance 1."""
    small_cifar10.write_binary(tmp_path)
    dataset = load(Cifar10Spec(num_train=9), str(tmp_path))
    values = normalised(dataset)
    assert dataset.offset.shape == dataset.scale.shape == (3,)
    # offset and scale are rounded to float32: 6e-8 of values up to 2
    np.testing.assert_allclose(values.mean(axis=(0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(values.var(axis=(0, 1, 2)), 1, atol=1e-6)


def test_pixel_mean_is_over_255_less_the_mean_image(small_cifar10, tmp_path):
    """The scale of the Keras example, whose inputs this reproduces."""
    small_cifar10.write_binary(tmp_path)
    dataset = load(Cifar10Spec(normalisation="pixel_mean"), str(tmp_path))
    shares = small_cifar10.images[:20] / 255
    # float32 rounding of an offset up to 255, divided by 255
    np.testing.assert_allclose(normalised(dataset), shares - shares.mean(axis=0), atol=1e-7)


def test_unit_is_over_255(small_cifar10, tmp_path):
    """Nothing is subtracted."""
    small_cifar10.write_binary(tmp_path)
    dataset = load(Cifar10Spec(normalisation="unit"), str(tmp_path))
    np.testing.assert_allclose(normalised(dataset), small_cifar10.images[:20] / 255, rtol=1e-7)


def test_sums_are_exact_for_many_bright_images():
    """50,000 white images, whose squared pixel sum is above 2⁶³, have mean 255 and deviation 0."""
    white = np.broadcast_to(np.uint8(255), (50_000, 32, 32, 3))
    offset, scale = normalisation("per_channel", white)
    assert offset.tolist() == [255.0] * 3
    assert scale.tolist() == [1.0] * 3


@pytest.mark.slow
def test_the_real_images_have_their_known_mean(real_cifar10):
    """50,000 and 10,000 images, 5,000 and 1,000 a class, with the published mean and deviation."""
    dataset = load(Cifar10Spec(), str(real_cifar10))
    assert dataset.train.targets.sum(axis=0).tolist() == [5000] * 10
    assert dataset.test.targets.sum(axis=0).tolist() == [1000] * 10
    # the published 125.3, 123.0, 113.9 and 63.0, 62.1, 66.7 are of PNG; JPEG smooths by up to 1 %
    np.testing.assert_allclose(dataset.offset, [125.3, 123.0, 113.9], atol=0.1)
    np.testing.assert_allclose(1 / dataset.scale, [63.0, 62.1, 66.7], rtol=0.01)
