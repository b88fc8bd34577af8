"""What a sweep trains, in one line: model, data, loss, epochs, cells and seeds."""

from __future__ import annotations

from analysis.records.load import SweepData
from analysis.text.number_text import counted
from workers.contract.registry import LOSSES
from workers.contract.specs import DatasetSpec, ModelSpec, PluginSpec


def setting_line(data: SweepData) -> str:
    """Return what was trained: "ResNet-56, CIFAR-10 (50,000 training images), KLD, 125 epochs, 9 cells × 5 seeds"."""
    trial, seeds = data.plan.trials[0].trial, len(data.plan.seeds)
    counts = sorted(set(data.trials["num_train"].astype(int)))
    losses = sorted({cell.loss for cell in data.cells})
    return ", ".join(
        [
            _model(trial.model),
            _dataset(trial.dataset, " or ".join(f"{count:,}" for count in counts)),
            " and ".join(map(_loss, losses)),
            counted(trial.training.epochs, "epoch"),
            f"{counted(len(data.cells), 'cell')} × {counted(seeds, 'seed')}",
        ]
    )


def _model(model: ModelSpec) -> str:
    return model.name if isinstance(model, PluginSpec) else model.title


def _dataset(dataset: DatasetSpec, num_train: str) -> str:
    """Return the name of a data set, with how many examples were trained on, where any were."""
    title, examples = dataset.name, "examples"
    if not isinstance(dataset, PluginSpec):
        title, examples = dataset.title or dataset.name, dataset.examples
    return f"{title} ({num_train} training {examples})" if num_train else title


def _loss(name: str) -> str:
    return (LOSSES[name].title if name in LOSSES else "") or name
