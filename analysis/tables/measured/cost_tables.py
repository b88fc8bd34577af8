"""What a sweep cost, and what it lacks, as tables and sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence

from analysis.findings.cost import Cost, PaidWork, Precision
from analysis.findings.unfinished import OpenSeeds
from analysis.text.number import written
from analysis.text.number_text import plain
from analysis.text.text_table import TextTable
from workers.contract.quantities import GLOSSARY

_LEAST_HOURS = 1e-4
"""A third of a second; less is written with a power of ten."""

_COST_NOTE = (
    "core-hours: wall time × threads of a trial. gradients: in gradients of the mean loss over the "
    "split worked on; an epoch of SGD is one. Attempts that failed, and the start of processes, left no time on record."
)
_PRECISION_NOTE = (
    "relative error: of the estimator, root mean square over trials. For 1 %: core-hours × (relative "
    "error/1 %)², as errors fall with the root of the cost; a statistic is paid once for all its quantities."
)


def cost_sentence(cost: Cost) -> str:
    """Return the whole cost in a sentence, training and measuring apart."""
    gpu = f", {hours_text(cost.gpu_hours)} GPU-hours" if cost.gpu_hours else ""
    return (
        f"{hours_text(cost.core_hours)} core-hours ({hours_text(cost.training.core_hours)} of "
        f"training, {hours_text(cost.measuring_core_hours)} of measuring){gpu}."
    )


def cost_table(cost: Cost) -> TextTable | None:
    """Tabulate what training and every statistic cost; None before anything is trained."""
    works = [work for work in (cost.training, *cost.measuring) if work.num_trials]
    if not works:
        return None
    has_gpu = cost.gpu_hours > 0
    heads = ("work", "trials", "core-hours", *(("GPU-hours",) if has_gpu else ()))
    return TextTable(
        "What it cost",
        (*heads, "% of core-hours", "gradients", "core-hours a trial"),
        tuple(_cost_row(work, cost, has_gpu=has_gpu) for work in works),
        (_COST_NOTE,),
        num_left=1,
    )


def precision_table(found: Sequence[Precision]) -> TextTable | None:
    """Tabulate the cost of each estimate at 1 %; exact numbers are left out. None without an estimate."""
    estimates = [each for each in found if each.relative_stderr > 0 and math.isfinite(each.core_hours)]  # fmt: skip
    if not estimates:
        return None
    return TextTable(
        "What a digit costs",
        ("quantity", "statistic", "objective", "relative error %", "core-hours a trial", "for 1 %"),
        tuple(
            (
                GLOSSARY[each.quantity].symbol if each.quantity in GLOSSARY else each.quantity,
                each.statistic,
                each.objective,
                plain(100 * each.relative_stderr, 2),
                hours_text(each.core_hours),
                hours_text(each.core_hours_for_percent),
            )
            for each in estimates
        ),
        (_PRECISION_NOTE,),
        num_left=3,
    )


def unfinished_table(found: Sequence[OpenSeeds], command: str) -> TextTable | None:
    """Tabulate the seeds that are missing, failed or diverged, with the command that finishes them.

    None where every seed is done.
    """
    if not found:
        return None
    finish = (f"{command} finishes what is missing or failed.",)
    return TextTable(
        "What is not finished",
        ("BS", "LR", "seeds", "state", "lacks"),
        tuple(
            (
                written(each.cell.batch_size, "d"),
                written(each.cell.learning_rate),
                ", ".join(map(str, each.seeds)),
                each.state,
                ", ".join(each.lacks) or "nothing: there is no minimum to measure",
            )
            for each in found
        ),
        finish if any(each.is_open for each in found) else (),
        num_left=5,
    )


def hours_text(hours: float) -> str:
    """Write hours with three digits: 0.00123, 0.35, 21."""
    is_short = _LEAST_HOURS <= hours < 1
    return written(hours, ".3g") if is_short else plain(hours, 3)


def _cost_row(work: PaidWork, cost: Cost, *, has_gpu: bool) -> tuple[str, ...]:
    total = cost.core_hours
    return (
        work.name,
        written(work.num_trials, "d"),
        hours_text(work.core_hours),
        *((hours_text(work.gpu_hours),) if has_gpu else ()),
        plain(100 * work.core_hours / total, 3) if total else plain(None),
        plain(work.gradients, 3),
        hours_text(work.core_hours / work.num_trials),
    )
