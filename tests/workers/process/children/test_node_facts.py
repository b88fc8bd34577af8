"""A node tells its software, whether it sees the driver's store, and the digest of its data."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from workers.contract import distribution
from workers.contract.specs import PluginSpec
from workers.contract.store import Store
from workers.datasets.checked.loading import dataset_facts
from workers.datasets.digits import DigitsSpec
from workers.process.children import node_facts
from workers.process.children.node_facts import (
    NodeFacts,
    NodeQuestion,
    answer,
    read_patiently,
    software_here,
)
from workers.process.code_digest import code_digest
from workers.process.surroundings import Imported

HOME = Path(__file__).resolve().parents[4]
NONCE, ANSWER = Store.nonce_path("t"), Store.nonce_answer_path("t", "n")


def ask(store: Store, **changes: object) -> NodeFacts:
    settings = {
        "store": store.uri,
        "nonce_path": NONCE,
        "answer_path": ANSWER,
        "dataset": DigitsSpec(name="digits"),
        "data_dir": None,
        "patience_seconds": 0.0,
    }
    question = NodeQuestion.model_validate(settings | changes)
    return NodeFacts.model_validate_json(answer(question.model_dump_json()))


@pytest.fixture
def store(tmp_path) -> Store:
    made = Store.open(str(tmp_path / "store"))
    made.write_bytes(NONCE, b"words")
    return made


def test_a_sound_node_repeats_the_words_and_has_the_data(store):
    """In the store and in its answer."""
    facts = ask(store)
    assert (facts.nonce, facts.store_fault, facts.data_faults) == ("words", "", [])
    assert store.read_bytes(ANSWER) == b"words"
    assert facts.data_digest == dataset_facts(DigitsSpec(name="digits"), None).digest
    assert facts.software == software_here()


def test_object_storage_is_met_in_the_same_way(s3_store):
    """By URI alone."""
    s3_store.write_bytes(NONCE, b"words")
    assert ask(s3_store).nonce == "words"
    assert s3_store.read_bytes(ANSWER) == b"words"


def test_a_store_without_the_words_is_left_alone(tmp_path):
    """It is another one: not even its folder is made."""
    facts = ask(Store.open(str(tmp_path / "elsewhere")))
    assert (facts.nonce, facts.store_fault) == (None, "")
    assert not (tmp_path / "elsewhere").exists()


def test_a_store_that_cannot_be_written_is_told(store, monkeypatch):
    """In the system's words."""
    (store.root.local / ANSWER).mkdir()
    facts = ask(store)
    assert facts.nonce is None
    assert facts.store_fault.startswith(f"cannot write {ANSWER} in the store")


def test_faults_of_the_data_are_told_with_their_cure(store):
    """Whatever is wrong; the store is met all the same."""
    spec = PluginSpec(name="no_such_package.data:load")
    facts = ask(store, dataset=spec)
    assert facts.data_digest is None
    assert "no_such_package" in facts.data_faults[0][0]
    assert facts.nonce == "words"


def test_the_code_digest_sees_every_source_file(tmp_path):
    """A changed byte, a new file and a new name; nothing but Python's source."""
    for package in ("orchestrator", "workers", "analysis"):
        (tmp_path / package / "deep").mkdir(parents=True)
        (tmp_path / package / "deep" / "a.py").write_text("a = 1\n")
    digests = [code_digest(tmp_path)]
    (tmp_path / "workers" / "notes.txt").write_text("no code")
    assert code_digest(tmp_path) == digests[0]
    (tmp_path / "workers" / "deep" / "a.py").write_text("a = 2\n")
    digests.append(code_digest(tmp_path))
    shutil.move(tmp_path / "analysis" / "deep" / "a.py", tmp_path / "analysis" / "deep" / "b.py")
    digests.append(code_digest(tmp_path))
    (tmp_path / "orchestrator" / "b.py").write_text("")
    digests.append(code_digest(tmp_path))
    assert len(set(digests)) == 4


def test_what_is_not_installed_is_told(monkeypatch):
    """And is no fault by itself: the driver compares."""

    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    assert set(software_here().versions) == {"sgd-minima", "tensorflow", "keras", "numpy", "Python"}
    monkeypatch.setattr(distribution, "version", version)
    assert software_here().versions["keras"] == "not installed"


def test_a_tensorflow_that_does_not_start_is_told(store, monkeypatch):
    """Where the node is asked, and in the import's own words."""
    tried = Imported(fault="ImportError: no lib", mend="reinstall")
    monkeypatch.setattr(node_facts, "try_import", lambda _: tried)
    assert ask(store, needs_tensorflow=True).import_fault == ("ImportError: no lib", "reinstall")
    assert ask(store).import_fault is None


def test_a_late_file_is_waited_for(store):
    """Network file systems show it some seconds later; what never comes is not there."""
    seconds = [0.0]

    def sleep(duration: float) -> None:
        seconds[0] += duration
        if seconds[0] == 2.0:
            store.write_bytes("control/late", b"late")

    settings = {"clock": lambda: seconds[0], "sleep": sleep}
    assert read_patiently(store, "control/late", 10, **settings) == b"late"
    assert read_patiently(store, "control/never", 10, **settings) is None
    assert seconds == [12.0]


def test_neither_tensorflow_nor_ray_is_needed(store):
    """A worker process of Ray answers within a second or two."""
    code = (
        "import sys; from workers.process.children.node_facts import answer; answer(sys.argv[1]); "
        "assert not {'tensorflow', 'keras', 'ray'} & set(sys.modules)"
    )
    question = NodeQuestion(
        store=store.uri,
        nonce_path=NONCE,
        answer_path=ANSWER,
        dataset=DigitsSpec(name="digits"),
        data_dir=None,
    )
    assert json.loads(question.model_dump_json())["patience_seconds"] == 10
    subprocess.run([sys.executable, "-c", code, question.model_dump_json()], check=True, cwd=HOME)
    assert store.read_bytes(ANSWER) == b"words"
