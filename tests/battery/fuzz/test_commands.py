"""Random sweeps and options given to the whole command: its code is one of the contract, without a traceback."""

from __future__ import annotations

import random

COMMANDS = [["plan", "a.yaml"], ["stop", "a.yaml"], ["status", "a.yaml"], ["sweeps"], ["aggregate", "a.yaml"]]  # fmt: skip
OPTIONS = ["--json", "--store", "x", "--data-dir", "", "\udcff", "--store=s3://", "--store=gs://x/y?z"]  # fmt: skip


def test_commands(tmp_path, fuzz, sweep_text, override, minima):
    """With up to three options, whole or not."""

    def draw_case(draw: random.Random) -> tuple[str, list[str]]:
        more = [draw.choice([*OPTIONS, f"--set={override(draw)}"]) for _ in range(draw.randint(0, 3))]  # fmt: skip
        return sweep_text(draw), [*draw.choice(COMMANDS), *more]

    def attempt(case: tuple[str, list[str]]) -> None:
        text, arguments = case
        (tmp_path / "a.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
        minima(*arguments)

    fuzz("commands", draw_case, attempt)
