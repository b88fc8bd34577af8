"""The result of `agreement`: as rows of view `validity`, as a line of text, and as a document."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from analysis.aggregation.cell_measurements import as_table
from analysis.evidence.assumptions import AGREEMENT
from analysis.records.load import SweepData
from workers.contract.quantities import GLOSSARY


def agreement_rows(data: SweepData, compared: pd.DataFrame) -> pa.Table:
    """Return the rows of test `statistics_agree`, at the final rate, as of the kept weights."""
    trials = [
        (item.trial_id, item.trial.final_learning_rate, item.trial.training.sampler)
        for item in data.plan.trials
    ]
    ends = pd.DataFrame(trials, columns=["trial_id", "learning_rate_used", "sampler"])
    found = compared.merge(data.planned, on="trial_id").merge(ends, on="trial_id")
    found = found.assign(
        sweep=data.plan.sweep,
        statistic_id=None,
        test=AGREEMENT.name,
        low=None,
        high=None,
        passes=found["value"] <= AGREEMENT.highest,
        meaning=AGREEMENT.meaning,
    )
    return as_table("validity", found)


def disagreements(validity: pd.DataFrame) -> list[dict[str, str | None]]:
    """List the statistics that disagree, the worst first: where, on what, and the value of each."""
    is_broken = validity["passes"] == False  # noqa: E712 - null is neither
    rows = validity[(validity["test"] == AGREEMENT.name) & is_broken]
    rows = rows.sort_values("value", ascending=False, kind="stable")
    names = ["sweep", "trial_id", "quantity", "layer", "bn_mode", "split", "detail"]
    columns = [[None if pd.isna(each) else str(each) for each in rows[name]] for name in names]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def disagreement_line(validity: pd.DataFrame) -> str | None:
    """Return the worst disagreement and the number of others in a line; None where all agree."""
    found = disagreements(validity)
    if not found:
        return None
    worst = found[0]
    quantity = str(worst["quantity"])
    what = GLOSSARY[quantity].symbol if quantity in GLOSSARY else quantity
    place = f" of layer {worst['layer']}" if worst["layer"] else ""
    more = f" ({len(found) - 1} more in view validity)" if len(found) > 1 else ""
    return (
        f"statistics disagree in trial {worst['trial_id']} about {what}{place}, split {worst['split']}, "
        f"batch norm {worst['bn_mode']}: {worst['detail']}{more}"
    )
