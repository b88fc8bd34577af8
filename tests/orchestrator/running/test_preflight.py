"""Nodes are compared with the driver before a sweep starts; all faults of all nodes come at once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from orchestrator.planning.fit import Node
from orchestrator.planning.prepare import Options, Prepared, prepare
from orchestrator.running import preflight
from orchestrator.running.driver import Reply
from orchestrator.running.preflight import Expected, check_nodes, reply_faults
from workers.contract.errors import UserError
from workers.process.children.node_facts import NodeFacts, NodeQuestion, Software
from workers.process.surroundings import Imported

HERE = Software(versions={"sgd-minima": "1", "keras": "3", "Python": "3.11"}, code_digest="aaa")
EXPECTED = Expected(HERE, "words", "d1")
NODES = [Node("a", 8, 1, "id-a"), Node("head", 0, 0, "id-head"), Node("b", 8, 1, "id-b")]


def facts(**changes: object) -> NodeFacts:
    sound = {
        "software": HERE,
        "nonce": "words",
        "store_fault": "",
        "data_digest": "d1",
        "data_faults": [],
    }
    return NodeFacts.model_validate(sound | changes)


def told(heard: str | None = "words", **changes: object) -> list[str]:
    """What is said of a node that answers so."""
    reply = Reply(facts(**changes).model_dump_json())
    found = reply_faults("node a", reply, EXPECTED, lambda: heard)
    assert {fault.where for fault in found} <= {"node a"}
    assert all(fault.mend for fault in found)
    return [fault.what for fault in found]


def other_software(code_digest: str = "aaa", **versions: str) -> Software:
    return Software(versions=HERE.versions | versions, code_digest=code_digest)


def test_a_sound_node_has_no_fault():
    """Everything is as on the driver."""
    assert told() == []


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"software": other_software(keras="4")}, "keras is 4 on the node and 3 on the driver"),
        (
            {"software": other_software(code_digest="bbb")},
            "minima has other source files on the node (bbb) than on the driver (aaa)",
        ),
        (
            {"software": other_software(code_digest="bbb", **{"sgd-minima": "2"})},
            "sgd-minima is 2 on the node and 1 on the driver",
        ),
        (
            {"software": Software(versions={"sgd-minima": "1", "keras": "3"}, code_digest="aaa")},
            "Python is unknown on the node and 3.11 on the driver",
        ),
        ({"nonce": None, "store_fault": "cannot write x"}, "cannot write x"),
        (
            {"nonce": None},
            "the node has a store of its own under this name: what the driver wrote is not there",
        ),
        (
            {"nonce": "old words"},
            "the node has a store of its own under this name: what the driver wrote is not there",
        ),
        ({"heard": None}, "what the node wrote to the store is not seen by the driver"),
        (
            {"data_digest": None, "data_faults": [("no data (--data-dir)", "copy them")]},
            "no data (--data-dir)",
        ),
        (
            {"import_fault": ("ImportError: no libcudart", "reinstall")},
            "TensorFlow does not start: ImportError: no libcudart",
        ),
        ({"data_digest": "d2"}, "the data have the digest d2 on the node, d1 on the driver"),
    ],
)
def test_each_fault_is_told_once(changes, what):
    """With the values of both sides."""
    assert told(**changes) == [what]


def test_all_faults_of_a_node_are_told():
    """Software, store and data."""
    assert len(told(software=other_software("b", keras="4"), nonce=None, data_digest="d2")) == 4


def test_a_silent_node_is_a_fault():
    """With the reason there is no answer."""
    (fault,) = reply_faults("node a", Reply(None, "nothing within 300 s"), EXPECTED, lambda: None)
    assert fault.what == "the node does not answer: nothing within 300 s"
    assert fault.where == "node a"


@pytest.fixture
def prepared(toy_sweep) -> Prepared:
    toy_sweep(seeds=2, resources={"gpus": 0.5, "cpus": 2})
    return prepare("toy.yaml", Options("new/store"))


def check(prepared: Prepared, change: Callable[[str, dict[str, object]], None]) -> list[str]:
    """Ask two nodes, which are this process; `change` alters a node's question."""
    asked = []

    def ask(function: Callable[[str], str], questions: Mapping[str, str]) -> dict[str, Reply]:
        replies = {}
        for node_id, text in questions.items():
            asked.append(node_id)
            question = json.loads(text)
            change(node_id, question)
            replies[node_id] = Reply(function(json.dumps(question)))
        return replies

    try:
        check_nodes(prepared, None, NODES, ask, patience_seconds=0)
    except UserError as error:
        return [f"{fault.where}: {fault.what}" for fault in error.faults]
    finally:
        assert asked == ["id-a", "id-b"], "a node that holds no trial is not asked"
    return []


def test_sound_nodes_pass_and_nothing_stays_in_the_store(prepared, tmp_path):
    """Neither the words nor the answers."""
    assert check(prepared, lambda *_: None) == []
    left = [path for path in (tmp_path / "new").rglob("*") if path.is_file()]
    assert left == []


