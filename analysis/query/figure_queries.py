"""The SQL that gives the numbers of each figure of a report, with the names of its file of numbers.

What a query needs of a sweep is in its plan: the name, the revision, the order of the statistics. Means, errors
and derived views are those of `minima aggregate`.
"""

from __future__ import annotations

from string import Template

from analysis.findings.spectral_density import MEDIAN_COLUMNS, NUM_POINTS, ROUNDING, WIDTH_SHARE
from analysis.mathematics.soundness import LARGEST
from analysis.predictions import laws
from analysis.query.plan_terms import CELL, plan_terms, quoted
from workers.contract.lacking import OUTCOMES_WITHOUT_MINIMUM
from workers.contract.plan_document import PlanDocument

_CURVES = Template("""\
SELECT t.loss, s.batch_size, s.learning_rate, e.epoch + 1 AS epoch,
  $means
FROM epochs e JOIN sweep_trials s USING (trial_id) JOIN trials t USING (trial_id)
WHERE s.sweep = $sweep AND s.revision = $revision AND t.outcome NOT IN ($lost)
GROUP BY ALL ORDER BY ALL""")

_PAIRS = Template("""\
$listed,
found AS (
  SELECT t.loss, s.batch_size, s.learning_rate, s.seed, m.quantity, place, arg_min(m.value, rank) AS value
  FROM measurements m JOIN listed USING (statistic_id)
    JOIN sweep_trials s USING (trial_id) JOIN trials t USING (trial_id)
  WHERE s.sweep = $sweep AND s.revision = $revision
    AND m.quantity IN ('gradient_noise_trace', 'hessian_trace') AND abs(m.value) <= $largest
    AND m.layer IS NULL AND m."index" IS NULL
    AND m.bn_mode = 'frozen' AND m.split = 'train' AND m.objective = 'data'
  GROUP BY t.loss, s.batch_size, s.learning_rate, s.seed, m.quantity, place
  QUALIFY place = min(place) OVER (PARTITION BY t.loss, s.batch_size, s.learning_rate, m.quantity)),
seeds AS (
  SELECT $cell, seed,
    any_value(value) FILTER (quantity = 'gradient_noise_trace') AS noise,
    any_value(value) FILTER (quantity = 'hessian_trace') AS curvature
  FROM found GROUP BY ALL),
ratios AS (
  SELECT $cell, avg(noise) / avg(curvature) AS ratio
  FROM seeds WHERE noise IS NOT NULL AND curvature IS NOT NULL GROUP BY ALL)""")
"""The traces of every seed, and of every cell the ratio of means over the seeds that have both."""

_RATIO = """\
any_value(ratio) AS trace_ratio_mean,
  stddev_samp(noise - ratio * curvature) / sqrt(count(noise + curvature))
    / abs(avg(curvature) FILTER (noise IS NOT NULL)) AS trace_ratio_stderr"""

_TRACES = Template("""\
WITH $pairs
SELECT $cell, count(noise + curvature) AS num_seeds,
  avg(noise) AS gradient_noise_trace_mean,
  stddev_samp(noise) / sqrt(count(noise)) AS gradient_noise_trace_stderr,
  avg(curvature) AS hessian_trace_mean,
  stddev_samp(curvature) / sqrt(count(curvature)) AS hessian_trace_stderr,
  $ratio
FROM seeds LEFT JOIN ratios USING ($cell)
GROUP BY ALL ORDER BY ALL""")

_LAYERS = Template("""\
WITH found AS (
  SELECT $cell, quantity, layer, mean FROM cell_measurements
  WHERE sweep = $sweep AND quantity IN ('gradient_noise_trace', 'hessian_trace')
    AND layer IS NOT NULL AND mean IS NOT NULL
    AND bn_mode = 'frozen' AND split = 'train' AND objective = 'data'
  QUALIFY list_position([$statistics], statistic_id)
    = min(list_position([$statistics], statistic_id)) OVER (PARTITION BY $cell, quantity))
SELECT $cell, layer,
  any_value(mean) FILTER (quantity = 'gradient_noise_trace') AS gradient_noise_trace_mean,
  any_value(mean) FILTER (quantity = 'hessian_trace') AS hessian_trace_mean
FROM found GROUP BY ALL ORDER BY ALL""")

_LAW_COLUMNS = f"""\
{CELL}, learning_rate_used, bn_mode, sampler, measured_by, num_steps, target,
  prediction, predicted, predicted_stderr, measured, measured_stderr,
  log_ratio, log_ratio_low, log_ratio_high, verdict, valid"""

