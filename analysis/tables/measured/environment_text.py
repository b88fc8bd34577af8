"""The environments that trained, decoded: a table of them, and in sentences what sets them apart."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.findings.provenance import Counts, RecordedEnvironment, differing_facts
from analysis.text.number import written
from analysis.text.number_text import NOTHING
from analysis.text.text_table import TextTable
from workers.contract.environment_facts import EnvironmentFacts

_NOTE = (
    "An environment is what decides the bits: device, instruction sets, threads, libraries and switches; "
    "its id is their hash. commit: of the checkout or the installation; source: digest of the files of "
    "workers, another one where files were changed since the commit. In brackets: trials."
)

_WORDS = {
    "tensorflow": "TensorFlow",
    "keras": "Keras",
    "numpy": "NumPy",
    "cuda": "CUDA",
    "cudnn": "cuDNN",
    "machine": "kind of processor",
    "device": "device",
    "intra_op_threads": "threads of an operation",
    "inter_op_threads": "operations at a time",
    "onednn": "oneDNN",
    "op_determinism": "determinism of operations",
    "tensor_float_32": "TensorFloat-32",
    "step_version": "version of the training step",
}

_DECODED = (
    "threads",
    "operations at a time",
    "processor",
    "switches",
    "TensorFlow",
    "Keras",
    "NumPy",
)

_ONEDNN = {"default": "as TensorFlow sets it", "0": "off", "1": "on"}


def environment_sentences(environments: Sequence[RecordedEnvironment]) -> list[str]:
    """Return how many environments trained, in what they differ, and which cannot be decoded."""
    if not environments:
        return []
    decoded = [each.facts for each in environments if each.facts is not None]
    bare = [each.environment_id for each in environments if each.facts is None]
    found = ["Trained in one environment."]
    if len(environments) > 1:
        found = [f"Trained in {len(environments)} environments; bits are promised within one."]
    if len(decoded) > 1:
        found.append(f"{'The others' if bare else 'They'} differ in {_differences(decoded)}.")
    if bare:
        found.insert(1, f"Recorded by an earlier version, the hash alone: {', '.join(bare)}.")
    return found


def environment_table(environments: Sequence[RecordedEnvironment]) -> TextTable | None:
    """Tabulate what the records say, a column for each environment; None before anything is trained."""
    if not environments:
        return None
    columns = [_column(each) for each in environments]
    names = columns[0].keys()
    return TextTable(
        "Environments",
        ("environment", *(each.environment_id for each in environments)),
        tuple((name, *(column[name] or NOTHING for column in columns)) for name in names),
        (_NOTE,),
        num_left=len(environments) + 1,
    )


def _differences(decoded: Sequence[EnvironmentFacts]) -> str:
    differing = [_difference(name, decoded) for name in differing_facts(decoded)]
    return ", ".join(differing) or "what is not recorded: a value among the flags of XLA"


def _difference(name: str, decoded: Sequence[EnvironmentFacts]) -> str:
    """Return a fact's name and its values; of instruction sets, which are many, those that some lack."""
    if name == "instruction_sets":
        sets = [set(each.instruction_sets.split()) for each in decoded]
        lacking = set[str]().union(*sets) - sets[0].intersection(*sets)
        return f"instruction sets (not in all: {' '.join(sorted(lacking))})"
    if name == "xla_flags":
        return "flags of XLA"
    values = {str(getattr(each, name)) for each in decoded}
    return f"{_WORDS[name]} ({'; '.join(sorted(values))})"


def _column(each: RecordedEnvironment) -> dict[str, str]:
    return {
        "trials": written(each.num_trials, "d"),
        "hosts": _told(each.hosts),
        "device": ", ".join(each.devices),
        "GPU share": ", ".join(written(share) for share in each.device_shares if share),
        **_decoded(each.facts, each.num_threads),
        "Python": _told(each.python_versions),
        "minima": _told(each.code_versions),
        "commit": _told(each.code_commits),
        "source": _told(each.code_digests),
    }


def _told(counts: Counts) -> str:
    """Return values, with the number of trials of each where there are several; nothing where none is known."""
    if len(counts) == 1:
        return counts[0][0] or ""
    return ", ".join(f"{value or 'not recorded'} ({number})" for value, number in counts)


def _decoded(facts: EnvironmentFacts | None, num_threads: int) -> dict[str, str]:
    """Return what the hash was taken of, in words; of an earlier version's hash the threads alone."""
    if facts is None:
        return {**dict.fromkeys(_DECODED, ""), "threads": written(num_threads, "d")}
    cuda = "" if facts.cuda == "None" else f", built for CUDA {facts.cuda}, cuDNN {facts.cudnn}"
    return {
        "threads": written(num_threads, "d"),
        "operations at a time": written(facts.inter_op_threads, "d"),
        "processor": f"{facts.machine}: {facts.instruction_sets}",
        "switches": _switches(facts),
        "TensorFlow": f"{facts.tensorflow}{cuda}",
        "Keras": facts.keras,
        "NumPy": facts.numpy,
    }


def _switches(facts: EnvironmentFacts) -> str:
    return "; ".join(
        [
            "deterministic operations" if facts.op_determinism else "operations as they come",
            f"TensorFloat-32 {'on' if facts.tensor_float_32 else 'off'}",
            f"oneDNN {_ONEDNN.get(facts.onednn, facts.onednn)}",
            f"flags of XLA: {' '.join(facts.xla_flags) or 'none'}",
            f"training step of version {facts.step_version}",
        ]
    )
