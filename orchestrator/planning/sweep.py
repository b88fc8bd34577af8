"""From a sweep file (YAML) or a built-in name, and overrides, to a document."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from orchestrator.planning.yaml_file import parse_yaml
from workers.contract.errors import Fault, UserError, did_you_mean, shortened, user_error

_LARGEST_SWEEP_BYTES = 1_000_000
_DEEPEST_KEY = 10


def built_in_sweeps() -> dict[str, str]:
    """Return the text of every built-in sweep by name."""
    folder = resources.files("orchestrator") / "sweeps"
    files = [item for item in folder.iterdir() if item.name.endswith(".yaml")]
    texts = {item.name.removesuffix(".yaml"): item.read_text("utf-8") for item in files}
    return dict(sorted(texts.items()))


def read_sweep(sweep: str, overrides: list[str]) -> tuple[dict[str, object], str]:
    """Read a sweep by file or built-in name and apply `key.path=value` overrides.

    Returns:
        The document as written, not yet checked, and where it came from.

    Raises:
        UserError: There is no such file, it is no YAML mapping, or an override is malformed.
    """
    text, where = _find(sweep)
    document = parse_yaml(text, where)
    if not isinstance(document, dict):
        kind = "is empty" if document is None else f"holds a {type(document).__name__}"
        raise user_error(
            f"not a sweep: the file {kind}",
            where=where,
            mend="`minima sweeps --show quickstart` prints one to start from",
        )
    faults = [fault for override in overrides for fault in _apply(document, override)]
    if faults:
        raise UserError(faults)
    return document, where


def _find(sweep: str) -> tuple[str, str]:
    built_in = built_in_sweeps()
    path = Path(sweep)
    if is_sweep_file(path):
        return _read(path), sweep
    if sweep in built_in:
        return built_in[sweep], f"built-in sweep {sweep}"
    if path.exists():
        raise user_error(
            f"{sweep!r} is no file but a folder, a pipe or a device",
            where="SWEEP",
            mend="give the YAML file of a sweep",
        )
    raise user_error(
        f"no sweep file {sweep!r}, and no built-in sweep of that name",
        where="SWEEP",
        mend=did_you_mean(sweep, built_in),
    )


def is_sweep_file(path: Path) -> bool:
    """Return whether the argument SWEEP is a file.

    Raises:
        UserError: The system cannot tell.
    """
    try:
        return path.is_file()
    except OSError as error:  # too long, or below a folder that may not be entered
        raise user_error(
            f"cannot look for the sweep: {error.strerror}",
            where="SWEEP",
            mend="give the path of a YAML file, or a name of `minima sweeps`",
        ) from error


def _read(path: Path) -> str:
    mend = "give a YAML file; `minima sweeps` lists the built-in ones"
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST_SWEEP_BYTES + 1)
    except OSError as error:
        raise user_error(f"cannot read the sweep: {error}", where=str(path), mend=mend) from error
    if len(content) > _LARGEST_SWEEP_BYTES:
        what = f"not a sweep: more than {_LARGEST_SWEEP_BYTES:,} bytes"
        raise user_error(what, where=str(path), mend=mend)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise user_error("not a text file", where=str(path), mend=mend) from error


def _apply(document: dict[str, object], override: str) -> list[Fault]:
    key, equals, text = override.partition("=")
    where = f"--set {shortened(override)}"
    parts = key.split(".")
    if not equals or not all(parts) or len(parts) > _DEEPEST_KEY:
        return [
            Fault("not of the form key.path=value", where, "for example --set training.epochs=5")
        ]
    try:
        value = parse_yaml(text, where)
    except UserError as error:
        return list(error.faults)
    *folders, last = parts
    place = document
    for depth, part in enumerate(folders, start=1):
        inner = place.setdefault(part, {})
        if not isinstance(inner, dict):
            path = ".".join(folders[:depth])
            return [
                Fault(
                    f"{shortened(path)!r} holds a value, not keys",
                    where,
                    f"--set {shortened(path)}=… replaces it",
                )
            ]
        place = inner
    place[last] = value
    return []
