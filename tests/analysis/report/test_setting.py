"""The line that says what a sweep trained."""

from __future__ import annotations

from analysis.records.load import load_sweep
from analysis.report.setting import setting_line


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
