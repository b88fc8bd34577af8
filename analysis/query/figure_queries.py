"""The SQL that gives the numbers of each figure of a report, with the names of its file of numbers.

What a query needs of a sweep is in its plan: the name, the revision, the order of the statistics, the settings
of forks. Means, errors and derived views are those of `minima aggregate`.
"""

from __future__ import annotations

from string import Template

from analysis.findings.spectral_density import NUM_POINTS, WIDTH_SHARE
from analysis.mathematics.soundness import LARGEST
from workers.contract.lacking import OUTCOMES_WITHOUT_MINIMUM
from workers.contract.plan_document import PlanDocument
from workers.statistics.fork import ForkSpec

_CELL = "loss, batch_size, learning_rate"

_LISTED = Template("listed(statistic_id, place, rank) AS (VALUES $values)")
"""Every identity under which a statistic of the plan may be recorded, the planned one before earlier ones."""

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
{_CELL}, learning_rate_used, bn_mode, sampler, measured_by, num_steps, target,
  prediction, predicted, predicted_stderr, measured, measured_stderr,
  log_ratio, log_ratio_low, log_ratio_high, verdict, valid"""

_FORKS = Template("""\
SELECT $columns
FROM predictions
WHERE sweep = $sweep AND target = 'excess_loss' AND measured IS NOT NULL AND num_steps IS NOT NULL
ORDER BY ALL""")

_PARITY = Template("""\
WITH ends AS (
  SELECT $columns
  FROM predictions
  WHERE sweep = $sweep AND measured IS NOT NULL
  QUALIFY coalesce(num_steps, 0) = max(coalesce(num_steps, 0)) OVER (
    PARTITION BY prediction, target, $cell, measured_by, bn_mode, sampler, learning_rate_used))
SELECT * FROM ends WHERE log_ratio IS NOT NULL ORDER BY ALL""")

_COVARIANCE = Template("""\
WITH $listed,
forks(place, rate, bn_mode, sampler, num_steps, steps) AS (VALUES $forks),
found AS (
  SELECT place, rank, t.loss, s.batch_size, s.learning_rate, s.trial_id, m."index" AS direction,
    t.final_learning_rate,
    arg_max(m.value, m.objective) FILTER (m.quantity = 'hessian_top_eigenvalue') AS eigenvalue,
    arg_max(m.value, m.objective) FILTER (m.quantity = 'direction_noise') AS noise,
    arg_max(m.value, m.objective) FILTER (m.quantity = 'direction_variance') AS variance
  FROM measurements m JOIN listed USING (statistic_id) JOIN forks USING (place)
    JOIN sweep_trials s USING (trial_id) JOIN trials t USING (trial_id)
  WHERE s.sweep = $sweep AND s.revision = $revision AND m.layer IS NULL
  GROUP BY place, rank, t.loss, s.batch_size, s.learning_rate, s.trial_id, m."index", t.final_learning_rate
  QUALIFY rank = min(rank) OVER (PARTITION BY place, s.trial_id)),
looked AS (
  SELECT found.*, bn_mode, sampler, num_steps, unnest(steps) AS step,
    coalesce(rate, final_learning_rate) AS learning_rate_used,
    dense_rank() OVER (PARTITION BY place, $cell ORDER BY trial_id) - 1 AS trial
  FROM found JOIN forks USING (place)
  WHERE eigenvalue IS NOT NULL AND variance IS NOT NULL)
SELECT $cell, learning_rate_used, bn_mode, sampler, num_steps, trial, direction,
  eigenvalue, learning_rate_used * eigenvalue AS scaled_rate, noise, variance,
  learning_rate_used / (2 * batch_size * (1 - $momentum)) AS variance_jastrzebski,
  $wang AS variance_wang
FROM looked
GROUP BY ALL ORDER BY ALL""")

_INDEPENDENT = """\
avg(noise * learning_rate_used / (batch_size * eigenvalue * (2 - learning_rate_used * eigenvalue))
    * (1 - (1 - learning_rate_used * eigenvalue) ** (2 * step)))"""
_BY_RECURSION = "NULL /* with momentum or shuffled batches by a recursion: see the CSV */"

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
  $densities
FROM grid JOIN nodes USING ($cell)
GROUP BY ALL ORDER BY ALL""")


