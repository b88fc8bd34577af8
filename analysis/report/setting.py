"""What a sweep trains, and how it measures excess loss, in a line each."""

from __future__ import annotations

from analysis.findings.league import Standing
from analysis.records.load import SweepData
from analysis.text.number_text import counted
from workers.contract.registry import LOSSES
from workers.contract.specs import DatasetSpec, ModelSpec, PluginSpec
from workers.statistics.fork import ForkSpec
from workers.statistics.tail import TailSpec

_BATCH_NORM = {"frozen": "batch norm frozen", "batch": "batch norm by each batch"}
_BATCHES = {
    "replacement": "batches drawn with replacement",
    "shuffle": "batches of shuffled epochs",
}


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


def excursion_line(data: SweepData, standing: Standing) -> str:
    """Return how excess loss was measured where a law is judged; empty where the plan does not ask for it so.

    "Excess loss: 512 steps of SGD from the trained weights (fork), final learning rate, batch norm frozen,
    batches drawn with replacement."
    """
    way = (standing.measured_by, standing.bn_mode, standing.sampler)
    specs = [
        spec
        for item in data.plan.statistics
        if isinstance(spec := item.statistic, ForkSpec | TailSpec)
        and (spec.name, spec.bn_mode, spec.sampler) == way
    ]
    if not specs:
        return ""
    steps = " or ".join(f"{each:,}" for each in sorted({spec.num_steps for spec in specs}))
    rates = " or ".join(dict.fromkeys(_rate(spec.learning_rate) for spec in specs))
    parts = (
        f"{steps} steps of SGD from the trained weights ({standing.measured_by})",
        rates,
        _BATCH_NORM[standing.bn_mode],
        _BATCHES[standing.sampler],
    )
    return f"Excess loss: {', '.join(parts)}."


def _rate(learning_rate: float | None) -> str:
    return "final learning rate" if learning_rate is None else f"learning rate {learning_rate:g}"
