"""What a sweep trains, in one line: model, data, loss, epochs, cells and seeds."""

from __future__ import annotations

from analysis.records.load import SweepData
from workers.contract.specs import DatasetSpec, ModelSpec

_MODELS = {"resnet": "ResNet", "mlp": "MLP"}
_DATASETS = {"cifar10": "CIFAR-10", "digits": "digits", "synthetic": "synthetic data"}
_OF_IMAGES = ("cifar10", "digits")
_LOSSES = {
    "kld": "KLD",
    "squared_error": "squared error",
    "gradlog_l1": "gradlog L1",
    "gradlog_l2": "gradlog L2",
}


def setting_line(data: SweepData) -> str:
    """Return what was trained: "ResNet-56, CIFAR-10 (50,000 training images), KLD, 125 epochs, 9 cells × 5 seeds"."""
    trial, seeds = data.plan.trials[0].trial, len(data.plan.seeds)
    counts = sorted(set(data.trials["num_train"].astype(int)))
    what = "training images" if trial.dataset.name in _OF_IMAGES else "training examples"
    size = f" ({' or '.join(f'{count:,}' for count in counts)} {what})" if counts else ""
    losses = sorted({cell.loss for cell in data.cells})
    return ", ".join(
        [
            _model(trial.model),
            f"{_dataset(trial.dataset)}{size}",
            " and ".join(_LOSSES.get(loss, loss) for loss in losses),
            _count(trial.training.epochs, "epoch"),
            f"{_count(len(data.cells), 'cell')} × {_count(seeds, 'seed')}",
        ]
    )


def _model(model: ModelSpec) -> str:
    name, depth = _MODELS.get(model.name, model.name), getattr(model, "depth", None)
    return name if depth is None else f"{name}-{depth}"


def _dataset(dataset: DatasetSpec) -> str:
    return _DATASETS.get(dataset.name, dataset.name)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
