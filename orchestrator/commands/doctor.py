"""Check this machine, or every node of a cluster, for what a sweep needs, and name the cure of what is missing."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orchestrator.machine.scratch import place_for_sockets, scratch_folder
from orchestrator.planning.fit import size_text, this_machine
from orchestrator.running.driver import ClusterLost, MakeDriver
from orchestrator.running.preflight import node_faults, places_of
from workers.contract.distribution import NOT_INSTALLED, installed_version
from workers.contract.errors import UserError
from workers.contract.store import Store
from workers.contract.store_place import check_writable
from workers.process.gpu_memory import gigabytes, opened_nvml
from workers.process.surroundings import GPU_CURE, try_import

_PACKAGES = ("ray", "tensorflow", "keras", "numpy", "pyarrow", "duckdb", "pandas", "scipy")
_LEAST_FREE_BYTES = 5 * 10**9


@dataclass(frozen=True)
class Check:
    """One thing checked; `cure` is empty when nothing is wrong with it."""

    name: str
    found: str
    cure: str = ""

    @property
    def is_good(self) -> bool:
        """Whether nothing needs mending."""
        return not self.cure


def diagnose(store: str) -> Iterator[Check]:
    """Check everything that a sweep needs on this machine."""
    yield Check("minima", installed_version() or NOT_INSTALLED)
    yield _python()
    for package in _PACKAGES:
        yield _package(package)
    node = this_machine()
    yield _tensorflow(node.gpus)
    yield Check("cores", str(node.cpus))
    yield Check("memory", size_text(node.memory))
    yield Check("GPUs", str(node.gpus) if node.gpus else "none: trials need resources.gpus: 0")
    if node.gpus:
        yield _gpu_memory()
    yield _disk("free disk here", ".", "free some space")
    for place in sorted({tempfile.gettempdir(), place_for_sockets()}):
        yield _disk(
            f"free disk in {place}", place, "set TMPDIR to another place, with a short path"
        )
    yield _store(store)
    yield Check("RAY_ADDRESS", os.environ.get("RAY_ADDRESS", "not set: a local cluster is started"))
    yield Check(
        "RAY_AUTH_MODE", os.environ.get("RAY_AUTH_MODE", "not set: a local one uses a token")
    )


def diagnose_cluster(store_uri: str, address: str, make_driver: MakeDriver) -> Iterator[Check]:
    """Ask every node of a cluster for what a sweep needs there: our code, TensorFlow, the store."""
    store = _store(store_uri)
    if not store.is_good:
        yield Check(f"cluster at {address}", f"not asked: {store.found}", store.cure)
        return
    try:
        with scratch_folder() as scratch:
            driver = make_driver(address, scratch)
            with driver.join() as nodes:
                found = node_faults(Store.open(store_uri), None, nodes, driver.ask)
    except UserError as error:
        fault = error.faults[0]
        yield Check(f"cluster at {address}", fault.what, fault.mend)
        return
    except ClusterLost as lost:
        yield Check(f"cluster at {address}", str(lost), "look at its head, and ask again")
        return
    for place, node, faults in zip(places_of(nodes), nodes, found, strict=True):
        kinds = f" ({', '.join(node.accelerators)})" if node.accelerators else ""
        has = f"{node.cpus} CPUs, {node.gpus} GPUs{kinds}, {size_text(node.memory)} of memory"
        if faults is None:
            yield Check(place, f"{has}; it is leaving the cluster")
            continue
        what = "; ".join([has, *dict.fromkeys(fault.what for fault in faults)])
        yield Check(place, what, "; ".join(dict.fromkeys(f.mend for f in faults)))


def verdict(checks: Sequence[Check], address: str | None = None) -> str:
    """Return in a line whether this machine, and the cluster if one was asked, is ready, or what needs mending."""
    faulty = [check.name for check in checks if not check.is_good]
    if not faulty and address is not None:
        return f"All nodes are ready: try `minima run quickstart --address {address}`."
    if not faulty:
        return "This machine is ready: try `minima run quickstart`."
    need = "check needs" if len(faulty) == 1 else "checks need"
    return f"{len(faulty)} of {len(checks)} {need} mending: {', '.join(faulty)}."


def _python() -> Check:
    found = ".".join(str(part) for part in sys.version_info[:3])
    is_known = (3, 11) <= sys.version_info[:2] < (3, 14)
    return Check("Python", found, "" if is_known else "use Python 3.11, 3.12 or 3.13")


def _package(name: str) -> Check:
    found = installed_version(name)
    cure = "" if found else "install minima with its dependencies"
    return Check(name, found or NOT_INSTALLED, cure)


def _tensorflow(num_gpus: int) -> Check:
    """Check that TensorFlow starts, and sees a GPU where there are any."""
    name, found = "TensorFlow starts", try_import(os.environ)
    if found.fault:
        return Check(name, found.fault, found.mend)
    if num_gpus and not found.num_gpus:
        return Check(name, f"yes, and sees none of {num_gpus} GPUs", GPU_CURE)
    return Check(name, f"yes, and sees {found.num_gpus} GPUs")


def _gpu_memory() -> Check:
    with opened_nvml() as nvml:
        if nvml is None:
            return Check(
                "NVML",
                "not available: trials do not wait for memory of a GPU, and a share has no limit",
                GPU_CURE,
            )
        found = [(number, nvml.memory(str(number))) for number in range(nvml.count())]
    memories = [
        f"GPU {number}: {gigabytes(memory.free_bytes)} of {gigabytes(memory.total_bytes)} GB free"
        if memory
        else f"GPU {number}: does not report its memory"
        for number, memory in found
    ]
    return Check("NVML", "; ".join(memories))


def _disk(name: str, place: str, cure: str) -> Check:
    if not os.access(place, os.W_OK):
        return Check(name, "cannot be written, or is gone", cure)
    free = shutil.disk_usage(place).free
    return Check(name, f"{free / 1e9:.0f} GB", "" if free > _LEAST_FREE_BYTES else cure)


def _store(uri: str) -> Check:
    try:
        check_writable(Store.open(uri))
    except UserError as error:
        return Check("store", error.faults[0].what, error.faults[0].mend)
    return Check("store", f"{uri} can be written")
