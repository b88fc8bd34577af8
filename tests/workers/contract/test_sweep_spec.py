"""What a trial holds while it runs, as a sweep writes it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from workers.contract.records import EpochRecord
from workers.contract.specs import TrainingSpec
from workers.contract.sweep_spec import ResourcesSpec, SweepSpec
from workers.training.convergence import Ending, ending


@pytest.mark.parametrize(
    ("written", "num_bytes"),
    [
        (0, 0),
        (2**32, 2**32),
        ("4GiB", 2**32),
        ("4 GiB", 2**32),
        ("1.5GiB", 3 * 2**29),
        ("500MB", 500 * 10**6),
        ("500M", 500 * 10**6),
        ("64Ki", 2**16),
        ("2TB", 2 * 10**12),
        ("1024", 1024),
        ("7B", 7),
    ],
)
def test_memory_is_a_size(written, num_bytes):
    """In bytes; units of 1000 and of 1024."""
    assert ResourcesSpec.model_validate({"memory": written}).memory == num_bytes


@pytest.mark.parametrize("written", [-1, 1.5, True, "4 gigs", "4gib", "", "GiB", "1e9", "9999TiB"])
def test_what_is_no_size_is_told(written):
    """With examples of what is one."""
    with pytest.raises(ValidationError, match="give a size such as 4GiB or 500MB") as error:
        ResourcesSpec.model_validate({"memory": written})
    assert f"memory is {written}" in str(error.value)


def test_a_kind_of_accelerator_needs_gpus():
    """Else nobody would use it."""
    kept = ResourcesSpec.model_validate({"gpus": 1, "accelerator": "H100"})
    assert kept.accelerator == "H100"
    with pytest.raises(ValidationError, match=r"give gpus: 1, or leave accelerator out"):
        ResourcesSpec.model_validate({"accelerator": "H100"})


def _sweep(**changes):
    document = {
        "name": "toy",
        "model": {"name": "mlp"},
        "dataset": {"name": "digits"},
        "loss": "kld",
        "grid": {"batch_size": [32], "learning_rate": [0.1]},
        "seeds": 3,
        "training": {"epochs": 1},
    }
    return SweepSpec.model_validate(document | changes)


@pytest.mark.parametrize("seeds", [3, [5, 6, 7]])
def test_a_statistic_is_of_no_more_seeds_than_there_are(seeds):
    """Of all it may be."""
    assert _sweep(seeds=seeds, measure=[{"name": "fork", "seeds": 3}]).measure[0].seeds == 3
    told = "fork is to be measured for 4 seeds, and a cell has 3; give measure a number of seeds of at most 3"
    with pytest.raises(ValidationError, match=told):
        _sweep(seeds=seeds, measure=["losses", {"name": "fork", "seeds": 4}])


def test_a_statistic_is_asked_for_once_for_however_many_seeds():
    """It would be one record."""
    with pytest.raises(ValidationError, match="give each once"):
        _sweep(measure=["traces", {"name": "traces", "seeds": 2}])


def _stopping(patience_epochs, milestones):
    rule = {"stop": True, "patience_epochs": patience_epochs}
    return {"epochs": 20, "milestones": milestones, "convergence": rule}


def test_a_sweep_whose_trials_may_stop_before_the_last_milestone_is_refused():
    """Its final learning rate would be one that some of them never trained at."""
    with pytest.raises(ValidationError) as error:
        _sweep(training=_stopping(3, [2, 4]))
    assert (
        "convergence.stop may end a trial after 4 epochs, before the last milestone, 4, so that trials of a "
        "cell end at different learning rates"
    ) in str(error.value)
    assert (
        "leave stop out, end milestones at epoch 3, or give convergence.patience_epochs: 4"
        in str(error.value)
    )


def _epochs_without_progress(num_epochs):
    return [
        EpochRecord(
            trial_id="",
            epoch=epoch,
            learning_rate=0.1,
            train_loss=1.0,
            train_accuracy=None,
            validation_loss=1.0,
            validation_accuracy=None,
            seconds=0.0,
        )
        for epoch in range(num_epochs)
    ]


@pytest.mark.parametrize("milestones", [[], [3]])
def test_a_sweep_whose_trials_all_reach_the_last_rate_may_stop(milestones):
    """The rule cannot hold before epoch 3, counted from 0, which has the last rate."""
    training = _sweep(training=_stopping(3, milestones)).training
    ends = [
        ending(
            _epochs_without_progress(num_epochs),
            training.convergence,
            num_epochs=20,
            initial_loss=1.0,
            weights_are_finite=True,
        )
        for num_epochs in (3, 4)
    ]
    assert ends == [None, Ending("converged", 3)]
    assert training.learning_rate_at(3, 1.0) == training.learning_rate_at(19, 1.0)


def test_a_plan_of_an_earlier_version_that_may_stop_early_is_still_read():
    """Of what is kept nothing is refused."""
    assert TrainingSpec.model_validate(_stopping(3, [2, 4])).milestones == [2, 4]