_FORKS = Template("""\
SELECT $columns
FROM predictions
WHERE sweep = $sweep AND target = 'excess_loss' AND measured IS NOT NULL AND num_steps IS NOT NULL
ORDER BY ALL""")

_PARITY = Template("""\
WITH counted AS (
  SELECT $columns
  FROM predictions
  WHERE sweep = $sweep AND measured IS NOT NULL
  QUALIFY prediction IN ($timed) OR coalesce(num_steps, 0) = max(coalesce(num_steps, 0)) OVER (
    PARTITION BY prediction, target, $cell, measured_by, bn_mode, sampler, learning_rate_used))
SELECT * FROM counted WHERE log_ratio IS NOT NULL ORDER BY ALL""")

_MAPS = Template("""\
WITH $pairs,
variants AS (
  SELECT *, CASE WHEN quantity = 'hessian_top_eigenvalue' THEN 'total' ELSE 'data' END AS wanted,
    CASE WHEN quantity = 'accuracy' THEN 'test' ELSE 'train' END AS side
  FROM cell_measurements
  WHERE sweep = $sweep AND layer IS NULL AND mean IS NOT NULL AND quantity IN (
    'gradient_noise_trace', 'hessian_trace', 'hessian_top_eigenvalue', 'accuracy')),
chosen AS (
  SELECT * FROM variants WHERE quantity <> 'accuracy' OR split = 'test'
  QUALIFY 1 = rank() OVER (PARTITION BY quantity ORDER BY split <> side, objective <> wanted,
    list_position(['frozen', 'moving_average', 'batch'], bn_mode),
    list_position([$statistics], statistic_id), coalesce("index", -1), method)),
rates AS (
  SELECT t.loss, s.batch_size, s.learning_rate, any_value(t.final_learning_rate) AS final_learning_rate
  FROM sweep_trials s JOIN trials t USING (trial_id)
  WHERE s.sweep = $sweep AND s.revision = $revision GROUP BY ALL),
paired AS (
  SELECT $cell, $ratio
  FROM seeds JOIN ratios USING ($cell) GROUP BY ALL)
SELECT $cell, num_diverged, num_missing,
  $traces,
  any_value(trace_ratio_mean) AS trace_ratio_mean,
  any_value(trace_ratio_stderr) AS trace_ratio_stderr,
  $others
FROM cells LEFT JOIN chosen USING (sweep, $cell) LEFT JOIN rates USING ($cell) LEFT JOIN paired USING ($cell)
WHERE sweep = $sweep
GROUP BY ALL ORDER BY ALL""")

_SPECTRA = Template("""\
WITH $listed,
nodes AS (
  SELECT t.loss, s.batch_size, s.learning_rate, p.kind, p.node, p.weight
  FROM spectra p JOIN listed USING (statistic_id) JOIN sweep_trials s USING (trial_id) JOIN trials t USING (trial_id)
  WHERE s.sweep = $sweep AND s.revision = $revision
  QUALIFY place = min(place) OVER () AND rank = min(rank) OVER (PARTITION BY s.trial_id, place)),
summed AS (
  SELECT *, sum(weight) OVER (PARTITION BY $cell ORDER BY node DESC) / sum(weight) OVER (PARTITION BY $cell) AS reached
  FROM nodes WHERE kind = 'noise'),
cuts AS (
  SELECT $cell, max(node) AS cut FROM summed WHERE reached >= 0.5 * (1 - $rounding) GROUP BY $cell),
medians AS (
  SELECT $cell, cut AS noise_median_eigenvalue,
    sum(weight) FILTER (kind = 'noise' AND node >= cut) / sum(weight) FILTER (kind = 'noise') AS noise_share,
    coalesce(sum(weight) FILTER (kind = 'hessian' AND node >= cut), 0)
      / sum(weight) FILTER (kind = 'hessian') AS direction_share,
    CASE WHEN sum(weight * node) FILTER (kind = 'hessian') > 0
      THEN coalesce(sum(weight * node) FILTER (kind = 'hessian' AND node >= cut), 0)
        / sum(weight * node) FILTER (kind = 'hessian') END AS hessian_trace_share
  FROM nodes JOIN cuts USING ($cell) GROUP BY ALL),
ends AS (
  SELECT $cell, min(node) AS low, max(node) AS high,
    coalesce(nullif(high - low, 0), nullif(abs(high), 0), 1) * $share AS width,
    row_number() OVER (ORDER BY batch_size / learning_rate, $cell) - 1 AS place,
    count(*) OVER () - 1 AS last
  FROM nodes GROUP BY $cell),
grid AS (
  SELECT *, low - 4 * width + (high - low + 8 * width) * point / $gaps AS eigenvalue
  FROM ends, range($points) AS points(point)
  WHERE last < $most
    OR place IN (SELECT round_even(panel * last / $most_gaps, 0) FROM range($most) AS panels(panel)))
SELECT $cell, eigenvalue,
  $densities,
  $medians
FROM grid JOIN nodes USING ($cell) LEFT JOIN medians USING ($cell)
GROUP BY ALL ORDER BY ALL""")


