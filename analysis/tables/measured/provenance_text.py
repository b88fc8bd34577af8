"""Provenance as sentences, commands, and citations in BibTeX."""

from __future__ import annotations

import json

from analysis.findings.provenance import Provenance
from analysis.tables.measured.environment_text import environment_sentences
from workers.contract.plan_document import PlanDocument

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
    """Return version, environments, source and data, a sentence each; what no record holds is not spoken of."""
    code = {digest for each in found.environments for digest, _ in each.code_digests if digest}
    facts = [
        (f"Report by minima {found.version}.", found.version is not None),
        *((text, True) for text in environment_sentences(found.environments)),
        (
            f"Source that measured: {', '.join(found.measuring_code)}.",
            bool(found.measuring_code) and set(found.measuring_code) != code,
        ),
        *(
            (f"Data: {name}, digest of the decoded examples {digest}.", True)
            for name, digest in found.data_digests
        ),
    ]
    return [text for text, is_known in facts if is_known]


def commands(found: Provenance) -> list[str]:
    """Return the commands that make the sweep and the report again."""
    return [found.run_command, found.report_command]


def resolved_sweep(plan: PlanDocument) -> str:
    """Return the resolved sweep as a file that `minima run` reads: JSON, which is YAML."""
    return json.dumps(plan.spec, indent=1, ensure_ascii=False) + "\n"


def bibtex(found: Provenance) -> str:
    """Return the entries of the paper and of this software."""
    return f"{PAPER_BIBTEX}\n\n{software_bibtex(found.version)}\n"
