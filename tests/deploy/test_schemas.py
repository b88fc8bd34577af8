"""Every file of deploy/ that has a published schema fits it; none is forgotten, and faults are found."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema  # comes with Ray
import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
SCHEMAS = Path(__file__).parent / "schemas"
RAY_JOBS = ("rayjobs-v1.5.1", "rayjobs-v1.7.0")
JUDGED = {
    "CITATION.cff": "citation",
    "compose.yaml": "compose",
    "compose.gpu.yaml": "compose",
    "kuberay-aggregate.yaml": "kubernetes",
    "kuberay-job.yaml": "kubernetes",
    "kuberay-store.yaml": "kubernetes",
}


def schema_of(name: str) -> dict:
    return json.loads((SCHEMAS / f"{name}.json").read_text())


def schemas_for(name: str, document: dict) -> Iterator[dict]:
    """Return what a document of a file is to fit: of a RayJob that of each version of KubeRay."""
    if JUDGED[name] != "kubernetes":
        yield schema_of(JUDGED[name])
        return
    core = schema_of("kubernetes")
    kinds = [core["kinds"][document["kind"]]] if document["kind"] != "RayJob" else []
    for each in kinds or map(schema_of, RAY_JOBS):
        yield each | {"$defs": core["$defs"]}


def faults_of(document: dict, schema: dict) -> list[str]:
    kind = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
    kind.check_schema(schema)
    return [f"{error.json_path}: {error.message}" for error in kind(schema).iter_errors(document)]


def documents() -> dict[str, tuple[str, dict]]:
    """Return each document with its file, by file and kind."""
    found = {}
    for name in JUDGED:
        for document in yaml.safe_load_all((DEPLOY / name).read_text()):
            found[f"{name} {document.get('kind', '')}".strip()] = name, document
    return found


DOCUMENTS = documents()


@pytest.mark.parametrize("key", DOCUMENTS)
def test_each_document_fits_its_schema(key):
    """Of Kubernetes, of two versions of KubeRay, of Compose, or of the citation file format."""
    name, document = DOCUMENTS[key]
    assert [
        fault for schema in schemas_for(name, document) for fault in faults_of(document, schema)
    ] == []


def test_no_file_with_a_schema_is_forgotten():
    """The launcher's has Ray's own, tested beside it; all others are listed here."""
    written = {path.name for path in DEPLOY.iterdir() if path.suffix in {".yaml", ".cff"}}
    assert written - {"ray-cluster.yaml"} == set(JUDGED)


def spoilt(key: str, *path: str | int, value: object) -> list[str]:
    """Return what the schemas say of a document with one value changed, of each the first."""
    name, document = DOCUMENTS[key]
    changed = copy.deepcopy(document)
    place = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return [next(iter(faults_of(changed, each)), "") for each in schemas_for(name, document)]


POD = ("spec", "rayClusterSpec", "headGroupSpec", "template", "spec")


@pytest.mark.parametrize(
    ("key", "path", "value"),
    [
        ("kuberay-job.yaml RayJob", ("spec", "backofLimit"), 3),
        ("kuberay-job.yaml RayJob", ("spec", "backoffLimit"), "three"),
        ("kuberay-job.yaml RayJob", ("spec", "rayClusterSpec", "rayVersoin"), "2"),
        ("kuberay-job.yaml RayJob", (*POD, "containers", 0, "imagePullPolicy"), 1),
        ("kuberay-job.yaml RayJob", (*POD, "volumes", 0, "emptyDirectory"), {}),
        ("kuberay-job.yaml NetworkPolicy", ("spec", "ingres"), []),
        ("kuberay-job.yaml ConfigMap", ("data",), []),
        ("kuberay-store.yaml PersistentVolumeClaim", ("spec", "accessModes"), "ReadWriteMany"),
        ("kuberay-aggregate.yaml CronJob", ("spec", "shedule"), "0 * * * *"),
        ("compose.yaml", ("services", "head", "restrat"), "always"),
        ("CITATION.cff", ("license",), "Apache"),
    ],
)
def test_a_slip_is_found(key, path, value):
    """A key that is none, or a value of another type, wherever it is; by each version."""
    told = spoilt(key, *path, value=value)
    assert told
    assert all(told)
