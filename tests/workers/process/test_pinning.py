"""A process keeps to the cores it is told."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from workers.process.pinning import pin_to_cores

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system pins nothing"
)

TRAIN = """
import sys
from workers.process.pinning import pin_to_cores
pin_to_cores(sys.argv[1])
from workers.process.environment import prepare
prepare(2, uses_gpu=False)
import keras, numpy as np, hashlib, os
keras.utils.set_random_seed(0)
images = np.random.default_rng(0).normal(size=(64, 16, 16, 3)).astype("float32")
labels = np.arange(64) % 10
model = keras.Sequential([
    keras.layers.Input((16, 16, 3)), keras.layers.Conv2D(16, 3), keras.layers.ReLU(),
    keras.layers.BatchNormalization(), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10),
])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.SGD(0.1), loss)
model.fit(images, labels, batch_size=32, epochs=3, shuffle=False, verbose=0)
weights = b"".join(value.tobytes() for value in model.get_weights())
print(len(os.sched_getaffinity(0)), hashlib.sha256(weights).hexdigest())
"""


def test_only_the_cores_named_are_used():
    """None named, or one that is not there: as before."""
    former = os.sched_getaffinity(0)
    try:
        pin_to_cores("")
        pin_to_cores("7777")
        assert os.sched_getaffinity(0) == former
        pin_to_cores(str(min(former)))
        assert os.sched_getaffinity(0) == {min(former)}
    finally:
        os.sched_setaffinity(0, former)


@pytest.mark.slow
def test_bits_do_not_depend_on_the_cores():
    """Two threads of TensorFlow on one core compute what they do on all."""
    core = str(min(os.sched_getaffinity(0)))
    told = [
        subprocess.run(
            [sys.executable, "-c", TRAIN, cores], capture_output=True, text=True, check=True
        ).stdout.split()
        for cores in (core, "")
    ]
    assert told[0][0] == "1"
    assert told[0][1] == told[1][1]
