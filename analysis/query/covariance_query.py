"""The SQL of the figure of the covariance: the variance of SGD along every direction, and what two laws say of it."""

from __future__ import annotations

from string import Template

from analysis.query.plan_terms import plan_terms, quoted
from workers.contract.plan_document import PlanDocument
from workers.contract.student import student_quantile
from workers.statistics.fork import ForkSpec

_COVARIANCE = Template("""\
WITH $listed,
forks(place, rate, bn_mode, sampler, num_steps, steps, quantile) AS (VALUES $forks),
found AS (
  SELECT place, rank, t.loss, s.batch_size, s.learning_rate, s.trial_id, m."index" AS direction,
    t.final_learning_rate,
    arg_max(m.value, m.objective) FILTER (m.quantity = 'hessian_top_eigenvalue') AS eigenvalue,
    arg_max(m.value, m.objective) FILTER (m.quantity = 'direction_noise') AS noise,
    arg_max(m.value, m.objective) FILTER (m.quantity = 'direction_variance') AS variance,
    arg_max(m.stderr, m.objective) FILTER (m.quantity = 'direction_noise') AS noise_stderr,
    arg_max(m.stderr, m.objective) FILTER (m.quantity = 'direction_variance') AS variance_stderr
  FROM measurements m JOIN listed USING (statistic_id) JOIN forks USING (place)
    JOIN sweep_trials s USING (trial_id) JOIN trials t USING (trial_id)
  WHERE s.sweep = $sweep AND s.revision = $revision AND m.layer IS NULL
  GROUP BY place, rank, t.loss, s.batch_size, s.learning_rate, s.trial_id, m."index", t.final_learning_rate
  QUALIFY rank = min(rank) OVER (PARTITION BY place, s.trial_id)),
looked AS (
  SELECT found.*, bn_mode, sampler, num_steps, quantile, unnest(steps) AS step,
    coalesce(rate, final_learning_rate) AS learning_rate_used,
    dense_rank() OVER (PARTITION BY place, $cell ORDER BY trial_id) - 1 AS trial
  FROM found JOIN forks USING (place)
  WHERE eigenvalue IS NOT NULL AND variance IS NOT NULL),
said AS (
  SELECT $cell, learning_rate_used, bn_mode, sampler, num_steps, quantile, trial, direction,
    eigenvalue, learning_rate_used * eigenvalue AS scaled_rate, noise, variance, noise_stderr, variance_stderr,
    learning_rate_used / (2 * batch_size * (1 - $momentum)) AS variance_jastrzebski,
    $wang AS variance_wang
  FROM looked GROUP BY ALL)
SELECT * EXCLUDE (quantile, noise_stderr, variance_stderr),
  $ratios
FROM said ORDER BY ALL""")

_RATIO = Template("""\
CASE WHEN variance > 0 AND variance_$law > 0 THEN ln(variance / variance_$law) END AS log_ratio_$law,
  log_ratio_$law - quantile * $error AS log_ratio_${law}_low,
  log_ratio_$law + quantile * $error AS log_ratio_${law}_high""")
_ERRORS = {
    "jastrzebski": "variance_stderr / variance",
    "wang": "sqrt((variance_stderr / variance) ** 2 + (noise_stderr / noise) ** 2)",
}
"""Of ln(measured/predicted), to first order: Wang's prediction has the error of c too."""

_INDEPENDENT = """\
avg(noise * learning_rate_used / (batch_size * eigenvalue * (2 - learning_rate_used * eigenvalue))
    * (1 - (1 - learning_rate_used * eigenvalue) ** (2 * step)))"""
_BY_RECURSION = "NULL /* with momentum or shuffled batches by a recursion: see the CSV */"


def covariance_query(plan: PlanDocument) -> str:
    """Return the query of the variance along every direction and of what the laws say of it.

    Wang's is closed where batches are independent and there is no momentum; else it is NULL. Intervals of the
    log ratios have Student's quantile for the streams of the fork.
    """
    specs = enumerate(item.statistic for item in plan.statistics)
    forks = [(place, spec) for place, spec in specs if isinstance(spec, ForkSpec)]
    momentum = plan.trials[0].trial.training.momentum
    is_closed = not momentum and all(spec.sampler == "replacement" for _, spec in forks)
    values = (
        f"({place}, {'NULL' if spec.learning_rate is None else spec.learning_rate}::DOUBLE, "
        f"{quoted(spec.bn_mode)}, {quoted(spec.sampler)}, {spec.num_steps}, {list(spec.windows()[-1])}, "
        f"{student_quantile(spec.num_streams - 1)!r})"
        for place, spec in forks
    )
    wang = _INDEPENDENT if is_closed else _BY_RECURSION
    ratios = (_RATIO.substitute(law=law, error=error) for law, error in _ERRORS.items())
    return _COVARIANCE.substitute(
        plan_terms(plan),
        forks=", ".join(values),
        momentum=momentum,
        wang=wang,
        ratios=",\n  ".join(ratios),
    )
