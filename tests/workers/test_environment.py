"""What decides the bits."""

from __future__ import annotations

import tensorflow as tf

from workers import environment


def test_the_environment_names_device_and_host():
    """The processor where there is no GPU; the same each time it is asked."""
    first, second = (environment.prepare(1, uses_gpu=False) for _ in range(2))
    assert first == second
    assert first.device == environment.processor_name() != ""
    assert first.host != ""
    assert len(first.environment_id) == 20


def test_threads_device_libraries_and_instructions_are_part_of_it(monkeypatch):
    """Each of them may change the order of additions."""
    ids = {environment._environment_id(1, "a"), environment._environment_id(2, "a")}
    ids.add(environment._environment_id(1, "b"))
    monkeypatch.setattr(tf, "__version__", "0.0.0")
    ids.add(environment._environment_id(1, "a"))
    monkeypatch.setattr(environment, "instruction_sets", lambda: "none")
    ids.add(environment._environment_id(1, "a"))
    assert len(ids) == 5


def test_instruction_sets_are_vector_instructions_only():
    """Not the flags that a new kernel adds."""
    allowed = environment._VECTOR_FLAGS
    assert all(flag.startswith(allowed) for flag in environment.instruction_sets().split())


def test_a_system_that_does_not_tell_its_processor_is_no_fault(monkeypatch):
    """As on macOS, where there is no /proc."""
    monkeypatch.setattr(environment, "_processor_line", lambda key: "")
    assert environment.processor_name() != ""
    assert environment.instruction_sets() == ""
