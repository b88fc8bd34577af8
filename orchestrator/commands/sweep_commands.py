"""The commands that plan a sweep: run, plan, trial, verify; between arguments and exit code."""

from __future__ import annotations

import random
from dataclasses import asdict, replace
from datetime import UTC, datetime

from pydantic import JsonValue

from orchestrator.commands.store_commands import report_disagreements
from orchestrator.driver.environment import make_driver
from orchestrator.machine.console import Output, terminal_width
from orchestrator.machine.memory import collecting_as_usual
from orchestrator.monitor.plan_report import data_line
from orchestrator.monitor.run_pace import RunPace, run_line, run_pace
from orchestrator.monitor.status import open_failures, status_document, sweep_status
from orchestrator.monitor.tables import failure_table, status_table
from orchestrator.planning.fit import this_machine
from orchestrator.planning.plan import is_superseded, keep_published, publish_plan
from orchestrator.planning.prepare import Options, Prepared, prepare, refuse_misfit
from orchestrator.planning.store_state import StoreReader, StoreState, standing_records
from orchestrator.running.compaction import compact_if_many
from orchestrator.running.foreground import TrialChoice, choose_trial, run_here, trial_text
from orchestrator.running.network_check import refuse_network
from orchestrator.running.run import run as run_missing
from orchestrator.running.verification import verify as compare_again
from orchestrator.slots.task import Status
from workers.contract.errors import user_error
from workers.contract.plan_document import PlanDocument
from workers.contract.store import Store

PREPARING = "reading the sweep, its data (downloaded once where they are not here) and the store"

_EXIT_CODES: dict[Status, int] = {
    "done": 0,
    "elsewhere": 3,
    "larger_share": 1,
    "failed": 1,
    "drained": 3,
}

_RESUMES = "not finished: the same command resumes"

_ON_SUCH_A_MACHINE = "verify on a machine like theirs, with the same installation and resources"

_SUPERSEDED = (
    "{sweep} was planned anew meanwhile: what follows is of this run's plan; the newer one stays the "
    "sweep's, and `minima aggregate` averages by it"
)

_CURES: dict[Status, str] = {
    "elsewhere": "another run is at this trial: let it finish, or stop it with `minima stop`",
    "larger_share": "the share of a GPU was too small: give more with --set resources.gpus=1",
    "failed": "`minima status` tells why",
}


def run(sweep: str, options: Options, output: Output) -> int:
    """Train and measure what is missing, aggregate, print Table 1."""
    with output.step(PREPARING):
        prepared = prepare(sweep, options)
    note_earlier(prepared, output)
    exit_code, pace, published = 0, None, None
    if prepared.open_work:
        if options.address is None:
            refuse_misfit(prepared, [this_machine()])
        refuse_network(prepared, prepared.open_work, options)
        _announce(prepared, output)
        place = "this machine" if options.address is None else f"the cluster at {options.address}"
        output.note(f"starting on {place}")
        began = datetime.now(UTC)
        with collecting_as_usual():
            result = run_missing(prepared, options, output.notes, make_driver)
        pace = run_pace(prepared, prepared.records.look(), began, datetime.now(UTC))
        exit_code, published = result.exit_code, result.plan
        if result.cluster_lost:
            output.note(f"the cluster is lost: {result.cluster_lost}")
    plan = _standing_plan(prepared, published)
    if options.is_compacting and exit_code != _EXIT_CODES["drained"]:  # who asked it to stop waits
        # before the records are averaged, as merged ones are read in a tenth of the time
        told = compact_if_many(prepared.store, options.num_loose_files, output.step)
        if told:
            output.note(told)
    return conclude(prepared.store, plan, output, exit_code, pace=pace, records=prepared.records)


def conclude(
    store: Store,
    plan: PlanDocument,
    output: Output,
    exit_code: int,
    *,
    pace: RunPace | None = None,
    records: StoreReader | None = None,
) -> int:
    """Aggregate unless it is done; print Table 1, the verdicts on the laws, the state, the failures, the run's pace.

    What was planned anew meanwhile is another run's to average: then this plan's averages are printed alone.
    """
    from analysis.aggregation.aggregate import conclude_anew, conclusion_of
    from analysis.aggregation.conclusion import kept_conclusion
    from analysis.records.load import load_records
    from analysis.tables.table1_text import render_text
    from analysis.tables.verdict_text import conclusion_text, verdict_text

    records = records or StoreReader(store)
    found = kept_conclusion(store, plan, standing_records(store, records, plan))
    if found is None:
        with output.step(f"averaging {plan.sweep} over seeds and making its predictions"):
            data = load_records(store, plan)
            is_old = is_superseded(store, plan)
            found = conclusion_of(data) if is_old else conclude_anew(store, data)
        if is_old:
            output.note(_SUPERSEDED.format(sweep=plan.sweep))
    output.show(render_text(found.table, terminal_width()))
    if verdicts := verdict_text(found.predictions, terminal_width()):
        output.show(verdicts)
    disagreements = report_disagreements(found.validity, output)
    state = sweep_status(store, plan, datetime.now(UTC), records)
    output.show(status_table(state))
    failures = open_failures(store, plan, state)
    if failures:
        output.show(failure_table(failures))
    output.document(
        status_document(state)
        | {
            "failures": list[JsonValue](failures),
            "disagreements": disagreements,
            "run": None if pace is None else asdict(pace),
            "exit_code": exit_code,
        }
    )
    if pace is not None:
        output.show(run_line(pace))
    if exit_code == 3:
        output.note(_RESUMES)
    output.show(
        conclusion_text(
            found.table, found.lacking, found.num_excess_seeds, found.predictions, terminal_width()
        )
    )
    return exit_code


