"""Random texts of sweeps and random `--set`: nothing but a fault is raised, and soon."""

from __future__ import annotations

import json
import random

from orchestrator.planning.checks import check_sweep
from orchestrator.planning.sweep import read_sweep


def test_sweeps(tmp_path, fuzz, sweep_text):
    """Texts of all kinds, read and checked."""

    def attempt(text: str) -> None:
        (tmp_path / "a.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
        document, where = read_sweep("a.yaml", [])
        check_sweep(document, where, None)

    fuzz("sweeps", sweep_text, attempt)


def test_overrides(tmp_path, fuzz, override, sound_sweep):
    """As `--set` takes them, up to three at once."""
    (tmp_path / "a.yaml").write_text(json.dumps(sound_sweep))

    def draw_case(draw: random.Random) -> list[str]:
        return [override(draw) for _ in range(draw.randint(1, 3))]

    def attempt(overrides: list[str]) -> None:
        document, where = read_sweep("a.yaml", overrides)
        check_sweep(document, where, None)

    fuzz("overrides", draw_case, attempt)
