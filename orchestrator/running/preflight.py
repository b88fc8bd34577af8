"""Compare every node of a cluster with the driver, before anything of a sweep is started or written.

A node must run the same code, see the same store, and hold or fetch the same data. All faults of all
nodes are told at once. A node that joins later is not asked: a slot of other code refuses its tasks, and
each attempt compares identities and the data's digest itself.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pydantic import ValidationError

from orchestrator.planning.fit import Node
from orchestrator.planning.prepare import Prepared
from orchestrator.running.driver import Ask, Reply
from workers.contract.distribution import DISTRIBUTION
from workers.contract.errors import Fault, StoreError, UserError
from workers.contract.specs import DatasetSpec
from workers.contract.store import Store
from workers.process.children import node_facts
from workers.process.children.node_facts import (
    NodeFacts,
    NodeQuestion,
    Software,
    read_patiently,
)
from workers.process.surroundings import GPU_CURE, Imported, try_import

_SHARED_STORE = "give a store that all nodes share: the same shared folder, or object storage"
_SAME_CODE = "install the same minima, from one lock, on all nodes and restart Ray there"


@dataclass(frozen=True)
class Expected:
    """What every node must tell."""

    software: Software
    nonce: str
    data_digest: str


@dataclass(frozen=True)
class WantedData:
    """The data that every node must hold: their specification, the option, and their digest."""

    dataset: DatasetSpec
    data_dir: str | None
    digest: str


def check_nodes(
    prepared: Prepared,
    data_dir: str | None,
    nodes: Sequence[Node],
    ask: Ask,
    *,
    needs_tensorflow: bool = True,
    patience_seconds: float = 10.0,
) -> None:
    """Ask every node that can hold a trial, and compare.

    Args:
        prepared: The sweep; its store can be written.
        data_dir: The option.
        nodes: Of the cluster.
        ask: Reaches the nodes.
        needs_tensorflow: Whether attempts import it.
        patience_seconds: How long what one machine wrote may be unseen by another.

    Raises:
        UserError: All faults of all nodes; the store is left as it was found.
    """
    asked = [node for node in nodes if node.slots_for(prepared.sweep.resources)]
    digest = prepared.plan.trials[0].trial.data_digest
    found = node_faults(
        prepared.store,
        WantedData(prepared.sweep.dataset, data_dir, digest),
        asked,
        ask,
        needs_tensorflow=needs_tensorflow,
        patience_seconds=patience_seconds,
    )
    faults = [fault for of_node in found for fault in of_node or ()]
    if faults:
        raise UserError(faults)


def node_faults(
    store: Store,
    data: WantedData | None,
    nodes: Sequence[Node],
    ask: Ask,
    *,
    needs_tensorflow: bool = True,
    patience_seconds: float = 10.0,
) -> list[list[Fault] | None]:
    """Ask nodes, and compare each with this machine.

    Args:
        store: Of the sweep; it can be written.
        data: What each must hold, or None to ask for none.
        nodes: Of the cluster.
        ask: Reaches the nodes.
        needs_tensorflow: Whether it must start there.
        patience_seconds: How long what one machine wrote may be unseen by another.

    Returns:
        The faults of each node, in their order; None of one that is leaving.
    """
    with _nonce_in(store) as (token, nonce):
        questions = {
            node.node_id: NodeQuestion(
                store=store.uri,
                nonce_path=Store.nonce_path(token),
                answer_path=Store.nonce_answer_path(token, node.node_id),
                dataset=None if data is None else data.dataset,
                data_dir=None if data is None else data.data_dir,
                needs_tensorflow=needs_tensorflow,
                patience_seconds=patience_seconds,
            )
            for node in nodes
        }
        texts = {name: question.model_dump_json() for name, question in questions.items()}
        replies = ask(node_facts.answer, texts)
        digest = "" if data is None else data.digest
        expected = Expected(node_facts.software_here(), nonce, digest)
        return [
            None
            if replies[node.node_id].is_leaving
            else reply_faults(
                place, replies[node.node_id], expected, _hearer(store, questions[node.node_id])
            )
            for place, node in zip(places_of(nodes), nodes, strict=True)
        ]


def reply_faults(
    place: str, reply: Reply, expected: Expected, hear: Callable[[], str | None]
) -> list[Fault]:
    """Compare one node's reply with what is expected.

    Args:
        place: The node's name, for the message.
        reply: What it answered.
        expected: What it must have answered.
        hear: Gives what the node has written to the store, as the driver sees it.
    """
    if reply.answer is None:
        mend = "look at the node, take it out of the cluster, or install the same minima on it"
        return [Fault(f"the node does not answer: {reply.silence}", place, mend)]
    try:
        facts = NodeFacts.model_validate_json(reply.answer)
    except ValidationError:
        return [Fault("the node answers as another version of minima does", place, _SAME_CODE)]
    return [
        *_software_faults(place, facts.software, expected.software),
        *import_faults(place, facts.import_fault),
        *_store_faults(place, facts, expected.nonce, hear),
        *_data_faults(place, facts, expected.data_digest),
    ]


def _software_faults(place: str, there: Software, here: Software) -> Iterator[Fault]:
    names = [*here.versions, *(name for name in there.versions if name not in here.versions)]
    differing = [name for name in names if there.versions.get(name) != here.versions.get(name)]
    for name in differing:
        told, wanted = (each.versions.get(name, "unknown") for each in (there, here))
        yield Fault(f"{name} is {told} on the node and {wanted} on the driver", place, _SAME_CODE)
    if there.code_digest != here.code_digest and DISTRIBUTION not in differing:
        what = (
            f"minima has other source files on the node ({there.code_digest}) than on the driver "
            f"({here.code_digest})"
        )
        yield Fault(what, place, _SAME_CODE)


def import_faults(place: str, found: tuple[str, str] | None) -> Iterator[Fault]:
    """Return the fault that TensorFlow does not start at a place: no trial there could."""
    if found is not None:
        what, mend = found
        yield Fault(
            f"TensorFlow does not start: {what}", place, f"{mend}; `minima doctor` looks again"
        )


def _store_faults(
    place: str, facts: NodeFacts, nonce: str, hear: Callable[[], str | None]
) -> Iterator[Fault]:
    if facts.store_fault:
        mend = "let the node read and write the store: mount, permissions, credentials"
        yield Fault(facts.store_fault, place, mend)
    elif facts.nonce != nonce:
        what = "the node has a store of its own under this name: what the driver wrote is not there"
        yield Fault(what, place, _SHARED_STORE)
    elif hear() != nonce:
        what = "what the node wrote to the store is not seen by the driver"
        yield Fault(what, place, _SHARED_STORE)


def _data_faults(place: str, facts: NodeFacts, digest: str) -> Iterator[Fault]:
    for what, mend in facts.data_faults:
        yield Fault(what, place, mend)
    if facts.data_digest not in {None, digest}:
        what = f"the data have the digest {facts.data_digest} on the node, {digest} on the driver"
        yield Fault(what, place, "give every node the same data files")


def places_of(nodes: Sequence[Node]) -> list[str]:
    """Return the names of the nodes; where several share a name, by the first digits of their ids too."""
    counts = Counter(node.name for node in nodes)
    return [
        f"node {node.name}" + (f" ({node.node_id[:8]})" if counts[node.name] > 1 else "")
        for node in nodes
    ]


def _hearer(store: Store, question: NodeQuestion) -> Callable[[], str | None]:
    def hear() -> str | None:
        with contextlib.suppress(StoreError):
            content = read_patiently(store, question.answer_path, question.patience_seconds)
            return None if content is None else content.decode(errors="replace")
        return None

    return hear


@contextlib.contextmanager
def _nonce_in(store: Store) -> Iterator[tuple[str, str]]:
    """Write words that only this process knows into the store; they and all answers go afterwards."""
    token, nonce = secrets.token_hex(8), secrets.token_hex(16)
    place = store.local_path(Store.nonce_path(token))
    absent = [] if place is None else [path for path in place.parents if not path.is_dir()]
    try:
        store.write_bytes(Store.nonce_path(token), nonce.encode())
        yield token, nonce
    finally:
        _forget(store, token)
        for folder in absent:  # made for the nonce alone; one that others use by now is not empty
            with contextlib.suppress(OSError):
                folder.rmdir()


def _forget(store: Store, token: str) -> None:
    with contextlib.suppress(StoreError):
        for path in store.names("control"):
            if Store.is_nonce_of(path, token):
                store.remove(path)


@contextlib.contextmanager
def importing_here(*, is_asked: bool, needs_gpu: bool = False) -> Iterator[Callable[[], None]]:
    """Try on this machine, while a cluster starts, whether TensorFlow does, and sees a GPU where trials need one.

    Yields:
        Waits for the answer, and raises a UserError where it does not.
    """
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(try_import, os.environ) if is_asked else None

        def refuse_faults() -> None:
            tried = found.result() if found is not None else Imported()
            faults = [
                *import_faults("this machine", (tried.fault, tried.mend) if tried.fault else None)
            ]
            if found is not None and needs_gpu and not faults and not tried.num_gpus:
                mend = f"{GPU_CURE}; `minima doctor` looks again"
                faults = [Fault("trials hold GPUs, and TensorFlow sees none", "this machine", mend)]
            if faults:
                raise UserError(faults)

        yield refuse_faults
