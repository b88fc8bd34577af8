"""Make the schemas of this folder again from their sources, whose places README.md has: python trim.py FOLDER.

FOLDER holds `definitions.json` (Kubernetes), `rayjobs-VERSION.yaml` (KubeRay), `compose.json` and `citation.json`.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import yaml

HERE = Path(__file__).parent
CORE = "io.k8s.api.core.v1."
KINDS = {
    "ConfigMap": f"{CORE}ConfigMap",
    "PersistentVolumeClaim": f"{CORE}PersistentVolumeClaim",
    "NetworkPolicy": "io.k8s.api.networking.v1.NetworkPolicy",
    "CronJob": "io.k8s.api.batch.v1.CronJob",
}
POD = f"{CORE}PodTemplateSpec"
NAMES_KEYS = {"properties", "definitions", "$defs"}
WORDS = {"description", "example", "examples", "$comment", "title", "default"}


def main(sources: Path) -> None:
    """Read the sources, and write what of them decides whether a file of `deploy/` fits."""
    definitions = json.loads((sources / "definitions.json").read_text())["$defs"]
    kinds = {kind: {"$ref": f"#/$defs/{name}"} for kind, name in KINDS.items()}
    write("kubernetes", {"kinds": kinds, "$defs": reached(definitions)})
    for path in sources.glob("rayjobs-*.yaml"):
        (version,) = yaml.safe_load(path.read_text())["spec"]["versions"][:1]
        schema = version["schema"]["openAPIV3Schema"]
        write(path.stem, closed(without_pods(without_words(schema)), is_root=True))
    for name in ("compose", "citation"):
        write(name, without_words(json.loads((sources / f"{name}.json").read_text())))


def write(name: str, schema: dict) -> None:
    """Write on one line: nobody reads it."""
    (HERE / f"{name}.json").write_text(f"{json.dumps(schema, separators=(',', ':'))}\n")


def reached(definitions: dict) -> dict:
    """Return the definitions that the kinds and a pod need, and what these need."""
    found, waiting = {}, [*KINDS.values(), POD]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = closed(without_words(definitions[name]))
            waiting += re.findall(r'"#/\$defs/([^"]+)"', json.dumps(found[name]))
    return dict(sorted(found.items()))


def without_words(part: object, *, names_keys: bool = False) -> object:
    """Leave out what is for people; the keys of `properties` are names and stay."""
    if isinstance(part, list):
        return [without_words(each) for each in part]
    if not isinstance(part, dict):
        return part
    return {
        key: without_words(value, names_keys=not names_keys and key in NAMES_KEYS)
        for key, value in part.items()
        if names_keys or not (key in WORDS or key.startswith("x-kubernetes-list"))
    }


def without_pods(part: object) -> object:
    """Let the templates of pods be those of Kubernetes, which KubeRay's definitions repeat."""
    if isinstance(part, list):
        return [without_pods(each) for each in part]
    if not isinstance(part, dict):
        return part
    spec = part.get("properties", {}).get("spec", {})
    if isinstance(spec, dict) and "containers" in spec.get("properties", {}):
        return {"$ref": f"#/$defs/{POD}"}
    return {key: without_pods(value) for key, value in part.items()}


def closed(part: object, *, is_root: bool = False) -> object:
    """Refuse keys that are not named, which Kubernetes drops without a word; metadata are its own."""
    if isinstance(part, list):
        return [closed(each) for each in part]
    if not isinstance(part, dict):
        return part
    made = {key: closed(value) for key, value in part.items()}
    if isinstance(made.get("properties"), dict) and "type" in made and not is_root:
        made.setdefault("additionalProperties", False)
    if made.pop("x-kubernetes-int-or-string", False):
        made["type"] = ["integer", "string"]
        made.pop("anyOf", None)
    return made


if __name__ == "__main__":
    main(Path(sys.argv[1]))