def test_a_store_of_the_nodes_own_is_refused(prepared, tmp_path):
    """All nodes are named, and a store that was not there is not there again."""

    def change(_: str, question: dict[str, object]) -> None:
        question["store"] = str(tmp_path / "local")

    what = "the node has a store of its own under this name: what the driver wrote is not there"
    assert check(prepared, change) == [f"node a: {what}", f"node b: {what}"]
    assert [path.name for path in tmp_path.iterdir()] == ["toy.yaml"]


def test_a_store_that_only_looks_shared_is_refused(prepared, tmp_path):
    """The node reads a copy, so the driver never sees its answer; files that were there stay."""
    prepared.store.write_bytes("control/toy.run7.stop.json", b"{}")

    def change(node_id: str, question: dict[str, object]) -> None:
        if node_id == "id-b":
            shutil.copytree(str(question["store"]), tmp_path / "copy")
            question["store"] = str(tmp_path / "copy")

    what = "node b: what the node wrote to the store is not seen by the driver"
    assert check(prepared, change) == [what]
    assert prepared.store.names("control") == ["control/toy.run7.stop.json"]


def test_other_data_are_refused(prepared):
    """By the digest that the plan has."""

    def change(node_id: str, question: dict[str, object]) -> None:
        if node_id == "id-a":
            question["dataset"] = {"name": "synthetic", "task": "linear"}

    (what,) = check(prepared, change)
    assert what.startswith("node a: the data have the digest ")


def test_the_store_is_clean_after_an_interruption(prepared, tmp_path):
    """Ctrl-C while nodes are asked."""

    def ask(*_: object) -> dict[str, Reply]:
        assert len(list(Path("new/store/control").iterdir())) == 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_nodes(prepared, None, NODES, ask)
    assert [path.name for path in tmp_path.iterdir()] == ["toy.yaml"]


def test_nodes_of_one_name_are_told_apart(prepared):
    """By the first digits of their ids."""
    twins = [Node("same", 8, 1, "0123456789"), Node("same", 8, 1, "abcdefghij")]
    with pytest.raises(UserError) as caught:
        check_nodes(prepared, None, twins, lambda _, asked: dict.fromkeys(asked, Reply(None, "x")))
    assert [fault.where for fault in caught.value.faults] == [
        "node same (01234567)",
        "node same (abcdefgh)",
    ]


def test_a_node_that_is_leaving_is_no_fault(prepared):
    """It died, or is being drained, while it was asked; the others count."""

    def ask(_: object, questions: Mapping[str, str]) -> dict[str, Reply]:
        return {name: Reply(None, "x", is_leaving=name == "id-a") for name in questions}

    with pytest.raises(UserError) as caught:
        check_nodes(prepared, None, NODES, ask)
    assert [fault.where for fault in caught.value.faults] == ["node b"]


def test_the_question_is_plain_json(prepared):
    """And asks of the sweep's own data and store."""
    seen = []

    def ask(_: object, questions: Mapping[str, str]) -> dict[str, Reply]:
        seen.extend(NodeQuestion.model_validate_json(text) for text in questions.values())
        return dict.fromkeys(questions, Reply(None, "x"))

    with pytest.raises(UserError):
        check_nodes(prepared, "/data", NODES, ask)
    assert {question.store for question in seen} == {prepared.store.uri}
    assert {question.data_dir for question in seen} == {"/data"}
    assert {question.dataset for question in seen} == {prepared.sweep.dataset}


def test_an_answer_in_another_form_is_another_version():
    """As of an older minima: told with its cure, not as a fault of ours."""
    (fault,) = reply_faults("node a", Reply('{"nonce": "words"}'), EXPECTED, lambda: "words")
    assert "another version" in fault.what
    assert "same minima" in fault.mend


def test_what_does_not_start_here_is_told_before_the_run(monkeypatch):
    """In the import's own words, once the cluster stands; nothing is tried where no trial needs it."""
    tried = Imported(fault="ImportError: no libcudart", mend="reinstall from the lock in deploy/")
    monkeypatch.setattr(preflight, "try_import", lambda _: tried)
    message = (
        "TensorFlow does not start: ImportError: no libcudart\n  where: this machine\n"
        "  mend:  reinstall from the lock in deploy/; `minima doctor` looks again"
    )
    with preflight.importing_here(is_asked=True) as refuse_faults:
        with pytest.raises(UserError) as error:
            refuse_faults()
        assert str(error.value) == message
    with preflight.importing_here(is_asked=False, needs_gpu=True) as refuse_faults:
        refuse_faults()


@pytest.mark.parametrize(("num_gpus", "needs_gpu"), [(0, True), (1, True), (0, False)])
def test_gpus_that_tensorflow_does_not_see_are_told_before_the_run(
    monkeypatch, num_gpus, needs_gpu
):
    """Where trials hold some: each would be refused."""
    monkeypatch.setattr(preflight, "try_import", lambda _: Imported(num_gpus=num_gpus))
    with preflight.importing_here(is_asked=True, needs_gpu=needs_gpu) as refuse_faults:
        if num_gpus or not needs_gpu:
            refuse_faults()
            return
        with pytest.raises(UserError) as error:
            refuse_faults()
    assert str(error.value) == (
        "trials hold GPUs, and TensorFlow sees none\n  where: this machine\n  mend:  install minima "
        "with its extra `gpu`, and the driver of the GPUs; `minima doctor` looks again"
    )