def trial(sweep: str, choice: TrialChoice, options: Options, output: Output) -> int:
    """Do one trial in the foreground; one chosen by its place ends without averaging."""
    prepared = prepare(sweep, options)
    chosen = choose_trial(prepared, choice)
    planned, exit_code, published = chosen.planned, 0, None
    status: Status = "done"
    if chosen.is_done:
        output.note(f"trial {planned.trial_id} is done already")
    else:
        refuse_misfit(replace(prepared, missing=[chosen]), [this_machine()])
        refuse_network(prepared, [chosen], options)
        done = run_here(prepared, chosen, options)
        status, published = done.result.status, done.plan
        exit_code = _EXIT_CODES[status]
        if status in _CURES:
            output.note(_CURES[status])
    plan = _standing_plan(prepared, published)
    if choice.index is None:
        return conclude(prepared.store, plan, output, exit_code, records=prepared.records)
    if exit_code == 3:
        output.note(_RESUMES)
    told = trial_text(planned.trial.batch_size, planned.trial.learning_rate, planned.trial.seed)
    output.show(f"trial {planned.trial_id} ({told}): {status.replace('_', ' ')}")
    output.document({"trial_id": planned.trial_id, "status": status, "exit_code": exit_code})
    return exit_code


def verify(sweep: str, sample: int, options: Options, output: Output) -> int:
    """Compare a sample of done trials with a second training, bit by bit.

    Raises:
        UserError: No trial is done, or none under an environment like this machine's, or it cannot hold one.
    """
    with output.step(PREPARING):
        prepared = prepare(sweep, options)
    done = [item for item in prepared.missing if item.is_done]
    if not done:
        raise user_error(
            f"no trial of {prepared.plan.sweep} is done",
            where="--store",
            mend="run the sweep first",
        )
    drawn = random.Random(prepared.plan.revision).sample(done, len(done))  # noqa: S311  # a sample, not a secret
    refuse_misfit(prepared, [this_machine()], _ON_SUCH_A_MACHINE)
    refuse_network(prepared, drawn, options)
    trials = f"{min(sample, len(done))} done trial{'s' if min(sample, len(done)) > 1 else ''}"
    with output.step(f"training and measuring {trials} again"):
        result = compare_again(prepared, drawn, sample, options)
    for difference in result.differences:
        output.show(str(difference))
    if result.elsewhere:
        output.show(elsewhere_line(prepared.state, result.elsewhere))
    if result.not_compared:
        output.show(
            f"not compared, as an earlier version of the numerics measured it: "
            f"{', '.join(result.not_compared)}"
        )
    if result.compared:
        number = len(result.differences)
        equal = f"{number} values differ" if number else "all values equal"
        output.show(
            f"{len(result.compared)} of {len(done)} done trials trained and measured again: {equal}"
        )
    output.document(
        {
            "verified": list[JsonValue](result.compared),
            "differences": [
                {k: str(v) for k, v in asdict(item).items()} for item in result.differences
            ],
            "not_comparable_here": list[JsonValue](result.elsewhere),
            "not_compared": list[JsonValue](result.not_compared),
            "environment_id": result.environment_id,
        }
    )
    if not result.compared:
        raise user_error(
            f"none of the {len(done)} done trials was recorded under this machine's environment",
            where="--store",
            mend=_ON_SUCH_A_MACHINE,
        )
    return 1 if result.differences else 0


def note_earlier(prepared: Prepared, output: Output) -> None:
    """Note what only an earlier numerics version measured, and how to measure it again."""
    trials = [item for item in prepared.missing if item.earlier]
    if not trials:
        return
    names = ", ".join(dict.fromkeys(name for item in trials for name in item.earlier))
    output.note(
        f"{names} of {len(trials)} trials were measured by an earlier version of the numerics: the "
        f"values count, and no law is valid on them; --remeasure measures them anew"
    )


def elsewhere_line(state: StoreState, trial_ids: list[str]) -> str:
    """Describe the trials whose bits cannot be expected here, and where they were trained."""
    places = sorted(
        {f"{state.trials[name].device} on {state.trials[name].host}" for name in trial_ids}
    )
    return (
        f"{len(trial_ids)} not comparable here: recorded under another environment "
        f"({', '.join(places[:3])}{', …' if len(places) > 3 else ''})"
    )


def _standing_plan(prepared: Prepared, published: PlanDocument | None) -> PlanDocument:
    """Return the plan as it is in the store, where it is written anew if damaged since it was published."""
    if published is None:
        return publish_plan(prepared.store, prepared.plan)
    return keep_published(prepared.store, published)


def _announce(prepared: Prepared, output: Output) -> None:
    work = prepared.open_work
    num_training = sum(1 for item in work if not item.is_trained)
    num_done = len(prepared.missing) - len(work)
    output.note(
        f"{prepared.plan.sweep}: {num_done} trials done, {num_training} to train, "
        f"{len(work) - num_training} to measure only; store {prepared.store.uri}"
    )
    output.note(data_line(prepared))
