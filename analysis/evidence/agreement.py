"""Whether statistics that state one quantity of one trial agree within their errors."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.evidence.excursions import ALONG_THE_WAY
from analysis.mathematics.soundness import is_sound
from analysis.records.load import SweepData
from analysis.records.pieces import pieces
from analysis.records.series import sizes_named
from workers.contract.method_text import batch_size_of, subset_size_of
from workers.contract.quantities import GLOSSARY
from workers.contract.student import student_quantile

Array = npt.NDArray[np.float64]

FALSE_ALARMS = 0.01
"""Chance that a sweep whose statistics are all right is told to have a disagreement."""

ROUNDING = 1e-4
"""Relative difference that single precision explains: sums of 1e4-1e6 products of relative error 6e-8
that cancel in part, as in ‖∇L‖² near a minimum."""

ROUNDING_OF_WHOLE = 1e-6
"""Of a layer beside that, relative to the whole model: a product with H rounds relative to its largest entries."""

NEIGHBOURS = 0.01
"""Relative difference of largest eigenvalues: Lanczos from another start may stop at the next lower one."""

_EIGENVALUE, _RESIDUAL = "hessian_top_eigenvalue", "hessian_residual_norm"
_SAME_UNDER_L2 = "gradient_noise_trace"
_OF_TRIAL = ["trial_id", "quantity", "bn_mode", "split"]
_WORST = [*_OF_TRIAL, "is_layer"]
_JUDGED = [*_WORST, "layer", "ratio", "detail"]
_STATED = ["statistic", "value", "stderr"]
_READ = [
    *_OF_TRIAL,
    "layer",
    "index",
    "objective",
    "method",
    "statistic",
    "statistic_id",
    "value",
    "stderr",
    "num_samples",
    "is_earlier",
]


def agreement(data: SweepData) -> pd.DataFrame:
    """Compare, in every trial, each two statistics that state one quantity.

    Equal are quantity, layer, bn_mode, split, objective (`data` and `total` are one without weight
    decay, and for tr σ²), with batch statistics the batch size; of λ only the largest is compared. What
    an excursion measured along its way is of other weights, and a Hessian over a subset another one; values
    of an earlier numerics version are held against each other alone.

    Two statistics a, b agree when |a - b| ≤ t σ + `ROUNDING` max(|a|, |b|). σ² = σ_a² + σ_b², as
    statistics draw from streams of their own; two of one name may share draws, and σ = σ_a + σ_b, which
    no correlation exceeds. t is Student's quantile at `FALSE_ALARMS`/n for n comparisons with an error in the
    sweep (Bonferroni), with half of the fewer degrees of freedom: errors hold at 95 % (`Cumulants.stderr`),
    and far out the mean of few skew draws scatters more. For 45 trials of 61 groups and 64 probes t is 5.6.
    Means of 64 χ² exceed it, simulated, at 2.9e-5 (4 degrees) and 1.3e-6 (20), so that with 135 of the former
    kind, `spectrum` of the whole model, and the rest of the latter 0.7 % of clean sweeps are told to have a
    disagreement; were all noise along one direction it would be more. Largest eigenvalues
    have no error: they agree within their residual norms and `NEIGHBOURS`. Values without an error, of few
    draws, are not compared. A value that is not finite, or beyond single precision, agrees with nothing.

    Returns:
        The worst comparison of each trial, quantity, bn_mode and split: one of the whole model and one of
        its layers (`is_layer`, `layer` names it). `value` is the difference over what is allowed: above 1
        they disagree, and `detail` states both.
    """
    without_decay = {
        item.trial_id for item in data.plan.trials if item.trial.training.weight_decay == 0
    }
    found, unsound = list[pd.DataFrame](), list[pd.DataFrame]()
    for piece in pieces(data, [*_READ, "skipped_reason"]):
        rows = piece.loc[piece["skipped_reason"].isna(), _READ]
        has_number = is_sound(rows["value"]) & (rows["stderr"].isna() | is_sound(rows["stderr"]))
        rows = rows.assign(is_layer=rows["layer"].notna())
        found.append(_pairs(_comparable(rows[has_number], without_decay)))
        unsound.append(rows[~has_number])
    alone = pd.concat(unsound)
    alone = alone.assign(ratio=np.inf, detail=_statements(alone))
    judged = pd.concat([_worst(_judged(pd.concat(found))), alone[_JUDGED]])
    return _worst(judged).rename(columns={"ratio": "value"}).sort_values(_WORST, ignore_index=True)


def _comparable(rows: pd.DataFrame, without_decay: Collection[str]) -> pd.DataFrame:
    """Keep what two statistics may state alike, numbering in `whole` what must be equal but for layers."""
    is_largest = (rows["quantity"] == _EIGENVALUE) & (rows["index"] == 0)
    is_along = rows["statistic"].isin(ALONG_THE_WAY) & ~is_largest
    is_of_subset = sizes_named(rows["method"], subset_size_of) > 0
    is_one = rows["index"].isna() & rows["quantity"].isin(GLOSSARY) | is_largest
    is_one &= ~is_along & (~is_of_subset | (rows["quantity"] == _SAME_UNDER_L2))
    stderr = rows["stderr"].where(~is_largest, _residuals(rows))
    found = rows.assign(stderr=stderr)[is_one & stderr.notna()]
    is_same = (found["quantity"] == _SAME_UNDER_L2) | found["trial_id"].isin(without_decay)
    is_batch = found["bn_mode"] == "batch"
    found = found.assign(
        is_data=is_same | (found["objective"] == "data"),
        batch=np.where(is_batch, np.nan_to_num(sizes_named(found["method"], batch_size_of)), 0),
    )
    alike = [*_OF_TRIAL, "is_data", "batch", "is_earlier"]
    whole = found.groupby(alike, sort=False, observed=True).ngroup()
    return found.assign(whole=whole)


def _residuals(rows: pd.DataFrame) -> pd.Series[float]:
    """Return, on the rows of largest eigenvalues [n], the residual norm of the same statistic; else NaN."""
    keys = ["trial_id", "statistic_id", "bn_mode", "split", "objective"]
    first = rows[rows["index"] == 0]
    values = first[first["quantity"] == _EIGENVALUE]
    bounds = first[first["quantity"] == _RESIDUAL][[*keys, "value"]]
    found = values[keys].merge(bounds, on=keys, how="left")["value"]
    return pd.Series(found.to_numpy(np.float64), index=values.index).reindex(rows.index)


def _pairs(rows: pd.DataFrame) -> pd.DataFrame:
    """Pair the statistics of each place, each statistic once: a row a pair.

    Returns:
        The columns of the first one, those of `_STATED` of the other as `other_…`, and what is allowed: `error`
        of their difference, of as many `degrees`, itself a bound where `is_bound`, and `rounding`.
    """
    first, second = _places_of_pairs(rows)
    one, other = rows.iloc[first].reset_index(drop=True), rows.iloc[second].reset_index(drop=True)
    is_eigenvalue = (one["quantity"] == _EIGENVALUE).to_numpy()
    values, errors = (
        np.abs(np.array([one[name], other[name]], np.float64)) for name in ("value", "stderr")
    )
    adds = is_eigenvalue | (one["statistic"] == other["statistic"]).to_numpy()
    numbers = np.array([one["num_samples"], other["num_samples"]], np.float64)
    degrees = np.where(errors > 0, numbers - 1, np.inf).min(axis=0)
    sizes = (
        rows["value"]
        .abs()
        .groupby(rows["whole"], observed=True)
        .transform("max")
        .to_numpy(np.float64)
    )
    rounding = np.where(is_eigenvalue, NEIGHBOURS, ROUNDING) * values.max(axis=0)
    return one[[*_WORST, "layer", *_STATED]].assign(
        **{f"other_{name}": other[name] for name in _STATED},
        error=np.where(adds, errors.sum(axis=0), np.hypot(*errors)),
        degrees=degrees,
        is_bound=is_eigenvalue,
        rounding=rounding + ROUNDING_OF_WHOLE * sizes[first] * one["is_layer"].to_numpy(),
    )


def _places_of_pairs(
    rows: pd.DataFrame,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """List the places among the rows of each two statistics at one place, [p] and [p], each statistic once."""
    place = rows.groupby(["whole", "layer"], dropna=False, sort=False, observed=True).ngroup()
    sides = pd.DataFrame({"place": place.to_numpy(), "row": np.arange(len(rows))})
    source = pd.factorize(rows["statistic_id"])[0]
    sides = sides[~sides.assign(source=source).duplicated(["place", "source"])]
    sides = sides[sides["place"].duplicated(keep=False)]
    pairs = sides.merge(sides, on="place", suffixes=("", "_of_other"))
    pairs = pairs[pairs["row"] < pairs["row_of_other"]]
    return pairs["row"].to_numpy(np.int64), pairs["row_of_other"].to_numpy(np.int64)


def _judged(pairs: pd.DataFrame) -> pd.DataFrame:
    """Divide the difference of each pair by what error and rounding explain; say what differs by more."""
    is_bound = pairs["is_bound"].to_numpy(np.bool_)
    error, degrees, rounding = (
        pairs[name].to_numpy(np.float64) for name in ("error", "degrees", "rounding")
    )
    quantiles = _quantiles(degrees / 2, (error > 0) & ~is_bound)
    allowed = np.where(is_bound, error, quantiles * error) + rounding
    difference = (pairs["value"] - pairs["other_value"]).abs().to_numpy(np.float64)
    ratio = np.divide(difference, allowed, out=np.zeros_like(difference), where=allowed > 0)
    failing = pairs[ratio > 1]
    others = failing[[f"other_{name}" for name in _STATED]].set_axis(_STATED, axis=1)
    detail = pd.Series(None, index=pairs.index, dtype=object)
    detail[ratio > 1] = [
        f"{one}, {other}"
        for one, other in zip(_statements(failing), _statements(others), strict=True)
    ]
    return pairs.assign(ratio=ratio, detail=detail)[_JUDGED]


def _quantiles(degrees: Array, is_tested: npt.NDArray[np.bool_]) -> Array:
    """Compute the limits [p] of |a - b|/σ: Student's at `FALSE_ALARMS` over the number tested, two-sided."""
    chance = FALSE_ALARMS / max(1, int(is_tested.sum()))
    distinct, place = np.unique(degrees, return_inverse=True)
    limits = [student_quantile(each, 1 - chance) for each in np.maximum(distinct, 1).tolist()]
    return np.array(limits)[place]


def _worst(found: pd.DataFrame) -> pd.DataFrame:
    ordered = found.sort_values("ratio", kind="stable")
    return ordered.drop_duplicates(_WORST, keep="last")


def _statements(rows: pd.DataFrame) -> list[str]:
    """Write what each row states: `traces 12.3 ± 0.1`."""
    columns = (rows[name].tolist() for name in ("statistic", "value", "stderr"))
    return [
        f"{name} {value:.6g}" + (f" ± {stderr:.2g}" if not np.isnan(stderr) else "")
        for name, value, stderr in zip(*columns, strict=True)
    ]
