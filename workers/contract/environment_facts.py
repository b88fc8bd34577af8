"""What an environment's identity is the hash of, and what of it a trial's record holds to be read by people."""

from __future__ import annotations

import json
import re

from pydantic import Field

from workers.contract.frozen import Frozen
from workers.contract.identity import digest

NOT_RECORDED = "(not recorded)"
"""Stands in a record for a value that may name a place of the user, or be anything at all."""

_SWITCH = re.compile(r"(true|false|-?\d{1,12}(\.\d{1,12})?)?", re.IGNORECASE)
_FLAG_NAME = re.compile(r"--xla_\w+")


class EnvironmentFacts(Frozen):
    """What decides the bits beside a trial's spec: libraries, device, threads, switches.

    Attributes:
        tensorflow: Version.
        keras: Version.
        numpy: Version.
        cuda: Version TensorFlow was built with; "None" without one.
        cudnn: Likewise.
        machine: Kind of processor, such as x86_64.
        device: Name of the GPU, else of the processor.
        instruction_sets: Vector instructions of the processor, apart by spaces.
        intra_op_threads: Threads of one operation.
        inter_op_threads: Operations at a time.
        onednn: TF_ENABLE_ONEDNN_OPTS, or "default".
        op_determinism: Whether operations are deterministic.
        tensor_float_32: Whether float32 products may be rounded to TensorFloat-32.
        xla_flags: XLA_FLAGS, one by one; no part of the identity where there are none.
        step_version: How our own code rounds a step of training; the first is no part of the identity.
    """

    tensorflow: str
    keras: str
    numpy: str
    cuda: str
    cudnn: str
    machine: str
    device: str
    instruction_sets: str
    intra_op_threads: int
    inter_op_threads: int
    onednn: str
    op_determinism: bool
    tensor_float_32: bool
    xla_flags: list[str] = Field(default_factory=list)
    step_version: int = 1

    @property
    def environment_id(self) -> str:
        """The hash; equal ids promise equal bits."""
        return digest(self.non_default())

    def for_record(self) -> str:
        """Return what a record may hold, as JSON: of the user's variables switches and numbers alone.

        Where nothing had to be left out, its hash is `environment_id`.
        """
        onednn = self.onednn if self.onednn == "default" else _switch(self.onednn)
        flags = [_flag(each) for each in self.xla_flags]
        facts = self.model_copy(update={"onednn": onednn, "xla_flags": flags})
        return json.dumps(facts.non_default())


def _flag(text: str) -> str:
    """Return a flag of XLA; of a value that is no switch or number the name alone, of no flag nothing."""
    name, is_set, value = text.partition("=")
    if not _FLAG_NAME.fullmatch(name):
        return NOT_RECORDED
    return name + is_set + _switch(value)


def _switch(text: str) -> str:
    return text if _SWITCH.fullmatch(text) else NOT_RECORDED
