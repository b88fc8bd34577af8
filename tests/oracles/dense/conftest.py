"""Networks trained once for all tests of this folder, and the ledger of their comparisons."""

from __future__ import annotations

import pytest
from peers import peer


@pytest.fixture(autouse=True, scope="module")
def _pytorch_takes_one_thread(_few_threads_of_torch):
    """Let PyTorch multiply its small arrays alone: on a busy machine threads wait for one another."""
    torch = peer("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Train a network by name, once."""
    import time

    from dense.networks import NETWORKS
    from dense.subjects import NUM_TRAIN, make_dataset, make_trial

    from workers.attempts.attempt import make_loss
    from workers.contract.store import Store
    from workers.resumable.checkpoint import Checkpoints
    from workers.resumable.pulse import Pulse
    from workers.training.loop import Trainer, TrainingJob

    dataset, models = make_dataset(NUM_TRAIN), {}

    def train(name):
        if name not in models:
            model, trial = NETWORKS[name].build(), make_trial("kld")
            job = TrainingJob("trial", trial, model, dataset, make_loss("kld"))
            store = Store.open(str(tmp_path_factory.mktemp(name) / "store"))
            checkpoints = Checkpoints(store, "checkpoints/work", attempt_id="a", conditions={})
            pulse = Pulse(lambda: False, lambda progress: None, time.monotonic, 1e9, 1e9)
            losses = [each.train_loss for each in Trainer(job, checkpoints, pulse).run().records]
            assert losses[-1] < 0.8 * losses[0]
            models[name] = model
        return models[name]

    return train


@pytest.fixture(scope="session")
def subject(trained, no_partials):
    """Give a trained network ready to be measured with a loss on N images, the same one each time."""
    from dense.networks import NETWORKS
    from dense.subjects import NUM_TRAIN, Subject, make_dataset, make_trial

    from workers.attempts.attempt import make_loss
    from workers.statistics.measuring.context import MeasurementContext

    made = {}

    def make(name, loss, num_train=NUM_TRAIN):
        key = (name, loss, num_train)
        if key not in made:
            model, dataset = trained(name), make_dataset(num_train)
            context = MeasurementContext(
                model, dataset, make_loss(loss), make_trial(loss), no_partials
            )
            made[key] = Subject(name, NETWORKS[name], model, context)
        return made[key]

    return make


@pytest.fixture(scope="session")
def ledger():
    """Give the ledger that all tests write into."""
    from dense.comparisons import Ledger

    return Ledger()
