"""The lines that say what a sweep trained, and how it measured excess loss."""

from __future__ import annotations

from dataclasses import replace

from analysis.records.load import load_sweep
from analysis.report.answer import answer
from analysis.report.setting import excursion_line, setting_line


def test_model_data_loss_epochs_cells_and_seeds_are_named(store, paper_sweep):
    """As a paper's caption has them."""
    paper_sweep.fill()
    assert setting_line(load_sweep(store, "paper-kld")) == (
        "ResNet-56, CIFAR-10 (50,000 training images), KLD, 3 epochs, 9 cells × 5 seeds"
    )


def test_before_anything_is_trained_the_number_of_examples_is_left_out(store, synthetic_sweep):
    """It is recorded with a trial; one cell and one seed are singular."""
    synthetic_sweep(pairs=[(100, 0.1)], seeds=[0]).plan()
    assert setting_line(load_sweep(store, "toy")) == (
        "ResNet-56, CIFAR-10, KLD, 3 epochs, 1 cell × 1 seed"
    )


def test_how_excess_loss_was_measured_is_said_by_the_judged_excursion(
    store, forked_sweep, report_of
):
    """Steps, rate, batch norm and batches of the forks; a way that nobody planned is not guessed."""
    forked_sweep(power=1.5, strength=0.01).fill()
    report = report_of(store, "toy")
    standings = report.laws.standings
    found = answer(report.data, report.table, standings)
    assert found.measured == (
        "Excess loss: 256 steps of SGD from the trained weights (fork), final learning rate, "
        "batch norm frozen, batches drawn with replacement."
    )
    judged = standings[0]
    assert excursion_line(report.data, replace(judged, measured_by="tail")) == ""
    assert excursion_line(report.data, replace(judged, sampler="shuffle")) == ""
