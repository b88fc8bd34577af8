"""One attempt at an order: what training and measuring share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast

from workers.attempts.plugin_call import calling
from workers.contract import catalog, identity
from workers.contract.errors import Fault, UserError, user_error
from workers.contract.orders import Order
from workers.contract.store import Store
from workers.datasets.dataset import Dataset
from workers.losses.loss import Loss
from workers.losses.loss_faults import faults_of
from workers.process.built import Built
from workers.process.environment import Environment
from workers.resumable.pulse import Pulse


@dataclass(frozen=True)
class Attempt:
    """An order with everything needed to carry it out.

    Attributes:
        order: The work to do.
        store: Where records go.
        environment: Where it runs.
        dataset: The data, with the digest that the order names.
        loss: The trial's loss.
        pulse: Stop requests, progress and time.
        built: What this process has built for the orders before.
    """

    order: Order
    store: Store
    environment: Environment
    dataset: Dataset
    loss: Loss
    pulse: Pulse
    built: Built

    @property
    def checkpoint_folder(self) -> str:
        """The folder of the checkpoints of this work."""
        return Store.checkpoint_folder(self.order.work_id)


def check_identities(order: Order) -> None:
    """Compute the order's identities here and compare them with the planned ones.

    Raises:
        UserError: This worker's code or plugins differ from the planner's; all faults at once.
    """
    faults = list(_identity_faults(order))
    if faults:
        raise UserError(faults)


def check_data(order: Order, dataset: Dataset) -> None:
    """Compare the digest of the data found here with the planned one.

    Raises:
        UserError: This worker's data differ.
    """
    if dataset.digest != order.trial.data_digest:
        raise user_error(
            f"the data set {order.trial.dataset.name!r} on this worker has the digest "
            f"{dataset.digest}, planned was {order.trial.data_digest}",
            where=f"--data-dir {order.data_dir or '(cache or download)'}",
            mend="give every worker the same data files",
        )


def make_loss(name: str) -> Loss:
    """Return the loss of a name; a plugin is a class or function called without arguments.

    Raises:
        UserError: The name is unknown, or a plugin cannot be called like this.
    """
    make = cast("Callable[[], Loss]", catalog.resolve("loss", name, where="loss"))
    with calling("loss", name, "no arguments"):
        return make()


def check_loss(loss: Loss, name: str, dataset: Dataset) -> None:
    """Try a loss of the user's own on a few examples.

    Raises:
        UserError: It raises anything, or its values, shapes or derivatives are wrong.
    """
    if not catalog.is_plugin(name):
        return
    with calling("loss", name, "outputs and targets, both [batch, outputs]"):
        faults = faults_of(loss, name, dataset.train.targets)
    if faults:
        raise UserError(faults)


def _identity_faults(order: Order) -> Iterable[Fault]:
    mend = "install the same version of minima and of your plugins on every machine"
    for name, planned in order.trial.plugin_digests.items():
        found = catalog.plugin_digest(name, where="plugin_digests")
        if found != planned:
            what = f"the source of {name!r} has the digest {found} on this worker, planned was {planned}"
            yield Fault(what, "plugin_digests", mend)
    pairs = [("trial_id", order.trial_id, identity.trial_id(order.trial))]
    if order.statistic is not None:
        found_id = identity.statistic_id(order.statistic)
        pairs.append(("statistic_id", str(order.statistic_id), found_id))
    for kind, planned, found in pairs:
        if found != planned:
            what = f"the {kind} is {found} on this worker, planned was {planned}"
            yield Fault(what, f"order, {kind}", mend)
