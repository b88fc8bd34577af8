"""The processor's name and instructions, and who must ask for oneDNN."""

from __future__ import annotations

import pytest

from workers.process import processor


def test_instruction_sets_are_vector_instructions_only():
    """Not the flags that a new kernel adds."""
    allowed = processor._VECTOR_FLAGS
    assert all(flag.startswith(allowed) for flag in processor.instruction_sets().split())


def test_a_system_that_does_not_tell_its_processor_is_no_fault(monkeypatch):
    """As on macOS, where there is no /proc."""
    monkeypatch.setattr(processor, "_processor_line", lambda key: "")
    assert processor.processor_name() != ""
    assert processor.instruction_sets() == ""
    assert not processor.must_ask_for_onednn()


@pytest.mark.parametrize(
    ("flags", "must_ask"),
    [
        ("fpu sse4_2 avx", False),  # too old
        ("fpu sse4_2 avx fma avx2", True),  # Zen 3, Haswell
        ("sse4_2 avx fma avx2 avx512f avx512bw", True),  # Skylake
        ("sse4_2 avx fma avx2 avx_vnni", False),  # Alder Lake
        ("sse4_2 avx fma avx2 avx512f avx512_vnni avx512_bf16", False),  # Zen 4
        ("sse4_2 avx fma avx2 avx512f avx512_vnni amx_tile amx_bf16", False),  # Sapphire Rapids
    ],
)
def test_onednn_is_asked_for_where_tensorflow_would_not_call_it(monkeypatch, flags, must_ask):
    """By the flags of each kind of processor."""
    monkeypatch.setattr(processor, "_processor_line", lambda key: flags)
    assert processor.must_ask_for_onednn() is must_ask