def curves_query(plan: PlanDocument) -> str:
    """Return the query of the learning curves: means over the seeds that have a minimum, by epoch."""
    columns = ("train_accuracy", "validation_accuracy", "train_loss", "validation_loss")
    means = [f"avg(e.{name}) AS {name}" for name in columns]
    means += [f"stddev_samp(e.{name}) / sqrt(count(e.{name})) AS {name}_stderr" for name in columns]
    lost = ", ".join(map(_quoted, sorted(OUTCOMES_WITHOUT_MINIMUM)))
    return _CURVES.substitute(_of(plan), means=",\n  ".join(means), lost=lost)


def traces_query(plan: PlanDocument) -> str:
    """Return the query of both traces and of their ratio, whose error is paired by seed."""
    return _TRACES.substitute(_of(plan), pairs=_pairs(plan), ratio=_RATIO)


def layers_query(plan: PlanDocument) -> str:
    """Return the query of both traces by layer."""
    return _LAYERS.substitute(_of(plan))


def forks_query(plan: PlanDocument) -> str:
    """Return the query of every law beside every window of forks."""
    return _FORKS.substitute(_of(plan), columns=_LAW_COLUMNS)


def parity_query(plan: PlanDocument) -> str:
    """Return the query of every law beside the end of every excursion."""
    return _PARITY.substitute(_of(plan), columns=_LAW_COLUMNS)


def covariance_query(plan: PlanDocument) -> str:
    """Return the query of the variance along every direction and of what the laws say of it.

    Wang's is closed where batches are independent and there is no momentum; else it is NULL.
    """
    specs = enumerate(item.statistic for item in plan.statistics)
    forks = [(place, spec) for place, spec in specs if isinstance(spec, ForkSpec)]
    momentum = plan.trials[0].trial.training.momentum
    is_closed = not momentum and all(spec.sampler == "replacement" for _, spec in forks)
    values = (
        f"({place}, {'NULL' if spec.learning_rate is None else spec.learning_rate}::DOUBLE, "
        f"{_quoted(spec.bn_mode)}, {_quoted(spec.sampler)}, {spec.num_steps}, {list(spec.windows()[-1])})"
        for place, spec in forks
    )
    wang = _INDEPENDENT if is_closed else _BY_RECURSION
    return _COVARIANCE.substitute(_of(plan), forks=", ".join(values), momentum=momentum, wang=wang)


def maps_query(plan: PlanDocument) -> str:
    """Return the query of the maps over the grid, a row for each planned cell."""
    momentum = plan.trials[0].trial.training.momentum
    traces = ("gradient_noise_trace", "hessian_trace")
    step = f"any_value(final_learning_rate) / (1 + {momentum})"
    return _MAPS.substitute(
        _of(plan),
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
    """Return the query of the broadened spectra of at most so many cells, evenly in the order of BS/LR."""
    kernel = "exp(-0.5 * ((eigenvalue - node) / width) ** 2) / (width * sqrt(2 * pi()))"
    densities = (
        f"sum(weight * {kernel}) FILTER (kind = '{kind}')\n"
        f"    / sum(weight) FILTER (kind = '{kind}') AS {kind}_density"
        for kind in ("hessian", "noise")
    )
    return _SPECTRA.substitute(
        _of(plan), share=WIDTH_SHARE, points=NUM_POINTS, gaps=NUM_POINTS - 1, most=most_cells,
        most_gaps=f"{most_cells - 1}.0", densities=",\n  ".join(densities),
    )  # fmt: skip


def _of(plan: PlanDocument) -> dict[str, str]:
    """Return what all queries say of a sweep, as SQL."""
    listed = (
        f"({_quoted(identity)}, {place}, {rank})"
        for place, item in enumerate(plan.statistics)
        for rank, identity in enumerate(item.accepted_ids)
    )
    return {
        "cell": _CELL,
        "sweep": _quoted(plan.sweep),
        "revision": _quoted(plan.revision),
        "listed": _LISTED.substitute(values=", ".join(listed)),
        "statistics": ", ".join(_quoted(item.statistic_id) for item in plan.statistics),
    }


def _pairs(plan: PlanDocument) -> str:
    return _PAIRS.substitute(_of(plan), largest=repr(LARGEST))


def _leading(quantity: str, name: str, factor: str) -> str:
    """Return mean and error of a quantity's leading variant, times a factor, as two columns."""
    return ",\n  ".join(
        f"{factor} * any_value({part}) FILTER (quantity = '{quantity}') AS {name}_{part}"
        for part in ("mean", "stderr")
    )


def _quoted(text: str) -> str:
    """Return a name of a plan as SQL has it; none of them may hold a quote."""
    return f"'{text}'"
