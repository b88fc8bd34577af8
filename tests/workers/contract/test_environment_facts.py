"""An environment's record: hashed again it is the identity, and it holds nothing of the user."""

from __future__ import annotations

import json

import pytest

from workers.contract.environment_facts import NOT_RECORDED, EnvironmentFacts
from workers.contract.identity import digest

FACTS = EnvironmentFacts(
    tensorflow="2.21.0", keras="3.12.0", numpy="2.3.5", cuda="None", cudnn="None", machine="x86_64",
    device="Some CPU", instruction_sets="avx avx2 fma", intra_op_threads=2, inter_op_threads=1,
    onednn="default", op_determinism=True, tensor_float_32=False,
)  # fmt: skip


def changed(**values: object) -> EnvironmentFacts:
    return FACTS.model_copy(update=values)


def test_the_identity_is_the_one_of_earlier_versions():
    """These hashes are of the version that recorded nothing else; flags of XLA count where there are any."""
    assert FACTS.environment_id == "646b6b822aea0308fbc1"
    flagged = changed(xla_flags=["--xla_gpu_autotune_level=0"])
    assert flagged.environment_id == "89c89d059a82a67cf6ee"
    assert changed(step_version=1) == FACTS
    assert changed(step_version=2).environment_id != FACTS.environment_id


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"onednn": "0"},
        {"step_version": 2},
        {"xla_flags": ["--xla_gpu_autotune_level=0", "--xla_cpu_use_mkl=False", "--xla_a"]},
    ],
)
def test_what_is_recorded_is_what_was_hashed(values):
    """The hash of the text's JSON, and of the facts read back from it, is the identity."""
    facts = changed(**values)
    text = facts.for_record()
    assert digest(json.loads(text)) == facts.environment_id
    assert EnvironmentFacts.model_validate_json(text) == facts


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("--xla_dump_to=/home/ann/dump", f"--xla_dump_to={NOT_RECORDED}"),
        ("--xla_dump_to=dump", f"--xla_dump_to={NOT_RECORDED}"),
        ("--xla_key=0123456789abcdef", f"--xla_key={NOT_RECORDED}"),
        ("--xla_key=123456789012345678", f"--xla_key={NOT_RECORDED}"),
        ("/home/ann/flags", NOT_RECORDED),
        ("--token=1", NOT_RECORDED),
        ("password", NOT_RECORDED),
    ],
)
def test_the_record_has_nothing_of_the_user(flag, told):
    """Of a flag only switches and numbers are recorded; the identity still has it whole."""
    facts = changed(xla_flags=["--xla_a=1", flag])
    assert json.loads(facts.for_record())["xla_flags"] == ["--xla_a=1", told]
    assert facts.environment_id == digest(FACTS.non_default() | {"xla_flags": ["--xla_a=1", flag]})
    of_onednn = json.loads(changed(onednn=flag).for_record())["onednn"]
    assert of_onednn == NOT_RECORDED
