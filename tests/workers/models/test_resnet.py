"""The residual networks: their sizes, their shortcuts, their seeds, and that Keras alone loads them."""

from __future__ import annotations

import subprocess
import sys

import keras
import numpy as np
import pytest

from workers.models.resnet import ResNetSpec, build

CIFAR = (32, 32, 3)


def size(weights):
    return sum(int(np.prod(weight.shape)) for weight in weights)


def he2015_parameters(n):
    """Kernels 9·c_in·c_out, γ and β of each convolution, and the dense layer, by hand."""
    total = 9 * 3 * 16 + 2 * 16
    for channels, previous in ((16, 16), (32, 16), (64, 32)):
        total += 9 * previous * channels + (2 * n - 1) * 9 * channels**2 + 2 * n * 2 * channels
    return total + 64 * 10 + 10


@pytest.mark.parametrize(("depth", "published"), [(20, 269_722), (56, 853_018)])
def test_he2015_has_the_published_number_of_parameters(depth, published):
    """0.27 M and 0.85 M in He et al. (2015), Table 6."""
    model = build(ResNetSpec(depth=depth), CIFAR, 10, 0)
    assert size(model.trainable_weights) == published == he2015_parameters((depth - 2) // 6)


@pytest.mark.parametrize(
    ("depth", "trainable", "total"), [(20, 273_066, 274_442), (56, 857_706, 861_770)]
)
def test_keras_example_has_the_example_s_number_of_parameters(depth, trainable, total):
    """The summary that the Keras example prints."""
    model = build(ResNetSpec(depth=depth, variant="keras_example"), CIFAR, 10, 0)
    assert size(model.trainable_weights) == trainable
    assert size(model.weights) == total


def test_option_a_takes_every_second_pixel_and_pads_channels_on_both_sides():
    """The shortcut of the first block of stage 2: [8, 8, 16] → [4, 4, 32] with 8 zero channels a side."""
    model = build(ResNetSpec(depth=8), (8, 8, 1), 10, 0)
    before = model.get_layer("stage1_block0_relu2").output
    after = model.get_layer("stage2_block0_shortcut_pad").output
    part = keras.Model(before, after)
    values = np.random.default_rng(0).normal(size=(2, 8, 8, 16)).astype(np.float32)
    expected = np.zeros((2, 4, 4, 32), np.float32)
    expected[..., 8:24] = values[:, ::2, ::2]
    np.testing.assert_array_equal(part(values), expected)


@pytest.mark.parametrize("variant", ["he2015", "keras_example"])
@pytest.mark.parametrize("input_shape", [(8, 8, 1), (7, 5, 3)])
def test_small_and_odd_images_work(variant, input_shape):
    """Any size of image gives C raw outputs."""
    model = build(ResNetSpec(depth=8, variant=variant), input_shape, 4, 0)
    assert model(np.zeros((3, *input_shape), np.float32)).shape == (3, 4)


def test_the_seed_alone_decides_the_initial_weights():
    """Equal seeds give equal bits whatever was drawn before; another seed gives other weights."""
    first = build(ResNetSpec(depth=8), (8, 8, 1), 10, 5)
    keras.random.normal((3,))
    second = build(ResNetSpec(depth=8), (8, 8, 1), 10, 5)
    other = build(ResNetSpec(depth=8), (8, 8, 1), 10, 6)
    for one, same, different in zip(first.weights, second.weights, other.weights, strict=True):
        np.testing.assert_array_equal(one, same)
        if "kernel" in one.path:
            assert np.abs(one.numpy() - different.numpy()).max() > 0.01


def test_layers_draw_from_streams_of_their_own():
    """No two kernels of equal shape are equal, and each has He's standard deviation √(2/fan-in)."""
    model = build(ResNetSpec(depth=20), CIFAR, 10, 0)
    kernels = [model.get_layer(f"stage3_block{b}_conv2").kernel.numpy() for b in range(3)]
    assert not np.array_equal(kernels[0], kernels[1])
    for kernel in kernels:  # 36,864 draws: the deviation is known to 0.4 %
        np.testing.assert_allclose(kernel.std(), np.sqrt(2 / (9 * 64)), rtol=0.02)


def test_layers_have_readable_names_and_plain_variable_paths():
    """Paths name stage, block and layer."""
    paths = [weight.path for weight in build(ResNetSpec(depth=8), (8, 8, 1), 10, 0).weights]
    assert "stem_conv/kernel" in paths
    assert "stage1_block0_conv1/kernel" in paths
    assert "stage3_block0_norm2/moving_variance" in paths
    assert paths[-2:] == ["outputs/kernel", "outputs/bias"]


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["he2015", "keras_example"])
def test_a_saved_network_is_loaded_by_keras_alone(tmp_path, variant):
    """A process outside the project loads the file safely and gets the same outputs."""
    model = build(ResNetSpec(depth=8, variant=variant), (8, 8, 1), 10, 1)
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 1)).astype(np.float32)
    np.save(tmp_path / "images.npy", images)
    model.save(tmp_path / "model.keras")
    code = (
        "import keras, numpy as np\n"
        "model = keras.models.load_model('model.keras', compile=False, safe_mode=True)\n"
        "np.save('outputs.npy', model(np.load('images.npy')))\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
    np.testing.assert_allclose(np.load(tmp_path / "outputs.npy"), model(images), rtol=1e-5)
