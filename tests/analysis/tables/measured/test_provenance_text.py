"""Provenance in words: nothing unknown is claimed, citations are those of CITATION.cff."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from analysis.findings.provenance import provenance
from analysis.records.load import load_sweep
from analysis.tables.measured.provenance_text import (
    bibtex,
    commands,
    provenance_facts,
    resolved_sweep,
    software_bibtex,
)
from orchestrator.planning.sweep import built_in_sweeps, read_sweep
from workers.contract.sweep_spec import SweepSpec

CITATION = Path(__file__).parents[4] / "deploy" / "CITATION.cff"


def _found(store, synthetic_sweep):
    synthetic_sweep().fill()
    return provenance(load_sweep(store, "toy"), "store")


def test_sources_hosts_and_data_are_named(store, synthetic_sweep):
    """Records without a digest of their code claim none, an uninstalled package no version."""
    found = replace(_found(store, synthetic_sweep), version="9.9")
    facts = provenance_facts(found)
    assert facts[0] == "Report by minima 9.9."
    assert "Data: cifar10, digest of the decoded examples digest." in facts
    assert "Trained in one environment." in facts
    assert "Recorded by an earlier version, the hash alone: env-a." in facts
    assert not any("Source" in fact for fact in facts)
    assert len(provenance_facts(replace(found, version=None))) == len(facts) - 1
    assert commands(found) == [
        "minima run toy.yaml --store store",
        "minima report toy --store store",
    ]


def test_before_anything_is_trained_there_are_no_environments(store, synthetic_sweep):
    synthetic_sweep().plan()
    found = provenance(load_sweep(store, "toy"), "store")
    assert found.environments == ()
    assert [fact for fact in provenance_facts(found) if not fact.startswith("Report")] == []


def test_citations_are_those_of_the_citation_file(store, synthetic_sweep):
    """Title, year and identifier of the paper; title, licence and authors of the software."""
    cited = yaml.safe_load(CITATION.read_text(encoding="utf-8"))
    text = bibtex(_found(store, synthetic_sweep)).replace("{", "").replace("}", "")
    paper = cited["references"][0]
    names = [f"{a['family-names']}, {a['given-names']}" for a in paper["authors"]]
    for part in (
        paper["title"], " and ".join(names), str(paper["year"]), paper["url"], cited["license"],
        cited["authors"][0]["name"], cited["title"], paper["identifiers"][0]["value"].split(":")[1],
    ):  # fmt: skip
        assert part in text
    assert cited["abstract"].removeprefix("A ").rstrip(".") in text
    assert software_bibtex("9.9").replace("{", "").count("version = 9.9") == 1


@pytest.mark.parametrize("name", sorted(built_in_sweeps()))
def test_the_resolved_sweep_makes_the_same_plan(store, synthetic_sweep, tmp_path, name):
    """Saved as YAML, a plan's spec is read back as that very spec, whichever sweep it is of."""
    planned = SweepSpec.model_validate(read_sweep(name, [])[0])
    plan = synthetic_sweep().plan().model_copy(update={"spec": planned.model_dump(mode="json")})
    path = tmp_path / f"{name}.yaml"
    path.write_text(resolved_sweep(plan), encoding="utf-8")
    assert SweepSpec.model_validate(read_sweep(str(path), [])[0]) == planned
