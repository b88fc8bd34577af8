from __future__ import annotations

from dataclasses import replace

from analysis.figures.learning_curves import learning_curves
from analysis.records.load import load_sweep


def test_what_no_seed_has_a_value_of_has_no_panel(store, synthetic_sweep):
    """Four panels; three without validation accuracies; no figure where every loss is no number."""
    synthetic_sweep(pairs=[(100, 0.1)], seeds=[0]).fill()
    data = load_sweep(store, "toy")
    assert len(learning_curves(data).axes) == 4
    fewer = replace(data, epochs=data.epochs.assign(validation_accuracy=None))
    labels = [axes.get_ylabel() for axes in learning_curves(fewer).axes]
    assert labels == [
        "training accuracy",
        "training loss L\nper example",
        "validation loss L\nper example",
    ]
    columns = ("train_accuracy", "validation_accuracy", "train_loss", "validation_loss")
    nothing = replace(data, epochs=data.epochs.assign(**dict.fromkeys(columns, float("nan"))))
    assert learning_curves(nothing) is None


def test_a_sweep_whose_seeds_all_diverged_has_no_curves(store, synthetic_sweep):
    """Their curves lead to no minimum."""
    sweep = synthetic_sweep(pairs=[(100, 0.1)], seeds=[0])
    sweep.plan()
    for trial in sweep.trials():
        sweep.train(trial, outcome="diverged")
    assert learning_curves(load_sweep(store, "toy")) is None
