"""What decides the bits."""

from __future__ import annotations

import os

import keras
import pytest
import tensorflow as tf

from workers.contract.errors import UserError
from workers.process import environment
from workers.process.devices import processor_name


def environment_id(num_threads: int, device: str) -> str:
    return environment._facts(num_threads, 1, device).environment_id


def test_the_environment_names_device_and_host():
    """The processor where there is no GPU; the same each time it is asked."""
    first, second = (environment.prepare(1, uses_gpu=False) for _ in range(2))
    assert first == second
    assert first.facts.device == processor_name() != ""
    assert first.host != ""
    assert len(first.facts.environment_id) == 20


def test_threads_device_libraries_and_instructions_are_part_of_it(monkeypatch):
    """Each of them may change the order of additions."""
    ids = {environment_id(1, "a"), environment_id(2, "a")}
    ids.add(environment_id(1, "b"))
    monkeypatch.setattr(tf, "__version__", "0.0.0")
    ids.add(environment_id(1, "a"))
    monkeypatch.setattr(environment, "instruction_sets", lambda: "none")
    ids.add(environment_id(1, "a"))
    assert len(ids) == 5


def test_flags_of_xla_are_the_user_s_and_a_part_of_it(monkeypatch):
    """They may name the place of a library; where there are none the identity is what it was."""
    monkeypatch.setenv("XLA_FLAGS", "")
    plain = environment_id(1, "a")
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_cuda_data_dir=/cuda")
    assert environment_id(1, "a") != plain
    monkeypatch.delenv("XLA_FLAGS")
    assert environment_id(1, "a") == plain


def test_what_keras_was_set_to_is_set_back():
    """As `~/.keras/keras.json` may have it."""
    keras.config.set_floatx("float64")
    keras.config.set_epsilon(0.1)
    keras.config.set_image_data_format("channels_first")
    environment.fix_keras()
    assert (keras.config.floatx(), keras.config.epsilon()) == ("float32", 1e-7)
    assert keras.config.image_data_format() == "channels_last"
    assert keras.layers.Conv2D(1, 1).data_format == "channels_last"
    assert keras.layers.Dense(1).dtype_policy.name == "float32"


def fake_gpu(monkeypatch) -> dict[str, object]:
    """Let TensorFlow have one GPU; what is asked of it."""
    asked: dict[str, object] = {}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: ["gpu"])
    monkeypatch.setattr(environment, "_gpu_name", lambda _: "Fake 100")
    monkeypatch.setattr(
        tf.config.experimental, "set_memory_growth", lambda _, enable: asked.update(growth=enable)
    )
    monkeypatch.setattr(
        tf.config,
        "set_logical_device_configuration",
        lambda _, devices: asked.update(limits=[device.memory_limit for device in devices]),
    )
    monkeypatch.setattr(
        tf.config, "set_visible_devices", lambda devices, _: asked.update(visible=devices)
    )
    monkeypatch.delenv("TF_FORCE_GPU_ALLOW_GROWTH", raising=False)
    return asked


def test_a_whole_gpu_gives_memory_as_it_is_needed(monkeypatch):
    """Without a limit."""
    asked = fake_gpu(monkeypatch)
    assert environment.prepare(1, uses_gpu=True).facts.device == "Fake 100"
    assert asked == {"growth": True}


def test_a_share_has_a_limit_too(monkeypatch):
    """One logical device, of so many MiB; TensorFlow takes growth from the variable alone then."""
    asked = fake_gpu(monkeypatch)
    environment.prepare(1, uses_gpu=True, gpu_limit_bytes=5 * 2**30 + 1)
    assert asked == {"limits": [5 * 1024]}
    assert os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"


def test_a_trial_that_holds_a_gpu_does_not_train_on_the_cpu(monkeypatch):
    """Its bits, and its time, would be those of another trial: refused, with the cure."""
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: [])
    monkeypatch.setattr(environment.platform, "node", lambda: "host7")
    monkeypatch.setattr(environment, "gpu_names", lambda: ["Fake 100"])
    with pytest.raises(UserError) as error:
        environment.prepare(1, uses_gpu=True)
    assert str(error.value) == (
        "a trial holds GPUs, and TensorFlow sees none of those that are here\n  where: resources.gpus, on host7\n"
        "  mend:  install minima with its extra `gpu`, and the driver of the GPUs; "
        "`minima doctor` tells there what is missing"
    )


def test_where_a_cluster_counts_gpus_that_no_machine_has_trials_train_on_the_cpu(monkeypatch):
    """As `ray start --num-gpus 2` on a laptop, to try a sweep for GPUs out; the record names the processor."""
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: [])
    monkeypatch.setattr(environment, "gpu_names", list)
    assert environment.prepare(1, uses_gpu=True).facts.device == processor_name()


def test_a_cpu_trial_sees_no_gpu(monkeypatch):
    """Though the machine has one."""
    asked = fake_gpu(monkeypatch)
    assert environment.prepare(1, uses_gpu=False).facts.device == processor_name()
    assert asked == {"visible": []}
