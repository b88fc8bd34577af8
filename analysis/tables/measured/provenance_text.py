"""Provenance as sentences, a table of environments, and citations in BibTeX."""

from __future__ import annotations

import json
from collections.abc import Sequence

from analysis.findings.provenance import Provenance
from analysis.text.number import written
from analysis.text.text_table import TextTable
from workers.contract.plan_document import PlanDocument

_ENVIRONMENT_NOTE = (
    "An environment's id is a hash of the versions of TensorFlow, Keras, NumPy, CUDA and cuDNN, the "
    "processor's kind and instruction sets, the device, threads and switches of determinism; "
    "the records hold the hash and what stands here."
)

PAPER_BIBTEX = """\
@misc{luo2020how,
  title = {How Many Factors Influence Minima in {SGD}?},
  author = {Luo, V. and Wang, Y. and Fung, G.},
  year = {2020},
  eprint = {2009.11858},
  archivePrefix = {arXiv},
  url = {https://arxiv.org/abs/2009.11858}
}"""


def software_bibtex(version: str | None) -> str:
    """Return the entry of this software, of a version."""
    note = f",\n  version = {{{version}}}" if version else ""
    return (
        "@software{minima,\n"
        "  title = {minima: a distributed sweep orchestrator that measures what decides the minimum "
        "{SGD} finds},\n"
        f"  author = {{{{The minima authors}}}},\n  license = {{Apache-2.0}}{note}\n}}"
    )


def provenance_facts(found: Provenance) -> list[str]:
    """Return version, source and data, a sentence each; what no record holds is not spoken of."""
    code = sorted({digest for each in found.environments for digest in each.code_digests})
    hosts = sorted({host for each in found.environments for host in each.hosts})
    facts = [
        (f"Report by minima {found.version}.", found.version is not None),
        (f"Source that trained: {', '.join(code)} (digest of the files of workers).", bool(code)),
        (
            f"Source that measured: {', '.join(found.measuring_code)}.",
            bool(found.measuring_code) and list(found.measuring_code) != code,
        ),
        *(
            (f"Data: {name}, digest of the decoded examples {digest}.", True)
            for name, digest in found.data_digests
        ),
        (f"Trained on: {', '.join(hosts)}.", bool(hosts)),
    ]
    return [text for text, is_known in facts if is_known]


def environment_table(found: Provenance) -> TextTable | None:
    """Tabulate what the records say of every environment; None before anything is trained."""
    if not found.environments:
        return None
    return TextTable(
        "Environments",
        ("environment", "device", "GPU share", "threads", "hosts", "source", "trials"),
        tuple(
            (
                each.environment_id,
                ", ".join(each.devices),
                _joined(each.device_shares),
                written(each.num_threads, "d"),
                ", ".join(each.hosts),
                ", ".join(each.code_digests),
                written(each.num_trials, "d"),
            )
            for each in found.environments
        ),
        (_ENVIRONMENT_NOTE,),
        num_left=2,
    )


def _joined(shares: Sequence[float]) -> str:
    return written(shares[0]) if len(shares) == 1 else ", ".join(map(written, shares))


def commands(found: Provenance) -> list[str]:
    """Return the commands that make the sweep and the report again."""
    return [found.run_command, found.report_command]


def resolved_sweep(plan: PlanDocument) -> str:
    """Return the resolved sweep as a file that `minima run` reads: JSON, which is YAML."""
    return json.dumps(plan.spec, indent=1, ensure_ascii=False) + "\n"


def bibtex(found: Provenance) -> str:
    """Return the entries of the paper and of this software."""
    return f"{PAPER_BIBTEX}\n\n{software_bibtex(found.version)}\n"
