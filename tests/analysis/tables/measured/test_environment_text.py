"""Environments in words: decoded where the records tell, and nothing claimed where they do not."""

from __future__ import annotations

import pytest

from analysis.findings.provenance import RecordedEnvironment
from analysis.tables.measured.environment_text import environment_sentences, environment_table
from analysis.text.number_text import NOTHING

EARLIER = RecordedEnvironment(
    environment_id="env-old", facts=None, devices=("Some CPU",), device_shares=(0.0,),
    hosts=(("b", 3), ("a", 1)), python_versions=((None, 4),), code_versions=((None, 4),),
    code_commits=((None, 4),), code_digests=((None, 4),), num_threads=2, num_trials=4,
)  # fmt: skip


@pytest.fixture
def recorded(environment_facts):
    """Make an environment of five trials, of which one record is of an earlier version."""

    def make(name, **changes) -> RecordedEnvironment:
        facts = environment_facts(**changes)
        return RecordedEnvironment(
            environment_id=name, facts=facts, devices=(facts.device,), device_shares=(0.5,),
            hosts=(("a", 5),), python_versions=(("3.12.1", 4), (None, 1)), code_versions=(("1.2", 5),),
            code_commits=(("c", 5),), code_digests=(("d", 5),),
            num_threads=facts.intra_op_threads, num_trials=5,
        )  # fmt: skip

    return make


def test_an_environment_is_decoded(recorded):
    """Every fact that was hashed stands in its column, switches in words; records without a value are counted."""
    table = environment_table([recorded("env-a", onednn="0", xla_flags=["--xla_a=1"])])
    assert table.columns == ("environment", "env-a")
    assert dict(table.rows) == {
        "trials": "5",
        "hosts": "a",
        "device": "Some CPU",
        "GPU share": "0.5",
        "threads": "2",
        "operations at a time": "1",
        "processor": "x86_64: avx fma",
        "switches": "deterministic operations; TensorFloat-32 off; oneDNN off; flags of XLA: --xla_a=1; "
        "training step of version 1",
        "TensorFlow": "2.21.0",
        "Keras": "3.12.0",
        "NumPy": "2.3.5",
        "Python": "3.12.1 (4), not recorded (1)",
        "minima": "1.2",
        "commit": "c",
        "source": "d",
    }
    assert environment_sentences([recorded("env-a")]) == ["Trained in one environment."]
    cuda = dict(environment_table([recorded("env-a", cuda="12.5", cudnn="9")]).rows)["TensorFlow"]
    assert cuda == "2.21.0, built for CUDA 12.5, cuDNN 9"


def test_what_an_earlier_version_kept_is_a_hash(recorded):
    """Its device, hosts and planned threads are known, and that the rest is not."""
    told = "Recorded by an earlier version, the hash alone: env-old."
    assert environment_sentences([EARLIER]) == ["Trained in one environment.", told]
    rows = {name: values for name, *values in environment_table([EARLIER]).rows}
    known = {name: value for name, (value,) in rows.items() if value != NOTHING}
    assert known == {"trials": "4", "hosts": "b (3), a (1)", "device": "Some CPU", "threads": "2"}
    assert environment_sentences([EARLIER, recorded("env-a")]) == [
        "Trained in 2 environments; bits are promised within one.", told,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"intra_op_threads": 4, "numpy": "1.0"}, "NumPy (1.0; 2.3.5), threads of an operation (2; 4)"),
        ({"instruction_sets": "avx avx2"}, "instruction sets (not in all: avx2 fma)"),
        ({"device": "A100", "xla_flags": ["--xla_a"]}, "device (A100; Some CPU), flags of XLA"),
        ({}, "what is not recorded: a value among the flags of XLA"),
    ],
)  # fmt: skip
def test_what_differs_is_said_with_its_values(recorded, changes, told):
    """Alone or beside one that cannot be decoded."""
    two = [recorded("env-a"), recorded("env-b", **changes)]
    assert environment_sentences(two)[1:] == [f"They differ in {told}."]
    first, *rest = environment_sentences([EARLIER, *two])
    assert first == "Trained in 3 environments; bits are promised within one."
    assert rest == [
        "Recorded by an earlier version, the hash alone: env-old.",
        f"The others differ in {told}.",
    ]


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("tensorflow", "1", "TensorFlow"), ("keras", "1", "Keras"), ("cuda", "1", "CUDA"),
        ("cudnn", "1", "cuDNN"), ("machine", "arm", "kind of processor"), ("onednn", "0", "oneDNN"),
        ("inter_op_threads", 2, "operations at a time"), ("op_determinism", False, "determinism of operations"),
        ("tensor_float_32", True, "TensorFloat-32"), ("step_version", 2, "version of the training step"),
    ],
)  # fmt: skip
def test_every_fact_has_a_word(recorded, field, value, word):
    """So that none that sets environments apart goes unsaid."""
    [_, told] = environment_sentences([recorded("env-a"), recorded("env-b", **{field: value})])
    assert told.startswith(f"They differ in {word} (")


def test_before_anything_is_trained_nothing_is_said():
    assert environment_sentences([]) == []
    assert environment_table([]) is None