def curves_query(plan: PlanDocument) -> str:
    """Return the query of the learning curves: means over the seeds that have a minimum, by epoch."""
    columns = ("train_accuracy", "validation_accuracy", "train_loss", "validation_loss")
    means = [f"avg(e.{name}) AS {name}" for name in columns]
    means += [f"stddev_samp(e.{name}) / sqrt(count(e.{name})) AS {name}_stderr" for name in columns]
    lost = ", ".join(map(quoted, sorted(OUTCOMES_WITHOUT_MINIMUM)))
    return _CURVES.substitute(plan_terms(plan), means=",\n  ".join(means), lost=lost)


def traces_query(plan: PlanDocument) -> str:
    """Return the query of both traces and of their ratio, whose error is paired by seed."""
    return _TRACES.substitute(plan_terms(plan), pairs=_pairs(plan), ratio=_RATIO)


def layers_query(plan: PlanDocument) -> str:
    """Return the query of both traces by layer."""
    return _LAYERS.substitute(plan_terms(plan))


def forks_query(plan: PlanDocument) -> str:
    """Return the query of every law beside every window of forks."""
    return _FORKS.substitute(plan_terms(plan), columns=_LAW_COLUMNS)


def parity_query(plan: PlanDocument) -> str:
    """Return the query of every law beside what was measured where it speaks."""
    timed = ", ".join(quoted(law.name) for law in laws().values() if law.windows == "every")
    return _PARITY.substitute(plan_terms(plan), columns=_LAW_COLUMNS, timed=timed)


def maps_query(plan: PlanDocument) -> str:
    """Return the query of the maps over the grid, a row for each planned cell."""
    momentum = plan.trials[0].trial.training.momentum
    traces = ("gradient_noise_trace", "hessian_trace")
    step = f"any_value(final_learning_rate) / (1 + {momentum})"
    return _MAPS.substitute(
        plan_terms(plan),
        pairs=_pairs(plan),
        ratio=_RATIO,
        traces=",\n  ".join(_leading(name, name, "1") for name in traces),
        others=",\n  ".join(
            (
                _leading("hessian_top_eigenvalue", "step_size", step),
                _leading("accuracy", "test_accuracy_percent", "100"),
            )
        ),
    )


def spectra_query(plan: PlanDocument, most_cells: int) -> str:
    """Return the query of the broadened spectra of at most so many cells, evenly in the order of BS/LR.

    Beside each curve stands what the figure writes: the noise-weighted median λ, and the shares at it or above.
    """
    kernel = "exp(-0.5 * ((eigenvalue - node) / width) ** 2) / (width * sqrt(2 * pi()))"
    densities = (
        f"sum(weight * {kernel}) FILTER (kind = '{kind}')\n"
        f"    / sum(weight) FILTER (kind = '{kind}') AS {kind}_density"
        for kind in ("hessian", "noise")
    )
    return _SPECTRA.substitute(
        plan_terms(plan), share=WIDTH_SHARE, points=NUM_POINTS, gaps=NUM_POINTS - 1, most=most_cells,
        most_gaps=f"{most_cells - 1}.0", densities=",\n  ".join(densities), rounding=ROUNDING,
        medians=",\n  ".join(f"any_value({name}) AS {name}" for name in MEDIAN_COLUMNS),
    )  # fmt: skip


def _pairs(plan: PlanDocument) -> str:
    return _PAIRS.substitute(plan_terms(plan), largest=repr(LARGEST))


def _leading(quantity: str, name: str, factor: str) -> str:
    """Return mean and error of a quantity's leading variant, times a factor, as two columns."""
    return ",\n  ".join(
        f"{factor} * any_value({part}) FILTER (quantity = '{quantity}') AS {name}_{part}"
        for part in ("mean", "stderr")
    )
