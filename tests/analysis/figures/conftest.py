"""What tests of figures share: tables and curves of made-up cells."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from analysis.findings.table1 import Table1, Table1Row
from analysis.mathematics.uncertain import Uncertain


@pytest.fixture(scope="session")
def table_of():
    """Make a Table 1 of these cells, each with both traces and their ratio."""

    def make(cells):
        rows = []
        for place, cell in enumerate(cells):
            noise, hessian = Uncertain(10.0 + place, 0.5, 2), Uncertain(40.0, 1.0, 2)
            ratio = Uncertain(noise.value / hessian.value, 0.02, 2)
            state = SimpleNamespace(num_diverged=0)
            rows.append(Table1Row(cell, state, noise, hessian, 3, ratio, ratio, None))
        return Table1("toy", "r", is_paper_setting=False, rows=tuple(rows))

    return make


@pytest.fixture(scope="session")
def curves_of():
    """Make the epochs of a trial a cell: every quantity of the n-th one begins at n and falls as 1/epoch."""

    def make(cells, num_epochs=3):
        names = ("train_accuracy", "validation_accuracy", "train_loss", "validation_loss")
        rows = [
            {"trial_id": f"{cell}", "loss": cell.loss, "batch_size": cell.batch_size,
             "learning_rate": cell.learning_rate, "epoch": epoch} | dict.fromkeys(names, (1.0 + place) / (epoch + 1))
            for place, cell in enumerate(cells) for epoch in range(num_epochs)
        ]  # fmt: skip
        trials = pd.DataFrame({"trial_id": [], "outcome": []})
        plan = SimpleNamespace(trials=[])
        return SimpleNamespace(epochs=pd.DataFrame(rows), trials=trials, plan=plan, cells=cells)

    return make
