"""What a node reports before a sweep starts there: its software, its store, its data.

Runs on the node, needs neither TensorFlow nor Ray, takes and returns plain JSON.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

from workers.contract.distribution import DISTRIBUTION, NOT_INSTALLED, installed_version
from workers.contract.errors import StoreError, UserError
from workers.contract.frozen import Frozen, NonNegative
from workers.contract.specs import DatasetSpec
from workers.contract.store import Store
from workers.process.children.plugin_facts import facts_of_data
from workers.process.code_digest import HOME, code_digest
from workers.process.surroundings import try_import

_DISTRIBUTIONS = (DISTRIBUTION, "tensorflow", "keras", "numpy")
_POLL_SECONDS = 0.5


class NodeQuestion(Frozen):
    """A question to a node.

    Attributes:
        store: The store's URI, as trials receive it.
        nonce_path: A file of the store with a text that only the driver knows.
        answer_path: Where the node is to repeat that text.
        dataset: The sweep's data set; None to ask for none.
        data_dir: Where its files are.
        needs_tensorflow: Whether attempts import it, so that it must start there.
        patience_seconds: How long a shared folder may take to show what another machine wrote there;
            network file systems cache what a folder holds.
    """

    store: str
    nonce_path: str
    answer_path: str
    dataset: DatasetSpec | None
    data_dir: str | None
    needs_tensorflow: bool = False
    patience_seconds: NonNegative = 10.0


class Software(Frozen):
    """The code that a machine runs.

    Attributes:
        versions: By distribution; Python's first two numbers, which decide what can be exchanged.
        code_digest: Of our source files, as different code may have the same version number.
    """

    versions: dict[str, str]
    code_digest: str


class NodeFacts(Frozen):
    """The answer of a node.

    Attributes:
        software: The code it runs.
        nonce: What it read at the nonce's path; None when nothing is there.
        store_fault: Why the store could not be read or written; empty when it could.
        data_digest: That of the data set; None when there is none, or none was asked for.
        data_faults: What is wrong with the data, each with how to mend it.
        import_fault: Why TensorFlow does not start, with how to mend it; None where it does or was not asked.
    """

    software: Software
    nonce: str | None
    store_fault: str
    data_digest: str | None
    data_faults: list[tuple[str, str]]
    import_fault: tuple[str, str] | None = None


def answer(question_json: str) -> str:
    """Answer a `NodeQuestion` with `NodeFacts`, both as JSON; data are downloaded if need be."""
    question = NodeQuestion.model_validate_json(question_json)
    nonce, store_fault = _echo_nonce(question)
    data_digest, data_faults = _find_data(question)
    return NodeFacts(
        software=software_here(),
        nonce=nonce,
        store_fault=store_fault,
        data_digest=data_digest,
        data_faults=data_faults,
        import_fault=_import_fault() if question.needs_tensorflow else None,
    ).model_dump_json()


def software_here() -> Software:
    """Describe the code of this machine, importing nothing."""
    versions = {name: installed_version(name) or NOT_INSTALLED for name in _DISTRIBUTIONS}
    versions["Python"] = ".".join(str(part) for part in sys.version_info[:2])
    return Software(versions=versions, code_digest=code_digest(HOME))


def read_patiently(
    store: Store,
    path: str,
    seconds: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bytes | None:
    """Read a file of the store, retrying for as long as another machine's write may be invisible.

    Raises:
        StoreError: It cannot be read.
    """
    deadline = clock() + seconds
    while (content := store.read_bytes(path)) is None and clock() < deadline:
        sleep(_POLL_SECONDS)
    return content


def _echo_nonce(question: NodeQuestion) -> tuple[str | None, str]:
    """Repeat the driver's text; a store that lacks it is another one, and is left untouched."""
    try:
        store = Store.open(question.store)
        content = read_patiently(store, question.nonce_path, question.patience_seconds)
        if content is not None:
            store.write_bytes(question.answer_path, content)
    except (StoreError, UserError) as error:
        return None, error.faults[0].what if isinstance(error, UserError) else str(error)
    return None if content is None else content.decode(errors="replace"), ""


def _import_fault() -> tuple[str, str] | None:
    found = try_import(os.environ)
    return (found.fault, found.mend) if found.fault else None


def _find_data(question: NodeQuestion) -> tuple[str | None, list[tuple[str, str]]]:
    if question.dataset is None:
        return None, []
    try:
        return facts_of_data(question.dataset, question.data_dir).digest, []
    except UserError as error:
        return None, [(f"{fault.what} ({fault.where})", fault.mend) for fault in error.faults]
